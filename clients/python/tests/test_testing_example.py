"""The example of docs/testing.md: a worker that must stop when its lock is lost."""

from typing import Callable

import pytest

from holdfast_client import BusyError, Holdfast, LeaseLostError
from holdfast_client.testing import FakeHoldfast


def work(holdfast: Holdfast, step: Callable[[], None]) -> None:
    """What is tested: works in steps, and stops when it has lost the lock."""
    with holdfast.lock("gpu/0", ttl=30) as lease:
        while True:
            lease.check()
            step()


def test_the_worker_stops_when_its_lock_is_taken_away(
    fake_holdfast: FakeHoldfast, holdfast_client: Holdfast
) -> None:
    with pytest.raises(LeaseLostError) as caught:
        work(holdfast_client, lambda: fake_holdfast.lose("gpu/0"))
    assert caught.value.why == "forced"


def test_the_worker_stops_when_it_was_suspended_for_too_long(
    fake_holdfast: FakeHoldfast, holdfast_client: Holdfast
) -> None:
    with pytest.raises(LeaseLostError):
        work(holdfast_client, lambda: fake_holdfast.clock.jump(60))


def test_the_worker_does_not_begin_while_somebody_else_works(
    fake_holdfast: FakeHoldfast, holdfast_client: Holdfast
) -> None:
    fake_holdfast.hold("gpu/0", owner="another worker")
    with pytest.raises(BusyError):
        work(holdfast_client, lambda: None)
