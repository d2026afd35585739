"""A client process that locks and unlocks many times, as client-rounds.ts: LANGUAGE ADDRESS ROUNDS [kept]."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import resource
import sys
import time
from pathlib import Path

import holdfast_client
import holdfast_client.aio

TENTHS = 10
#: Every so many rounds a client is made for one alone.
APART = 50
RESOURCE = "rounds"

language, address, rounds, *rest = sys.argv[1:]
keeps = rest == ["kept"]
kept: list = []
since = [time.monotonic()]


def said(round_number: int) -> None:
    took_ms = (time.monotonic() - since[0]) * 1000
    gc.collect()
    status = Path("/proc/self/status").read_text()
    rss = int(re.findall(r"^VmRSS:\s+(\d+)", status, re.M)[0]) * 1024
    threads = int(re.findall(r"^Threads:\s+(\d+)", status, re.M)[0])
    line = {
        "round": round_number,
        "tookMs": took_ms,
        "rss": rss,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "threads": threads,
        "fds": len(os.listdir("/proc/self/fd")),
        "objects": len(gc.get_objects()),
    }
    print(json.dumps(line), flush=True)
    since[0] = time.monotonic()


def refused(taken: object) -> None:
    raise AssertionError(f"granted twice: {taken!r}")


def threads() -> None:
    hf = holdfast_client.Holdfast(address, ttl=30)
    rival = holdfast_client.Holdfast(address, ttl=30, owner="rival")

    def plain() -> None:
        lease = hf.acquire(RESOURCE)
        if keeps:
            kept.append(lease)
        lease.release()

    def watched() -> None:
        with hf.lock(RESOURCE) as lease:
            assert not lease.lost_event.is_set() and lease.remaining > 0
            lease.check()

    def waiting() -> None:
        lease = hf.acquire(RESOURCE, wait=60, on_queued=lambda queued: None)
        lease.release("its round is over")

    def busy() -> None:
        with hf.lock(RESOURCE):
            try:
                refused(rival.acquire(RESOURCE))
            except holdfast_client.BusyError:
                pass

    def within() -> None:
        hf.with_lock(RESOURCE, lambda lease: lease.progress("half"))

    def apart() -> None:
        own = holdfast_client.Holdfast(address, ttl=30)
        own.with_lock(RESOURCE, lambda lease: None)
        if keeps:
            kept.append(own)
        else:
            own.close()

    ways = [plain, watched, plain, waiting, plain, busy, plain, hf.guard(RESOURCE)(lambda: None), plain, within]
    for number in range(1, int(rounds) + 1):
        (ways[number % len(ways)] if number % APART else apart)()
        if number % (int(rounds) // TENTHS) == 0:
            said(number)
    hf.close()
    rival.close()


async def loop() -> None:
    hf = holdfast_client.aio.Holdfast(address, ttl=30)
    rival = holdfast_client.aio.Holdfast(address, ttl=30, owner="rival")

    async def plain() -> None:
        lease = await hf.acquire(RESOURCE)
        if keeps:
            kept.append(lease)
        await lease.release()

    async def watched() -> None:
        async with hf.lock(RESOURCE) as lease:
            assert not lease.lost_event.is_set() and lease.remaining > 0
            lease.check()

    async def waiting() -> None:
        lease = await hf.acquire(RESOURCE, wait=60, on_queued=lambda queued: None)
        await lease.release("its round is over")

    async def behind() -> None:
        lease = await hf.acquire(RESOURCE)
        # A task of its own, and so an owner of its own.
        following = asyncio.ensure_future(rival.acquire(RESOURCE, wait=60))
        await asyncio.gather(lease.release(), following)
        await following.result().release()

    async def busy() -> None:
        async with hf.lock(RESOURCE):
            try:
                refused(await rival.acquire(RESOURCE))
            except holdfast_client.BusyError:
                pass

    async def within() -> None:
        await hf.with_lock(RESOURCE, lambda lease: lease.progress("half"))

    async def body() -> None:
        pass

    async def apart() -> None:
        own = holdfast_client.aio.Holdfast(address, ttl=30)
        async with own.lock(RESOURCE):
            pass
        if keeps:
            kept.append(own)
        else:
            await own.close()

    ways = [plain, watched, plain, waiting, behind, busy, plain, hf.guard(RESOURCE)(body), plain, within]
    for number in range(1, int(rounds) + 1):
        await (ways[number % len(ways)] if number % APART else apart)()
        if number % (int(rounds) // TENTHS) == 0:
            said(number)
    await hf.close()
    await rival.close()


if __name__ == "__main__":
    if language == "asyncio":
        asyncio.run(loop())
    else:
        threads()
