"""The fake through the asyncio client: losses cancel the task that holds the lease."""

from __future__ import annotations

import asyncio

import pytest

from holdfast_client import BusyError, LeaseLostError
from holdfast_client.aio import Holdfast
from holdfast_client.testing import FakeHoldfast


def test_a_loss_cancels_the_task_that_holds_the_lease(
    fake_holdfast: FakeHoldfast, aio_holdfast_client: Holdfast
) -> None:
    async def main() -> None:
        inside = asyncio.Event()

        async def work() -> None:
            async with aio_holdfast_client.lock("gpu/0"):
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(work())
        await inside.wait()
        await fake_holdfast.aio.lose("gpu/0")
        with pytest.raises(LeaseLostError) as caught:
            await task
        assert caught.value.why == "forced"
        await fake_holdfast.aio.stop()

    asyncio.run(main())


def test_time_that_goes_by_well_keeps_the_lease_and_a_jump_ends_it(
    fake_holdfast: FakeHoldfast, aio_holdfast_client: Holdfast
) -> None:
    async def main() -> None:
        lease = await aio_holdfast_client.acquire("gpu/0", ttl=10)
        await fake_holdfast.aio.advance(600)
        lease.check()
        fake_holdfast.clock.jump(11)
        assert lease.lost_event.is_set()
        with pytest.raises(LeaseLostError):
            lease.check()
        await fake_holdfast.aio.stop()

    asyncio.run(main())


def test_connections_break_and_replicas_drain_without_a_loss(
    fake_holdfast: FakeHoldfast, aio_holdfast_client: Holdfast
) -> None:
    async def main() -> None:
        lease = await aio_holdfast_client.acquire("gpu/0", ttl=10)
        await fake_holdfast.aio.disconnect()
        await fake_holdfast.aio.drain()
        await fake_holdfast.aio.advance(60)
        lease.check()
        await fake_holdfast.aio.disconnect(stay=True)
        await fake_holdfast.aio.advance(2)
        assert lease.lost is not None and lease.lost.reason == "unknown"
        await fake_holdfast.aio.stop()

    asyncio.run(main())


def test_somebody_else_is_in_the_way_and_waited_for(
    fake_holdfast: FakeHoldfast, aio_holdfast_client: Holdfast
) -> None:
    async def main() -> None:
        await fake_holdfast.aio.hold("gpu/0", owner="w9")
        with pytest.raises(BusyError):
            await aio_holdfast_client.acquire("gpu/0")
        waiting = asyncio.ensure_future(aio_holdfast_client.acquire("gpu/0", wait=60))
        await fake_holdfast.aio.until(lambda: len(fake_holdfast.waiters("gpu/0")) == 1)
        await fake_holdfast.aio.free("gpu/0")
        lease = await waiting
        assert await lease.release()
        await fake_holdfast.aio.stop()

    asyncio.run(main())


def test_a_control_that_would_wait_for_its_own_loop_says_so(
    fake_holdfast: FakeHoldfast, aio_holdfast_client: Holdfast
) -> None:
    async def main() -> None:
        await aio_holdfast_client.acquire("gpu/0")
        with pytest.raises(RuntimeError, match="await fake.aio"):
            fake_holdfast.lose("gpu/0")
        await fake_holdfast.aio.stop()

    asyncio.run(main())
