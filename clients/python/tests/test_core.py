"""Properties of the core: the count is never too long, outcomes come once, and nothing is left behind."""

from __future__ import annotations

import os
from typing import List

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast_client import ClosedError
from holdfast_client._core.ops import Op
from holdfast_client._core.route import Route
from holdfast_client._core.validity import Validity, end_of
from holdfast_client._proto import lock_pb2

from .world import TTL, World

spans = st.floats(0.1, 60)


@given(st.floats(0, 1e6), spans, st.floats(0.99, 1.01), st.lists(st.tuples(spans, st.floats(0, 1))), st.floats(0, 1))
def test_the_count_ends_before_the_promise(
    asked_at: float, ttl: float, rate: float, renewals: "list[tuple[float, float]]", delay: float
) -> None:
    """The service's clock runs at `rate`; its promise begins when the request arrives, `delay` after it was sent."""
    began = asked_at + delay
    # By the service's clock, which started at 5000 with the grant; `true` is when the promise ends by ours.
    expires = 5000 + ttl
    count = Validity(asked_at, ttl, expires)
    at = 0.0
    for after, part in renewals:
        at = min(at + after * part, expires - 5000)
        expires = max(expires, 5000 + at + ttl)
        count.renewed(expires)
        true_end = began + (expires - 5000) / rate
        assert count.end <= true_end


@given(st.floats(0, 1e6), spans, st.floats(0, 100), spans)
def test_a_broken_stream_caps_the_count_and_only_a_resume_lifts_it(
    asked_at: float, ttl: float, after: float, grace: float
) -> None:
    count = Validity(asked_at, ttl, 0)
    before, seen = count.end, asked_at + after
    count.stream_ended(seen, grace)
    assert count.end == min(before, seen + 0.75 * grace)
    count.renewed(1000)
    count.extend(seen, ttl)
    assert count.end <= seen + 0.75 * grace
    count.restart(seen, ttl, 0)
    assert count.end >= max(before, end_of(seen, ttl))
    count.stream_ended(seen, 0)
    assert count.end == seen


@given(st.integers(1, 5), st.integers(1, 60))
def test_every_address_is_tried_before_any_pause(addresses: int, failures: int) -> None:
    route = Route(addresses, 1, lambda: 1.0)
    for number in range(1, failures + 1):
        pause = route.failed()
        assert (pause == 0) == (number % addresses != 0)
        assert pause <= 1.0
        assert route.index == number % addresses


STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=80)


def step(world: World, what: int, which: int) -> None:
    """One thing that may happen."""
    alive = world.alive()
    pipe = alive[which % len(alive)] if alive else None
    held = [lease for lease in world.held if lease.phase == "held"]
    if what == 0:
        world.acquire(f"n{which % 3}", wait=0)
    elif what == 1:
        world.acquire(f"n{which % 3}", wait=30)
    elif what == 2 and held:
        world.release(held[which % len(held)])
    elif what == 3:
        world.pass_time(which * 0.7)
    elif what == 4:
        world.renew()
    elif what == 5 and pipe is not None and which == 0:
        world.end(pipe, None)
    elif what == 6 and pipe is not None and which < 2:
        world.drain(pipe)
    elif what == 7 and pipe is not None:
        world.send(pipe)
        world.deliver(pipe)
    elif what == 8 and pipe is not None:
        world.answer(pipe)
    elif pipe is not None:
        flow(world)
    world.check()


def flow(world: World) -> None:
    """Every message that is on its way arrives."""
    for number in world.alive():
        world.send(number)
        pipe = world.pipes[number]
        while pipe.to_service and pipe.cut_at is None:
            world.deliver(number)
        world.serve_waits()
        while pipe.to_client and pipe.cut_at is None:
            world.answer(number)


@settings(max_examples=int(os.environ.get("HOLDFAST_SEQUENCES", "300")), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.sampled_from([0.0, 1.0, 5.0]))
def test_no_history_breaks_a_promise(steps: List["tuple[int, int]"], grace: float) -> None:
    world = World(grace)
    for what, which in steps:
        step(world, what, which)
    # From here on nothing breaks: everything is answered, and what is released is free.
    for _ in range(200):
        flow(world)
        world.pass_time(0.5)
        world.renew()
    for number, outcomes in world.finished.items():
        assert len(outcomes) == 1, f"{number} was told {outcomes}"
    world.session.close(world.now)
    world.act()
    for _ in range(10):
        flow(world)
    assert world.session.idle
    assert [one.name for one in world.kept.values()] == []


def test_the_property_sees_a_count_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard knocked out: without the cap of a broken stream the same checks fail."""
    world = World(1.0)
    world.acquire("a", wait=0)
    flow(world)
    monkeypatch.setattr(Validity, "stream_ended", lambda *_: None)
    for number in world.alive():
        world.end(number, None)
    with pytest.raises(AssertionError, match="and is gone"):
        world.pass_time(5)


@pytest.mark.parametrize("end", ["tick", "look", "release", "close"])
def test_what_was_lost_by_the_count_is_given_back_by_its_operation_and_never_by_its_id(end: str) -> None:
    """Stopped past its end: an explicit release would end the lease under whoever has repeated the request."""
    world = World(TTL)
    world.acquire("a", wait=0)
    flow(world)
    (lease,) = world.held
    (kept,) = world.kept.values()
    world.now += 2 * TTL
    if end == "tick":
        world.session.tick(world.now)
    elif end == "look":
        world.session.look(lease, world.now)
    elif end == "release":
        world.release(lease)
    else:
        world.session.close(world.now)
    world.act()
    assert lease.lost is not None and lease.lost.reason == "expired"
    (number,) = world.pipes
    asked = world.session.take(number, world.now)
    assert asked is not None
    assert [(op.WhichOneof("op"), op.cancel.seq) for op in asked.ops] == [("cancel", kept.seq)]
    assert world.finished.get(1, [False]) == [False]


def test_a_repeat_by_the_same_client_outlives_the_end_of_the_first_lease() -> None:
    world = World(TTL)
    for _ in range(2):
        wanted = Op(lock_pb2.AcquireRequest(resources=["a"], owner="me", request_id="r"), len(world.ops))
        world.ops.append(wanted)
        world.finished[len(world.ops) - 1] = []
        world.session.submit(wanted, world.now)
        world.act()
        for _ in range(3):
            flow(world)
        world.now += TTL * 0.6
    first, second = world.held
    world.session.look(first, world.now)
    world.act()
    for _ in range(3):
        flow(world)
    assert first.lost is not None and second.lost is None
    assert list(world.kept) == [second.lease_id] and world.session.leases == {second.lease_id: second}


def test_after_close_everything_is_closed() -> None:
    world = World(1.0)
    world.acquire("a", wait=0)
    flow(world)
    world.acquire("a", wait=30)
    flow(world)
    world.session.close(world.now)
    world.act()
    assert isinstance(world.finished[1][0], ClosedError)
    assert world.held[0].lost is not None
    world.acquire("b", wait=0)
    assert isinstance(world.finished[2][0], ClosedError)
