"""A task under the lock that its arguments name; what fails at its end is recorded, and hides nothing."""

import sys

from holdfast_client import Holdfast, Incident, Lease, current_lease

hf = Holdfast(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420")


def reset_card(lease: Lease) -> None:
    print("freeing", *lease.resources)


def alarm(incident: Incident) -> None:
    print("alarm:", incident.stage, incident.error)


@hf.guard("gpu/{gpu_id}", ttl=30, wait=60, on_cleanup=reset_card, on_alert=alarm, record="incidents.jsonl")
def train(gpu_id: int, epochs: int = 1) -> int:
    for epoch in range(epochs):
        current_lease().progress(f"epoch {epoch + 1} of {epochs}")
    return current_lease().token


print("trained under token", train(2, epochs=3))
