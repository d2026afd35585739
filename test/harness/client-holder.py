"""A client process that works under a lock and writes down when: ORDERS, as client-holder.ts, with threads or asyncio."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
import time
from typing import Callable

import holdfast_client
import holdfast_client.aio

STEP_S = 0.001
#: It lives until it is killed, but does not outlive a test that crashed by more.
LIFE_S = 120


def now_ms() -> float:
    """CLOCK_MONOTONIC, which all processes of a machine share."""
    return time.monotonic_ns() / 1e6


def say(**line: object) -> None:
    # One write: a forked child shares the pipe.
    os.write(1, f"{json.dumps(line)}\n".encode())


def stands(lease: holdfast_client.Lease | holdfast_client.aio.Lease) -> bool:
    try:
        lease.check()
    except holdfast_client.LeaseLostError:
        return False
    return True


class Work:
    """One step reads the clock, THEN asks the lease, and only then writes the time that it read."""

    def __init__(self, path: str, valid: Callable[[], bool]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._valid = valid

    def blocked_by(self, signal_number: int, block_ms: float) -> None:
        def block(*_: object) -> None:
            usual = sys.getswitchinterval()
            # No other thread of Python runs: not beside the call of C, which keeps the interpreter's lock, nor before
            # the lease is asked, so nobody can have told it anything.
            sys.setswitchinterval(60)
            ctypes.PyDLL(None).usleep(int(block_ms * 1000))
            valid = self._valid()
            sys.setswitchinterval(usual)
            say(event="unblocked", atMs=now_ms(), valid=valid)

        signal.signal(signal_number, block)

    def step(self) -> bool:
        at_ms = now_ms()
        if not self._valid():
            return False
        os.write(self._file, f"{at_ms}\n".encode())
        return True


def lost(lease: holdfast_client.Lease | holdfast_client.aio.Lease, event: str = "lost") -> None:
    loss = lease.lost
    say(event=event, atMs=now_ms(), why=loss.reason if loss else None, remaining=lease.remaining)


def options(orders: dict) -> dict:
    given = {"ttl": orders["ttlMs"] / 1000, "grace": orders["graceMs"] / 1000, "addresses": orders["addresses"]}
    if orders.get("keepaliveMs"):
        given["keepalive"] = tuple(ms / 1000 for ms in orders["keepaliveMs"])
    return given


def threads(orders: dict) -> None:
    hf = holdfast_client.Holdfast(**options(orders))
    lease = hf.acquire(orders["resource"])
    valid = {
        "none": lambda: True,
        "told": lambda: not lease.lost_event.is_set(),
        "check": lambda: stands(lease),
    }
    say(event="granted", atMs=now_ms(), token=str(lease.token))
    if orders.get("child"):
        if os.fork() == 0:
            signal.alarm(LIFE_S)
            work = Work(orders["path"] + ".child", valid[orders["child"]])
            say(event="child", atMs=now_ms(), pid=os.getpid())
            while work.step():
                time.sleep(STEP_S)
            lost(lease, "child lost")
            # The sockets of its parent stay open for as long as it lives.
            while True:
                signal.pause()
    work = Work(orders["path"], valid[orders["looks"]])
    work.blocked_by(signal.SIGUSR2, orders["blockMs"])
    while work.step():
        time.sleep(STEP_S)
    lost(lease)
    signal.pause()


async def loop(orders: dict) -> None:
    hf = holdfast_client.aio.Holdfast(**options(orders))

    async def steps(lease: holdfast_client.aio.Lease, valid: Callable[[], bool]) -> None:
        say(event="granted", atMs=now_ms(), token=str(lease.token))
        work = Work(orders["path"], valid)
        work.blocked_by(signal.SIGUSR2, orders["blockMs"])
        while work.step():
            await asyncio.sleep(STEP_S)

    if orders["looks"] == "told":
        scope = hf.lock(orders["resource"])
        try:
            async with scope as lease:
                await steps(lease, lambda: True)
        except holdfast_client.LeaseLostError:
            lost(lease)
    else:
        lease = await hf.acquire(orders["resource"])
        await steps(lease, lambda: orders["looks"] == "none" or stands(lease))
        lost(lease)
    await asyncio.Event().wait()


def main() -> None:
    orders = json.loads(sys.argv[1])
    signal.alarm(LIFE_S)
    if orders["language"] == "asyncio":
        asyncio.run(loop(orders))
    else:
        threads(orders)
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
