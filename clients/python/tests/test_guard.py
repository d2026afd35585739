"""The guard: names from arguments, the three layers at the end, and that none of them hides what the body raised."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Callable, List

import pytest

from holdfast_client import (
    BusyError,
    Holdfast,
    HoldfastError,
    Incident,
    InvalidFieldError,
    Lease,
    LeaseLostError,
    NoQuorumError,
    aio,
    current_lease,
)

from .service import Replica, unique


class SoftTimeLimitExceeded(Exception):
    """As a task queue raises it in the middle of a body."""


def last_reason(hf: Holdfast, name: str) -> str:
    return next(event.reason for event in hf.inspect(name, history=10).history if event.type in ("released", "forced"))


def test_arguments_name_the_lock(hf: Holdfast) -> None:
    prefix = unique()

    @hf.guard([prefix + "/gpu/{gpu_id}", prefix + "/{job[kind]}"], ttl=5)
    def work(gpu_id: int, *, job: "dict[str, str]", factor: int = 2) -> List[str]:
        """What it says."""
        current_lease().check()
        return current_lease().resources

    assert work(3, job={"kind": "train"}) == [f"{prefix}/gpu/3", f"{prefix}/train"]
    assert work.__doc__ == "What it says." and work.__name__ == "work"
    with pytest.raises(LookupError):
        current_lease()
    with pytest.raises(TypeError):
        work(job={"kind": "x"})  # type: ignore[call-arg]
    with hf.lock(f"{prefix}/gpu/3", owner="other"), pytest.raises(BusyError):
        work(3, job={"kind": "train"})


def test_a_template_that_cannot_be_filled_is_told_at_once(hf: Holdfast) -> None:
    for template, said in (("gpu/{card}", "card"), ("gpu/{}", "named after an argument"), ("gpu/{0}", "named"), ("{", "template")):
        with pytest.raises(TypeError, match=said):

            @hf.guard(template)
            def work(gpu_id: int) -> None: ...

    @hf.guard("gpu/{card}")
    def open_work(**given: int) -> None: ...

    with pytest.raises(TypeError, match="card"):
        open_work(other=1)
    with pytest.raises(InvalidFieldError):
        open_work(card="a b")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="coroutine"):

        @hf.guard("a")
        async def waits() -> None: ...


@pytest.mark.parametrize("error", [ValueError("x"), SoftTimeLimitExceeded(), SystemExit(3), KeyboardInterrupt()])
def test_a_body_that_fails_releases_with_the_reason(hf: Holdfast, error: BaseException) -> None:
    name, cleaned = unique(), []  # type: str, List[int]

    @hf.guard(name, on_cleanup=lambda lease: cleaned.append(lease.token))
    def work() -> None:
        raise error

    with pytest.raises(type(error)) as told:
        work()
    assert told.value is error and len(cleaned) == 1
    assert hf.inspect(name).state == "free"
    assert last_reason(hf, name) == f"failed: {type(error).__name__}"


@pytest.mark.parametrize("body", [None, ZeroDivisionError()])
def test_a_cleanup_that_fails_fails_alone(hf: Holdfast, tmp_path: Path, body: "BaseException | None") -> None:
    name, alerts, record = unique(), [], tmp_path / "incidents.jsonl"  # type: str, List[Incident], Path

    def reset(_lease: Lease) -> None:
        raise OSError("the card hangs")

    @hf.guard(name, on_cleanup=reset, on_alert=alerts.append, record=record)
    def work() -> int:
        if body is not None:
            raise body
        return 7

    if body is None:
        assert work() == 7
    else:
        with pytest.raises(ZeroDivisionError):
            work()
    assert hf.inspect(name).state == "free"
    assert [one.stage for one in alerts] == ["cleanup"] and "the card hangs" in alerts[0].error
    said = json.loads(record.read_text())
    assert said["stage"] == "cleanup" and said["resources"] == [name]
    assert said["body_error"] == ("" if body is None else "ZeroDivisionError: ")


def failing_release(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    def fail(_self: object, _op: object, _reason: str) -> bool:
        raise NoQuorumError("too few nodes confirmed")

    async def fail_later(_self: object, _op: object, _reason: str) -> bool:
        raise NoQuorumError("too few nodes confirmed")

    monkeypatch.setattr(kind, "release", fail if kind.__module__.endswith("_sync_engine") else fail_later)


@pytest.mark.parametrize("body", [None, SystemExit(1)])
def test_a_release_that_fails_is_made_by_force_and_told(
    hf: Holdfast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: "BaseException | None"
) -> None:
    from holdfast_client import _sync_engine

    name, alerts, record = unique(), [], tmp_path / "incidents.jsonl"  # type: str, List[Incident], Path

    @hf.guard(name, on_alert=alerts.append, record=record)
    def work() -> int:
        failing_release(monkeypatch, _sync_engine.Engine)
        if body is not None:
            raise body
        return 7

    if body is None:
        assert work() == 7
    else:
        with pytest.raises(SystemExit):
            work()
    assert hf.inspect(name).state == "free", "it was ended by force"
    assert alerts[0].stage == "release" and alerts[0].forced and "NoQuorumError" in alerts[0].error
    assert json.loads(record.read_text())["forced"] is True
    assert last_reason(hf, name) == "guard: its release failed: NoQuorumError"


def test_without_the_guard_the_same_failure_leaves_the_lock_taken(
    hf: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast_client import _sync_engine

    name = unique()
    with pytest.raises(NoQuorumError):
        with hf.lock(name):
            failing_release(monkeypatch, _sync_engine.Engine)
    assert hf.inspect(name).state == "held"


def test_when_force_fails_too_it_is_told_and_hides_nothing(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast_client import _sync_engine

    told: List[Incident] = []

    def alarm(_incident: Incident) -> None:
        raise RuntimeError("nobody answers")

    @hf.guard(unique(), on_alert=alarm, record=told.append)
    def work() -> None:
        failing_release(monkeypatch, _sync_engine.Engine)
        monkeypatch.setattr(Holdfast, "force_release", lambda *_args, **_kw: (_ for _ in ()).throw(HoldfastError("no")))
        raise ValueError("the body's own")

    with pytest.raises(ValueError, match="the body's own"):
        work()
    assert told[0].forced is False and "no" in told[0].force_error
    assert told[0].body_error == "ValueError: the body's own"


def test_an_order_to_end_during_the_end_is_kept(hf: Holdfast) -> None:
    name = unique()

    def stop(_lease: Lease) -> None:
        raise SystemExit(4)

    @hf.guard(name, on_cleanup=stop)
    def work() -> int:
        return 7

    with pytest.raises(SystemExit):
        work()
    assert hf.inspect(name).state == "free"


def test_a_loss_under_a_good_body_is_told(hf: Holdfast) -> None:
    name = unique()

    @hf.guard(name)
    def work(fail: bool) -> None:
        hf.force_release(name, reason="test")
        current_lease().lost_event.wait(60)
        if fail:
            raise ValueError("own")

    with pytest.raises(LeaseLostError):
        work(False)
    with pytest.raises(ValueError, match="own"):
        work(True)


def in_loop(replica: Replica, test: "Callable[[aio.Holdfast], object]") -> None:
    async def main() -> None:
        async with aio.Holdfast(replica.address) as hf:
            await test(hf)  # type: ignore[misc]

    asyncio.run(main())


def test_coroutines_are_guarded_alike(replica: Replica, hf: Holdfast, tmp_path: Path) -> None:
    async def test(ahf: aio.Holdfast) -> None:
        name, cleaned = unique(), []  # type: str, List[str]

        async def clean(lease: aio.Lease) -> None:
            await asyncio.sleep(0)
            cleaned.append(lease.lease_ref)
            raise OSError("the card hangs")

        @ahf.guard(name + "/{job}", on_cleanup=clean, record=tmp_path / "r.jsonl")
        async def work(job: int, error: "BaseException | None" = None) -> int:
            aio.current_lease().check()
            if error is not None:
                raise error
            return job

        assert await work(3) == 3 and len(cleaned) == 1
        with pytest.raises(ValueError):
            await work(4, ValueError())
        assert (await ahf.inspect(f"{name}/4")).state == "free"
        assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2

        @ahf.guard(name)
        async def lost() -> None:
            await ahf.force_release(name, reason="test")
            await asyncio.sleep(600)

        with pytest.raises(LeaseLostError):
            await lost()

        inside = asyncio.Event()

        @ahf.guard(name, on_cleanup=clean)
        async def cancelled() -> None:
            inside.set()
            await asyncio.sleep(600)

        task = asyncio.ensure_future(cancelled())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await ahf.inspect(name)).state == "free"

    in_loop(replica, test)


def test_a_coroutine_whose_release_fails_is_ended_by_force(
    replica: Replica, hf: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast_client import _aio_engine

    async def test(ahf: aio.Holdfast) -> None:
        name, told = unique(), []  # type: str, List[Incident]

        @ahf.guard(name, record=told.append)
        async def work() -> int:
            failing_release(monkeypatch, _aio_engine.Engine)
            return 7

        assert await work() == 7
        assert told[0].forced and (await ahf.inspect(name)).state == "free"

    in_loop(replica, test)
