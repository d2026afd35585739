"""Forks: the child has a connection of its own and no lease of its parent, and the parent goes on unharmed."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import traceback
from typing import Callable, List

import pytest

from holdfast_client import Holdfast, LeaseLostError, aio

from .service import Replica, unique

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def in_child(act: Callable[[], None]) -> int:
    """The exit status of a child that does only this."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_owns_nothing_and_locks_by_itself(hf: Holdfast) -> None:
    mine, theirs = unique(), unique()
    with hf.lock(mine) as lease:
        event = lease.lost_event

        def act() -> None:
            with pytest.raises(LeaseLostError):
                lease.check()
            assert lease.remaining == 0 and lease.lost is not None
            assert event.is_set()
            assert lease.release() is False
            lease.__exit__(None, None, None)
            with hf.lock(theirs) as own:
                own.check()
                assert hf.inspect(mine).state == "held"
            hf.close()

        for _ in range(5):
            assert in_child(act) == 0
        lease.check()
        assert not event.is_set()
        assert hf.inspect(mine).holders[0].token == lease.token


def test_a_parent_whose_other_threads_are_in_calls_is_unharmed(hf: Holdfast) -> None:
    stop, rounds = threading.Event(), []  # type: threading.Event, List[int]

    def busy() -> None:
        name, number = unique(), 0
        while not stop.is_set():
            with hf.lock(name):
                number += 1
            hf.status()
        rounds.append(number)

    thread = threading.Thread(target=busy)
    thread.start()
    with hf.lock(unique()) as lease:
        for _ in range(8):
            assert in_child(lambda: hf.acquire(unique()).check()) == 0
        for _ in range(100):
            # Most children of a data loader never touch the client.
            assert in_child(lambda: None) == 0
        lease.check()
    stop.set()
    thread.join(60)
    assert rounds and rounds[0] > 0


def test_a_child_never_collects_what_its_parent_left(hf: Holdfast) -> None:
    class Left:
        """Stands for a call of gRPC in a cycle, which must not be finalized where its threads are not."""

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            os.write(writer, b"collected")

    hf.status()
    reader, writer = os.pipe()
    gc.disable()
    Left()
    gc.enable()

    def act() -> None:
        gc.collect()
        assert gc.isenabled()

    assert in_child(act) == 0
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    gc.collect()
    assert os.read(reader, 9) == b"collected", "the parent still does"
    assert gc.isenabled()


def test_a_child_that_ends_by_itself_does_not_hang(replica: Replica) -> None:
    program = """
import os, sys
from holdfast_client import Holdfast
hf = Holdfast(sys.argv[1])
lease = hf.acquire(sys.argv[2])
child = os.fork()
if child == 0:
    if sys.argv[3] == "use":
        hf.acquire(sys.argv[2] + "/child")
    sys.exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
lease.check()
sys.exit(status or not lease.release())
"""
    for how in ("use", "leave"):
        subprocess.run([sys.executable, "-c", program, replica.address, unique(), how], check=True, timeout=120)


def _work(address: str, name: str) -> None:
    with Holdfast(address) as own, own.lock(name):
        pass


def test_multiprocessing_by_fork(replica: Replica, hf: Holdfast) -> None:
    context = multiprocessing.get_context("fork")
    with hf.lock(unique()) as lease:
        children = [context.Process(target=_work, args=(replica.address, unique())) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join(120)
            assert child.exitcode == 0
        lease.check()


def test_asyncio_after_a_fork(replica: Replica) -> None:
    async def parent() -> None:
        async with aio.Holdfast(replica.address) as hf, hf.lock(unique()) as lease:
            await lease.progress("forks")

            def act() -> None:
                async def child() -> None:
                    with pytest.raises(LeaseLostError):
                        lease.check()
                    async with aio.Holdfast(replica.address) as own, own.lock(unique()) as mine:
                        mine.check()
                        assert (await own.status()).embedded

                # The loop of the parent counts as running in the thread that was forked.
                thread = threading.Thread(target=lambda: done.append(asyncio.run(child())))
                done: List[None] = []
                thread.start()
                thread.join(60)
                assert done

            assert in_child(act) == 0
            lease.check()
            await lease.progress("goes on")

    asyncio.run(parent())


def test_the_lock_of_a_child_that_dies_is_free(replica: Replica, hf: Holdfast) -> None:
    name = unique()
    with hf.lock(unique()):
        assert in_child(lambda: hf.acquire(name).check()) == 0
    with hf.lock(name, wait=60):
        pass


def test_what_a_fork_is_told_of_credentials(hf: Holdfast) -> None:
    import grpc

    from holdfast_client import HoldfastError

    hf.status()
    secret = Holdfast("127.0.0.1:1", credentials=grpc.ssl_channel_credentials())

    def act() -> None:
        with pytest.raises(HoldfastError, match="spawn"):
            secret.status()

    assert in_child(act) == 0
