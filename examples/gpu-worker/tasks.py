"""Celery tasks that each have one GPU to themselves, whichever worker on whichever machine runs them.

    celery -A tasks worker --pool prefork --concurrency 2
"""

from __future__ import annotations

import logging
import os
from typing import Any, Dict

from card import Card
from celery import Celery
from celery.signals import worker_init
from holdfast_client import BusyError, Holdfast, Incident, Lease, NoQuorumError, UnavailableError, current_lease

log = logging.getLogger("gpu_worker")

app = Celery("gpu_worker", broker=os.environ["BROKER_URL"], backend=os.environ["RESULT_URL"])
app.conf.update(
    # A task whose process is killed goes back to the queue: the lock decides when the next may start.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # No worker keeps tasks back for a card that another one could use.
    worker_prefetch_multiplier=1,
    # The task is told first (SoftTimeLimitExceeded, it cleans up and releases), and killed a minute later.
    task_soft_time_limit=3600,
    task_time_limit=3660,
    broker_connection_retry_on_startup=True,
)

# One for the process. After the fork each child of the pool connects by itself; leases are never inherited.
hf = Holdfast(os.environ.get("HOLDFAST_ADDRESS", "127.0.0.1:7420"), ttl=30)

#: Not granted, and nothing is held: Celery asks again later.
LATER = (BusyError, NoQuorumError, UnavailableError)


@worker_init.connect
def fail_early(**_: object) -> None:
    """Says at start, and not in the first task, that the lock service cannot be reached."""
    log.info("locks by Holdfast %s", hf.status().version)


def wipe(lease: Lease) -> None:
    """First layer of the end: device memory. It may fail; the card is released all the same."""
    Card(lease.resources[0]).wipe(lease.token)


def alert(incident: Incident) -> None:
    """Where your alerts go. The incident is in INCIDENTS already, synced to the disk."""
    log.critical("ALERT %s", incident.line())


@app.task(autoretry_for=LATER, retry_backoff=True, retry_backoff_max=30, max_retries=None)
@hf.guard(
    "gpu/{gpu_id}",
    wait=20,
    labels={"app": "gpu-worker"},
    on_cleanup=wipe,
    on_alert=alert,
    record=os.environ.get("INCIDENTS", "incidents.jsonl"),
)
def train(gpu_id: int, steps: int) -> Dict[str, Any]:
    """Whatever ends it - done, an error, the soft time limit - the card is wiped and released, with the reason."""
    lease = current_lease()
    card = Card(lease.resources[0])
    card.begin(lease.token)
    for step in range(1, steps + 1):
        # Raises when the card is somebody else's by now: stop before the next effect.
        lease.check()
        tell(lease, f"step {step} of {steps}")
        card.step(lease.token, step)
    card.end(lease.token)
    return {"token": lease.token, "pid": os.getpid()}


def tell(lease: Lease, text: str) -> None:
    """What others see of the work. That it cannot be told is no reason to stop: the lease stands as long as it counts."""
    try:
        lease.progress(text)
    except (NoQuorumError, UnavailableError) as error:
        log.warning("no progress could be told: %s", error)
