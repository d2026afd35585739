"""What a client leaves behind: no process kept alive, no threads and no memory that grow."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import tracemalloc

import pytest

from holdfast_client import Holdfast

from .service import Replica, unique

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "1500"))

UNCLOSED = """
import sys, threading
from holdfast_client import Holdfast
hf = Holdfast(sys.argv[1])
lease = hf.acquire(sys.argv[2])
if sys.argv[3] == "waiting":
    threading.Thread(target=lambda: hf.acquire(sys.argv[2], wait=600, owner="w"), daemon=True).start()
    while not hf.inspect(sys.argv[2]).waiters:
        pass
elif sys.argv[3] == "raising":
    raise ValueError("the program fails")
elif sys.argv[3] == "asyncio":
    import asyncio
    from holdfast_client import aio
    async def main():
        await aio.Holdfast(sys.argv[1]).acquire(sys.argv[2] + "/aio")
    asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["idle", "waiting", "raising", "asyncio"])
def test_an_unclosed_client_does_not_keep_the_process_alive(how: str, replica: Replica, hf: Holdfast) -> None:
    name = unique()
    done = subprocess.run(
        [sys.executable, "-c", UNCLOSED, replica.address, name, how], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == (1 if how == "raising" else 0), done.stderr
    if how != "raising":
        assert done.stderr == ""
    with hf.lock(name, wait=60):
        pass


def test_threads_and_memory_stay_flat(replica: Replica) -> None:
    with Holdfast(replica.address) as hf:
        name = unique()

        def rounds(count: int) -> None:
            for _ in range(count):
                with hf.lock(name, ttl=20):
                    pass

        rounds(300)
        threads = threading.active_count()
        tracemalloc.start()
        gc.collect()
        before = tracemalloc.take_snapshot()
        rounds(ROUNDS)
        gc.collect()
        after = tracemalloc.take_snapshot()
        tracemalloc.stop()
        grown = sum(one.size_diff for one in after.compare_to(before, "filename") if "holdfast_client" in str(one))
        assert threading.active_count() == threads
        assert grown < 50_000, f"{grown} bytes more after {ROUNDS} rounds"


def test_clients_that_were_closed_leave_no_thread(replica: Replica) -> None:
    def once() -> None:
        with Holdfast(replica.address) as hf, hf.lock(unique()):
            pass

    once()
    threads = threading.active_count()
    for _ in range(20):
        once()
    assert threading.active_count() <= threads + 2
