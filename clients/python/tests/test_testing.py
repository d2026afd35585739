"""The fake through the real client: what a user's test orders is what the user's code sees."""

from __future__ import annotations

import threading
from typing import Callable, List

import pytest

from holdfast_client import (
    BusyError,
    DeadlockError,
    Holdfast,
    InvalidFieldError,
    Lease,
    LeaseLostError,
    NoQuorumError,
    QuotaError,
    UnavailableError,
    UnknownResourceError,
)
from holdfast_client.testing import FakeHoldfast


class Aside:
    """Work in a thread of its own, and what came of it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.result: object = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._work()
        except Exception as error:
            self.result = error

    def over(self) -> object:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.result


def test_a_lease_is_granted_seen_and_released(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    lease = holdfast_client.acquire("gpu/0", owner="w1", ttl=10, labels={"job": "7"})
    (holder,) = fake_holdfast.holders("gpu/0")
    assert (holder.owner, holder.token, holder.labels) == ("w1", lease.token, {"job": "7"})
    assert lease.remaining > 9
    assert lease.release("done")
    assert fake_holdfast.holders("gpu/0") == []
    assert [(call.name, call.owner, call.reason) for call in fake_holdfast.calls] == [
        ("acquire", "w1", ""),
        ("release", "w1", "done"),
    ]


def test_a_token_is_larger_each_time_and_too_large_for_32_bits(holdfast_client: Holdfast) -> None:
    with holdfast_client.lock("gpu/0") as first:
        pass
    with holdfast_client.lock("gpu/0") as second:
        assert second.token > first.token > 2**32


def test_a_lease_is_lost_when_the_test_says_so(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    lease = holdfast_client.acquire("gpu/0")
    fake_holdfast.lose("gpu/0", detail="an operator")
    assert lease.lost_event.is_set()
    assert lease.lost is not None
    assert (lease.lost.reason, lease.lost.detail) == ("forced", "an operator")
    with pytest.raises(LeaseLostError):
        lease.check()
    assert lease.release() is False


def test_a_scope_whose_lease_expired_raises(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    with pytest.raises(LeaseLostError) as caught:
        with holdfast_client.lock("gpu/0", ttl=30):
            fake_holdfast.expire("gpu/0")
    assert caught.value.why == "expired"
    assert fake_holdfast.holders("gpu/0") == []


def test_a_lease_outlives_any_time_that_goes_by_well(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    lease = holdfast_client.acquire("gpu/0", ttl=10)
    fake_holdfast.clock.advance(600)
    assert lease.lost is None
    assert lease.remaining > 5
    assert len(fake_holdfast.holders("gpu/0")) == 1


def test_a_lease_ends_by_its_own_count_when_time_jumps(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    lease = holdfast_client.acquire("gpu/0", ttl=10)
    fake_holdfast.clock.jump(9)
    lease.check()
    fake_holdfast.clock.jump(1)
    assert lease.lost_event.is_set()
    with pytest.raises(LeaseLostError):
        lease.check()
    assert lease.lost is not None and lease.lost.reason == "expired"
    assert lease.remaining == 0


def test_a_lease_ends_by_its_own_count_when_the_service_is_silent(
    fake_holdfast: FakeHoldfast, holdfast_client: Holdfast
) -> None:
    lease = holdfast_client.acquire("gpu/0", ttl=10)
    fake_holdfast.stall()
    fake_holdfast.clock.advance(11)
    assert lease.lost is not None and lease.lost.reason == "expired"
    fake_holdfast.go_on()
    assert holdfast_client.acquire("gpu/0").token > lease.token


def test_a_holder_is_told_who_asks_for_its_lock(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    asked: List[str] = []
    told = threading.Event()

    def on_yield_request(request: object) -> None:
        asked.append(getattr(request, "owner"))
        told.set()

    holdfast_client.acquire("gpu/0", on_yield_request=on_yield_request)
    fake_holdfast.ask_to_yield("gpu/0", owner="urgent")
    assert told.wait(30)
    assert asked == ["urgent"]


def test_somebody_else_is_in_the_way_until_the_test_frees_it(
    fake_holdfast: FakeHoldfast, holdfast_client: Holdfast
) -> None:
    fake_holdfast.hold("gpu/0", owner="w9")
    with pytest.raises(BusyError) as caught:
        holdfast_client.acquire("gpu/0")
    assert [(one.owner, one.resource) for one in caught.value.holders] == [("w9", "gpu/0")]
    with pytest.raises(ValueError):
        fake_holdfast.hold("gpu/0")
    fake_holdfast.free("gpu/0")
    holdfast_client.acquire("gpu/0")


def test_somebody_else_is_waited_for_in_line(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    fake_holdfast.hold("gpu/0")
    waiting = Aside(lambda: holdfast_client.acquire("gpu/0", wait=60, owner="w1"))
    fake_holdfast.until(lambda: len(fake_holdfast.waiters("gpu/0")) == 1)
    fake_holdfast.queue("gpu/0", owner="later")
    assert [one.owner for one in fake_holdfast.waiters("gpu/0")] == ["w1", "later"]
    fake_holdfast.free("gpu/0")
    lease = waiting.over()
    assert isinstance(lease, Lease)
    lease.release()
    assert [one.owner for one in fake_holdfast.holders("gpu/0")] == ["later"]


def test_a_wait_ends_by_the_clock(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    fake_holdfast.hold("gpu/0")
    waiting = Aside(lambda: holdfast_client.acquire("gpu/0", wait=5))
    fake_holdfast.until(lambda: len(fake_holdfast.waiters("gpu/0")) == 1)
    fake_holdfast.clock.advance(6)
    busy = waiting.over()
    assert isinstance(busy, BusyError)
    assert (busy.wait_elapsed, busy.position) == (True, 1)
    assert fake_holdfast.waiters("gpu/0") == []


def test_a_cycle_of_waits_is_refused(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    holdfast_client.acquire("a", owner="w1")
    fake_holdfast.hold("b", owner="w2")
    fake_holdfast.queue("a", owner="w2")
    with pytest.raises(DeadlockError) as caught:
        holdfast_client.acquire("b", owner="w1", wait=60)
    assert (list(caught.value.owners), list(caught.value.resources)) == (["w1", "w2"], ["b", "a"])


def test_refusals_come_as_often_as_was_ordered(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    fake_holdfast.refuse("NO_QUORUM", times=2)
    fake_holdfast.refuse("QUOTA")
    with pytest.raises(NoQuorumError) as caught:
        holdfast_client.acquire("gpu/0")
    assert (caught.value.answered, caught.value.nodes, caught.value.retry_after) == (1, 3, 1.0)
    with pytest.raises(NoQuorumError):
        holdfast_client.acquire("gpu/0")
    with pytest.raises(QuotaError):
        holdfast_client.acquire("gpu/0")
    holdfast_client.acquire("gpu/0")


def test_other_calls_can_be_refused_too(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    fake_holdfast.refuse("NO_QUORUM", on="inspect")
    with pytest.raises(NoQuorumError):
        holdfast_client.inspect("gpu/0")
    with pytest.raises(UnknownResourceError):
        holdfast_client.inspect("gpu/0")
    with pytest.raises(ValueError):
        fake_holdfast.refuse("NO_SUCH_REASON")


def test_a_broken_connection_is_mended(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    lease = holdfast_client.acquire("gpu/0", ttl=10)
    fake_holdfast.disconnect()
    assert [call.name for call in fake_holdfast.calls][:2] == ["acquire", "resume"]
    fake_holdfast.clock.advance(60)
    lease.check()
    assert [one.token for one in fake_holdfast.holders("gpu/0")] == [lease.token]


def test_an_absence_beyond_the_grace_loses_the_lease(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    lease = holdfast_client.acquire("gpu/0", ttl=10)
    fake_holdfast.disconnect(stay=True)
    fake_holdfast.clock.advance(2)
    assert lease.lost is not None and lease.lost.reason == "unknown"
    assert fake_holdfast.holders("gpu/0") == []
    fake_holdfast.reconnect()
    holdfast_client.acquire("gpu/0")


def test_a_drain_loses_neither_lease_nor_place(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    lease = holdfast_client.acquire("gpu/0", ttl=10)
    fake_holdfast.hold("gpu/1")
    waiting = Aside(lambda: holdfast_client.acquire("gpu/1", wait=600, owner="w1"))
    fake_holdfast.until(lambda: len(fake_holdfast.waiters("gpu/1")) == 1)
    fake_holdfast.drain()
    fake_holdfast.clock.advance(60)
    lease.check()
    assert [(one.owner, one.position) for one in fake_holdfast.waiters("gpu/1")] == [("w1", 1)]
    fake_holdfast.free("gpu/1")
    assert isinstance(waiting.over(), Lease)


def test_a_drain_for_good_ends_leases_by_their_count(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    lease = holdfast_client.acquire("gpu/0", ttl=10)
    fake_holdfast.drain(for_good=True)
    fake_holdfast.clock.advance(40)
    assert lease.lost is not None


def test_a_service_that_is_not_there_is_unavailable(fake_holdfast: FakeHoldfast, holdfast_client: Holdfast) -> None:
    fake_holdfast.disconnect(stay=True)
    with fake_holdfast.clock.run(), pytest.raises(UnavailableError):
        refused = Aside(lambda: holdfast_client.acquire("gpu/0"))
        fake_holdfast.clock.jump(11)
        raise refused.over()  # type: ignore[misc]


def test_bad_fields_are_refused_as_by_the_service(holdfast_client: Holdfast) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        holdfast_client.acquire("gpu/0", ttl=7200)
    assert [one.field for one in caught.value.fields] == ["ttl"]


def test_a_client_without_its_clock_lives_by_its_own_time(fake_holdfast: FakeHoldfast) -> None:
    with Holdfast(fake_holdfast.address) as client:
        lease = client.acquire("gpu/0", ttl=10)
        fake_holdfast.clock.jump(3600)
        lease.check()


def test_time_does_not_go_back(fake_holdfast: FakeHoldfast) -> None:
    with pytest.raises(ValueError):
        fake_holdfast.clock.advance(-1)
