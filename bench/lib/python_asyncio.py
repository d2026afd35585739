"""Pairs of acquire and release by asyncio, 64 in flight: by holdfast_client.aio, or by the lock of redis-py on one node.

    python python_asyncio.py holdfast HOST:PORT [--pairs N] [--in-flight N]
    python python_asyncio.py redis-py unix:///path/redis.sock|redis://HOST:PORT ...

Every task has a name of its own, so that nothing is ever refused. Prints one line of JSON: pairs, seconds, pairs_per_s,
cpu_us_per_pair (this process, all threads), p50_ms, p99_ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Awaitable, Callable, List

#: A task: makes so many pairs, and notes how long each took, in seconds.
Worker = Callable[[int, int, List[float]], Awaitable[None]]


async def by_holdfast(address: str, run: Callable[[Worker], Awaitable[None]]) -> None:
    from holdfast_client import aio

    async with aio.Holdfast(address) as hf:

        async def worker(number: int, pairs: int, took: List[float]) -> None:
            name = f"bench/{number}"
            for _ in range(pairs):
                before = time.perf_counter()
                lease = await hf.acquire(name, ttl=30)
                await lease.release()
                took.append(time.perf_counter() - before)

        await run(worker)


async def by_redis(url: str, run: Callable[[Worker], Awaitable[None]]) -> None:
    from redis.asyncio import Redis

    client = Redis.from_url(url, max_connections=128)

    async def worker(number: int, pairs: int, took: List[float]) -> None:
        for _ in range(pairs):
            before = time.perf_counter()
            lock = client.lock(f"bench/{number}", timeout=30, blocking=False)
            if not await lock.acquire():
                raise RuntimeError("a lock of its own was refused")
            await lock.release()
            took.append(time.perf_counter() - before)

    await run(worker)
    await client.aclose()


async def measure(worker: Worker, pairs: int, in_flight: int) -> None:
    share = pairs // in_flight
    await asyncio.gather(*(worker(number, max(1, share // 10), []) for number in range(in_flight)))
    took: List[float] = []
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker(number, share, took) for number in range(in_flight)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    took.sort()
    figures = {
        "pairs": len(took),
        "seconds": round(wall, 3),
        "pairs_per_s": round(len(took) / wall),
        "cpu_us_per_pair": round(cpu / len(took) * 1e6, 1),
        "p50_ms": round(took[len(took) // 2] * 1000, 2),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 2),
    }
    print(json.dumps(figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("side", choices=["holdfast", "redis-py"])
    parser.add_argument("address")
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=64)
    given = parser.parse_args()
    side = by_holdfast if given.side == "holdfast" else by_redis
    asyncio.run(side(given.address, lambda worker: measure(worker, given.pairs, given.in_flight)))


if __name__ == "__main__":
    main()
