"""The asyncio client against a real service: its own words, cancellation by loss and by others, waits given up."""

from __future__ import annotations

import asyncio
import sys
from typing import Awaitable, Callable, List

import pytest

from holdfast_client import BusyError, ClosedError, LeaseLostError, Queued, aio

from .service import Replica, unique


def run(replica: Replica, test: Callable[[aio.Holdfast], Awaitable[None]]) -> None:
    async def main() -> None:
        async with aio.Holdfast(replica.address) as hf:
            await asyncio.wait_for(test(hf), 120)

    asyncio.run(main())


async def until(look: Callable[[], Awaitable[object]]) -> None:
    for _ in range(6000):
        if await look():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("never")


def test_the_same_words(replica: Replica) -> None:
    async def test(hf: aio.Holdfast) -> None:
        name = unique()
        async with hf.lock(name, ttl=5) as lease:
            assert lease.lost is None and 0 < lease.remaining < 5
            with pytest.raises(BusyError):
                await hf.acquire(name, owner="other")
            await lease.progress("half")
            assert (await hf.inspect(name)).holders[0].progress == "half"
            assert await hf.check_token(name, lease.token)
            assert [one.resource async for one in hf.list(prefix=name)] == [name]
        assert (await hf.inspect(name)).state == "free"

        async def body(lease: aio.Lease) -> int:
            return lease.token

        assert await hf.with_lock(name, body) > lease.token
        assert (await hf.status()).embedded
        taken = await hf.acquire(name)
        assert await taken.release("x") is True
        assert await taken.release() is False

    run(replica, test)


def test_each_task_is_an_owner(replica: Replica) -> None:
    async def test(hf: aio.Holdfast) -> None:
        async def owner() -> str:
            async with hf.lock(unique()) as one, hf.lock(unique()) as two:
                assert one.owner == two.owner
                return one.owner

        assert len(set(await asyncio.gather(owner(), owner(), owner()))) == 3

    run(replica, test)


def test_a_loss_cancels_the_body_and_only_that(replica: Replica) -> None:
    async def test(hf: aio.Holdfast) -> None:
        name = unique()
        with pytest.raises(LeaseLostError) as told:
            async with hf.lock(name) as lease:
                await hf.force_release(name, reason="test", lease_ref=lease.lease_ref)
                await asyncio.sleep(600)
        assert told.value.why == "forced" and lease.lost_event.is_set()
        # The task goes on, and is not under any cancellation.
        await asyncio.sleep(0)
        task = asyncio.current_task()
        if sys.version_info >= (3, 11):
            assert task is not None and task.cancelling() == 0

    run(replica, test)


def test_a_loss_inside_nested_tasks_is_told(replica: Replica) -> None:
    async def test(hf: aio.Holdfast) -> None:
        name = unique()
        with pytest.raises(LeaseLostError):
            async with hf.lock(name):
                await hf.force_release(name, reason="test")
                await asyncio.gather(asyncio.wait_for(asyncio.sleep(600), 500), asyncio.sleep(600))

    run(replica, test)


def test_a_body_that_finds_the_loss_itself_is_not_cancelled_later(replica: Replica) -> None:
    async def test(hf: aio.Holdfast) -> None:
        name = unique()
        with pytest.raises(LeaseLostError):
            async with hf.lock(name) as lease:
                await hf.force_release(name, reason="test")
                while lease.lost is None:
                    await asyncio.sleep(0)
                lease.check()
        for _ in range(10):
            await asyncio.sleep(0)

    run(replica, test)


def test_a_foreign_cancellation_is_never_swallowed(replica: Replica) -> None:
    async def test(hf: aio.Holdfast) -> None:
        name = unique()
        inside = asyncio.Event()

        async def body() -> None:
            async with hf.lock(name):
                inside.set()
                await asyncio.sleep(600)

        task = asyncio.ensure_future(body())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await hf.inspect(name)).state == "free"
        # Both at once, theirs first and ours first.
        for _ in range(10):
            inside.clear()
            task = asyncio.ensure_future(body())
            await inside.wait()
            await hf.force_release(name, reason="test")
            task.cancel()
            with pytest.raises((asyncio.CancelledError, LeaseLostError)) as told:
                await task
            assert told.type is asyncio.CancelledError or not task.cancelled()

    run(replica, test)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="before 3.11 nobody counts cancellations")
def test_a_cancellation_beside_the_loss_wins(replica: Replica) -> None:
    async def test(hf: aio.Holdfast) -> None:
        name = unique()
        inside = asyncio.Event()

        async def body() -> None:
            async with hf.lock(name) as lease:
                inside.set()
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    assert lease.lost is not None
                    # Somebody else asks, too, while ours is on its way.
                    task = asyncio.current_task()
                    assert task is not None
                    task.cancel()
                    raise

        task = asyncio.ensure_future(body())
        await inside.wait()
        await hf.force_release(name, reason="test")
        with pytest.raises(asyncio.CancelledError):
            await task

    run(replica, test)


def test_a_cancelled_wait_leaves_the_line(replica: Replica) -> None:
    async def test(hf: aio.Holdfast) -> None:
        name, places = unique(), []  # type: str, List[Queued]
        async with hf.lock(name, owner="holder"):
            task = asyncio.ensure_future(hf.acquire(name, wait=600, on_queued=places.append))

            async def queued() -> object:
                return places

            await until(queued)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

            async def gone() -> bool:
                return not (await hf.inspect(name)).waiters

            await until(gone)
        assert (await hf.inspect(name)).state == "free"

    run(replica, test)


def test_a_grant_that_meets_a_cancelled_wait_is_released(replica: Replica) -> None:
    async def test(hf: aio.Holdfast) -> None:
        name = unique()
        for turns in range(40):
            holder = await hf.acquire(name, owner="holder")
            task = asyncio.ensure_future(hf.acquire(name, wait=600))
            await asyncio.sleep(0.02)
            release = asyncio.ensure_future(holder.release())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await release
            try:
                await (await task).release()
            except asyncio.CancelledError:
                pass

            async def free() -> bool:
                return (await hf.inspect(name)).state == "free"

            await until(free)

    run(replica, test)


def test_close_ends_waits_and_a_new_loop_begins_anew(replica: Replica) -> None:
    hf = aio.Holdfast(replica.address)

    async def once() -> None:
        async with hf.lock(unique()) as lease:
            lease.check()

    asyncio.run(once())
    asyncio.run(once())

    async def close() -> None:
        name = unique()
        lease = await hf.acquire(name, owner="holder")
        task = asyncio.ensure_future(hf.acquire(name, wait=600))
        await asyncio.sleep(0.05)
        await hf.close()
        with pytest.raises(ClosedError):
            await task
        assert lease.lost is not None
        with pytest.raises(ClosedError):
            await hf.acquire(name)

    asyncio.run(close())
