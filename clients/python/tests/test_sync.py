"""The synchronous client against a real service: grants, refusals, waits, losses, and what each error says."""

from __future__ import annotations

import signal
import threading
from typing import List

import pytest

from holdfast_client import (
    BusyError,
    ClosedError,
    DeadlockError,
    Holdfast,
    InvalidFieldError,
    Lease,
    LeaseLostError,
    QuotaError,
    Queued,
    UnavailableError,
    UnknownResourceError,
)

from .service import Replica, unique, until


def fields_of(error: InvalidFieldError) -> List[str]:
    return [one.field for one in error.fields]


def test_a_scope_takes_and_releases(hf: Holdfast) -> None:
    name = unique()
    with hf.lock(name, ttl=5, labels={"job": "7"}) as lease:
        assert lease.token > 0
        assert lease.resources == [name] and lease.mode == "exclusive" and lease.labels == {"job": "7"}
        assert 0 < lease.remaining <= 5 * 0.99
        assert lease.lost is None
        lease.check()
        assert hf.inspect(name).holders[0].lease_ref == lease.lease_ref
        assert hf.check_token(name, lease.token) and not hf.check_token(name, lease.token + 1)
        assert lease.lease_id not in repr(lease)
    assert hf.inspect(name).state == "free"
    assert lease.remaining == 0 and lease.lost is None
    with pytest.raises(LeaseLostError) as told:
        lease.check()
    assert told.value.why == "released"
    assert lease.release() is False


def test_a_held_lock_is_busy_and_says_by_whom(hf: Holdfast) -> None:
    name = unique()
    with hf.lock(name, owner="me"):
        with pytest.raises(BusyError) as told:
            hf.acquire(name, owner="you")
        assert told.value.holders[0].owner == "me"
        assert told.value.wait_elapsed is False
        with pytest.raises(BusyError) as told:
            hf.acquire(name, owner="you", wait=0.05)
        assert told.value.wait_elapsed is True and told.value.position == 1


def test_a_waiter_is_told_its_place_and_then_has_the_lease(hf: Holdfast) -> None:
    name, places, granted = unique(), [], []  # type: str, List[Queued], List[Lease]
    first = hf.acquire(name, ttl=5)

    def wait() -> None:
        granted.append(hf.acquire(name, ttl=5, wait=60, on_queued=places.append))

    thread = threading.Thread(target=wait)
    thread.start()
    until("it stands in line", lambda: places)
    assert places[0].position == 1 and places[0].holders[0].token == first.token
    assert first.release() is True
    thread.join(60)
    assert granted[0].token > first.token
    assert granted[0].remaining > 2, "the count begins anew after the wait"
    assert granted[0].release("done") is True
    assert [event.reason for event in hf.inspect(name, history=10).history if event.type == "released"][0] == "done"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"ttl": -1}, "ttl"),
        ({"ttl": 3600}, "ttl"),
        ({"ttl": "30s"}, "ttl"),
        ({"wait": -1}, "wait"),
        ({"wait": float("nan")}, "wait"),
        ({"mode": "both"}, "mode"),
        ({"any": 2}, "any"),
        ({"priority": -1}, "priority"),
        ({"priority": 10}, "priority"),
        ({"owner": "a\nb"}, "owner"),
        ({"owner": "\ud800"}, "owner"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"labels": {"": "x"}}, 'labels[""]'),
        ({"labels": {"a": 1}}, 'labels["a"]'),
    ],
)
def test_a_bad_option_is_named(hf: Holdfast, options: "dict[str, object]", field: str) -> None:
    name = unique()
    with pytest.raises(InvalidFieldError) as told:
        hf.acquire(name, **options)  # type: ignore[arg-type]
    assert fields_of(told.value) == [field]
    with pytest.raises(UnknownResourceError):
        hf.inspect(name)


def test_bad_names_are_named(hf: Holdfast) -> None:
    for names, field in (("", "resources[0]"), (["a", "b c"], "resources[1]"), ([], "resources"), (7, "resources")):
        with pytest.raises(InvalidFieldError) as told:
            hf.acquire(names)  # type: ignore[arg-type]
        assert fields_of(told.value) == [field]
    with pytest.raises(TypeError, match="tll"):
        hf.acquire("a", tll=3)  # type: ignore[call-arg]
    with pytest.raises(InvalidFieldError) as told:
        Holdfast("127.0.0.1:1", grace=-1)
    assert fields_of(told.value) == ["grace"]


def test_many_names_any_and_shared(hf: Holdfast) -> None:
    a, b = unique(), unique()
    with hf.lock([a, b]) as both:
        assert both.resources == [a, b]
        with pytest.raises(BusyError):
            hf.acquire([a, b], any=1)
    with hf.lock([a, b], any=1) as one, hf.lock([a, b], any=1) as other:
        assert sorted(one.resources + other.resources) == sorted([a, b])
    with hf.lock(a, mode="shared", owner="r1") as reader, hf.lock(a, mode="shared", owner="r2"):
        assert reader.mode == "shared"


def test_a_wait_for_oneself_is_a_deadlock(hf: Holdfast) -> None:
    name = unique()
    with hf.lock(name):
        with pytest.raises(DeadlockError) as told:
            hf.acquire(name, wait=5)
    assert told.value.owners and told.value.resources == [name] and told.value.cycle


def test_force_tells_the_holder(hf: Holdfast) -> None:
    name = unique()
    lease = hf.acquire(name)
    assert hf.force_release(name, reason="test", lease_ref=lease.lease_ref)[0].token == lease.token
    assert lease.lost_event.wait(60)
    assert lease.lost is not None and lease.lost.reason == "forced"
    with pytest.raises(LeaseLostError) as told:
        lease.check()
    assert told.value.why == "forced"
    assert lease.remaining == 0 and lease.release() is False
    with pytest.raises(LeaseLostError):
        lease.progress("x")


def test_a_scope_says_of_a_loss_only_if_its_body_ended_well(hf: Holdfast) -> None:
    name = unique()
    with pytest.raises(LeaseLostError):
        with hf.lock(name) as lease:
            hf.force_release(name, reason="test")
            lease.lost_event.wait(60)
    with pytest.raises(ZeroDivisionError):
        with hf.lock(name) as lease:
            hf.force_release(name, reason="test")
            lease.lost_event.wait(60)
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        with hf.lock(name):
            raise ZeroDivisionError
    assert hf.inspect(name, history=1).history[0].reason == "failed: ZeroDivisionError"


def test_progress_labels_and_lists(hf: Holdfast) -> None:
    prefix = unique()
    with hf.lock(f"{prefix}/a", owner="me") as lease, hf.lock(f"{prefix}/b", owner="you"):
        lease.progress("epoch 3")
        assert hf.inspect(f"{prefix}/a").holders[0].progress == "epoch 3"
        assert [one.resource for one in hf.list(prefix=prefix)] == [f"{prefix}/a", f"{prefix}/b"]
        assert [one.resource for one in hf.list(prefix=prefix, owner="you")] == [f"{prefix}/b"]
        with pytest.raises(InvalidFieldError) as told:
            lease.progress("x" * 1025)
        assert fields_of(told.value) == ["progress"]
    assert hf.status().embedded is True
    assert hf.with_lock(prefix, lambda lease: lease.token) > 0


def test_a_request_id_gets_the_same_lease(hf: Holdfast) -> None:
    name = unique()
    first = hf.acquire(name, request_id="r1" + name, owner="me")
    again = hf.acquire(name, request_id="r1" + name, owner="me")
    assert again.token == first.token and again.remaining > 0
    assert again.release() is True
    with pytest.raises(LeaseLostError):
        hf.acquire(name, request_id="r1" + name, owner="me")


def test_an_interrupt_gives_the_wait_up(hf: Holdfast) -> None:
    name = unique()
    # A shell's job in the background is started with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt() -> None:
        until("somebody waits", lambda: hf.inspect(name).waiters)
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.main_thread().ident
    with hf.lock(name, owner="other"):
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            hf.acquire(name, wait=600)
        thread.join()
        until("nobody waits", lambda: not hf.inspect(name).waiters)
    signal.signal(signal.SIGINT, before)
    assert hf.inspect(name).state == "free"


def test_close_releases_and_ends_waits(replica: Replica, hf: Holdfast) -> None:
    mine, name = Holdfast(replica.address), unique()
    lease, told = mine.acquire(name), []  # type: Lease, List[BaseException]

    def wait() -> None:
        try:
            mine.acquire(name, wait=600, owner="waiter")
        except ClosedError as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until("it waits", lambda: hf.inspect(name).waiters)
    mine.close()
    mine.close()
    thread.join(60)
    assert told
    assert hf.inspect(name).state == "free" and not hf.inspect(name).waiters
    assert lease.lost is not None and lease.lost.reason == "released" and lease.lost_event.is_set()
    for call in (lambda: mine.acquire(name), mine.status):
        with pytest.raises(ClosedError):
            call()


def test_too_many_waiters_is_a_quota() -> None:
    replica = Replica(HOLDFAST_MAX_WAITERS="1")
    try:
        with Holdfast(replica.address) as hf:
            name = unique()
            with hf.lock(name, owner="holder"):
                thread = threading.Thread(target=lambda: pytest.raises(ClosedError, hf.acquire, name, wait=600))
                thread.start()
                until("one waits", lambda: hf.inspect(name).waiters)
                with pytest.raises(QuotaError) as told:
                    hf.acquire(name, wait=600, owner="too many")
                assert told.value.reason == "TOO_MANY_WAITERS"
                hf.close()
                thread.join(60)
    except LeaseLostError:
        pass  # the client was closed under its own lock
    finally:
        replica.stop()


def test_nobody_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pending", "ops", "repeat"):
        monkeypatch.setattr(f"holdfast_client._core.{module}.SEND_WITHIN", 0.5)
    with Holdfast("127.0.0.1:1") as hf:
        for call in (lambda: hf.acquire("a"), lambda: hf.inspect("a"), lambda: hf.acquire("a", wait=0.1)):
            with pytest.raises(UnavailableError) as told:
                call()
            assert told.value.addresses == ["127.0.0.1:1"]
