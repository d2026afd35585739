"""The worker beside a sidecar, in Python: `turns COUNT RESOURCE` or `keep RESOURCE TTL_MS`, as sidecar-worker.ts."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

from holdfast_client import Holdfast


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


def turns(hf: Holdfast, count: int, resource: str) -> None:
    for _ in range(count):
        with hf.lock(resource, ttl=20, wait=60) as lease:
            began = time.monotonic_ns() / 1e6
            lease.check()
            say(event="turn", token=str(lease.token), fromMs=began, untilMs=time.monotonic_ns() / 1e6)


def keep(hf: Holdfast, resource: str, ttl_ms: int) -> None:
    slow = threading.Event()
    end = threading.Event()

    def told(*_: object) -> None:
        say(event="told")
        if not slow.is_set():
            end.set()

    with hf.lock(resource, ttl=ttl_ms / 1000, wait=60) as lease:
        signal.signal(signal.SIGUSR1, lambda *_: (slow.set(), say(event="slow")))
        signal.signal(signal.SIGUSR2, lambda *_: end.set())
        signal.signal(signal.SIGTERM, told)
        say(event="granted", token=str(lease.token))
        # In short waits: handlers of signals run in this thread.
        while not end.wait(0.05):
            pass
        lease.check()
    say(event="released")


def main() -> None:
    mode, *rest = sys.argv[1:]
    with Holdfast(os.environ["HOLDFAST_ADDRESS"], owner="python") as hf:
        if mode == "turns":
            turns(hf, int(rest[0]), rest[1])
        else:
            keep(hf, rest[0], int(rest[1]))


main()
