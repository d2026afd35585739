"""One of a crowd that wants the same file: says each step it comes to, and goes on when the file for it appears."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Optional, Union

from holdfast_client import Holdfast, Lease, aio
from holdfast_client.once import OnceResult, aonce, once

ADDRESS, TARGET, GATES, WAY = sys.argv[1:]
# Any bytes, the same for all, much more than a buffer.
PAYLOAD = (b"holdfast " * (1 << 17))[: 1 << 20]

AnyLease = Union[Lease, aio.Lease]


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


def gate(step: str, lease: AnyLease) -> str:
    say(at=step, token=str(lease.token))
    return os.path.join(GATES, f"{os.getpid()}.{step}")


def at(step: str, lease: AnyLease) -> None:
    path = gate(step, lease)
    while not os.path.exists(path):
        time.sleep(0.02)


async def a_at(step: str, lease: aio.Lease) -> None:
    path = gate(step, lease)
    while not os.path.exists(path):
        await asyncio.sleep(0.02)


class Stopping(Holdfast):
    """The client, with a stop between the publication and the release."""

    held: Optional[Lease] = None

    def acquire(self, *args, **options):  # type: ignore[no-untyped-def]
        lease = self.held = super().acquire(*args, **options)
        release = lease.release

        def stopped(reason: str = "") -> bool:
            at("before the release", lease)
            return release(reason)

        lease.release = stopped  # type: ignore[method-assign]
        return lease


class AStopping(aio.Holdfast):
    """The same for asyncio."""

    held: Optional[aio.Lease] = None

    async def acquire(self, *args, **options):  # type: ignore[no-untyped-def]
        lease = self.held = await super().acquire(*args, **options)
        release = lease.release

        async def stopped(reason: str = "") -> bool:
            await a_at("before the release", lease)
            return await release(reason)

        lease.release = stopped  # type: ignore[method-assign]
        return lease


def sync() -> OnceResult:
    hf = Stopping(ADDRESS)

    def make(temporary_path: str, lease: Lease) -> None:
        at("before the fetch", lease)
        with open(temporary_path, "wb") as file:
            file.write(PAYLOAD[: len(PAYLOAD) // 2])
            file.flush()
            at("in mid-write", lease)
            file.write(PAYLOAD[len(PAYLOAD) // 2 :])

    def verify(_: str) -> None:
        assert hf.held is not None
        at("before the publication", hf.held)

    try:
        return once(hf, "crowd/file", TARGET, make, ttl=5, verify=verify)
    finally:
        hf.close()


async def with_asyncio() -> OnceResult:
    hf = AStopping(ADDRESS)

    async def make(temporary_path: str, lease: aio.Lease) -> None:
        await a_at("before the fetch", lease)
        with open(temporary_path, "wb") as file:
            file.write(PAYLOAD[: len(PAYLOAD) // 2])
            file.flush()
            await a_at("in mid-write", lease)
            file.write(PAYLOAD[len(PAYLOAD) // 2 :])

    def verify(_: str) -> None:
        assert hf.held is not None
        at("before the publication", hf.held)

    try:
        return await aonce(hf, "crowd/file", TARGET, make, ttl=5, verify=verify)
    finally:
        await hf.close()


say(ready=os.getpid())
try:
    result = sync() if WAY == "sync" else asyncio.run(with_asyncio())
    say(made=result.made, token=str(result.token))
except Exception as error:
    say(error=f"{type(error).__name__}: {error}")
