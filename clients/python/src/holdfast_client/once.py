"""One process makes a file, all get it: whole, once, and never overwritten by one that was too late."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, Awaitable, Callable, List, NamedTuple, Optional, TypeVar

from ._core.asking import failure_reason
from .errors import BusyError, HoldfastError, LeaseLostError
from .fencing._errors import PublishError, StaleTokenError
from .fencing._files import FencedFile, Path, disk_full, settled_file

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from . import aio
    from ._core.asking import LockOptions
    from ._sync import Holdfast, Lease

__all__ = ["OnceResult", "aonce", "once"]

T = TypeVar("T")
#: What says that this process came too late, or not at all: the file may have come about without it.
_LATE = (BusyError, LeaseLostError, StaleTokenError)


class OnceResult(NamedTuple):
    """The published file. ``token`` is None if it came there in another way; ``made``: this call has made it."""

    path: str
    token: Optional[int]
    made: bool


def once(
    hf: Holdfast,
    key: str,
    path: Path,
    fn: Callable[[str, Lease], object],
    *,
    verify: Optional[Callable[[str], object]] = None,
    **options: Unpack[LockOptions],
) -> OnceResult:
    """Returns once ``path`` is published.

    Where it is already, no lock is asked for. Else the first in line for ``key`` makes it with
    ``fn(temporary_path, lease)``, the others wait and get it; if the first dies or fails, the next one tries. One key
    for each path. verify: looks at the finished temporary file; raises, or answers False, if it must not be published.
    wait: seconds; without it for as long as it takes.

    Raises what ``fn`` or ``verify`` raised; PublishError if the disk refuses, is full for ``fn`` too, or ``verify``
    answered False; BusyError when ``wait`` is over; LeaseLostError or StaleTokenError if this process came too late -
    unless the file is published by then: however it came about, that is what was asked for, with ``made`` False. In
    each of these cases this call has published nothing and left no temporary file.
    """
    before = _found(path)
    if before is not None:
        return before
    try:
        lease = hf.acquire(key, **_waiting(options))
        reason = ""
        try:
            return _under_lease(lease, path, fn, verify)
        except BaseException as error:
            reason = failure_reason(error)
            raise
        finally:
            # The file is as it is: a release that no majority has confirmed ends with the lease, by its ttl.
            with contextlib.suppress(HoldfastError):
                lease.release(reason)
    except _LATE:
        after = _found(path)
        if after is None:
            raise
        return after


def _under_lease(
    lease: Lease,
    path: Path,
    fn: Callable[[str, Lease], object],
    verify: Optional[Callable[[str], object]],
) -> OnceResult:
    file = _claimed(path, lease.token)
    if isinstance(file, OnceResult):
        return file
    try:
        fn(file.temporary_path, lease)
        _verified(file, verify(file.temporary_path) if verify is not None else None)
        lease.check()
        return _published(file)
    except BaseException as error:
        _discard(file)
        full = disk_full(file.path, error)
        if full is None:
            raise
        raise full from error


async def aonce(
    hf: aio.Holdfast,
    key: str,
    path: Path,
    fn: Callable[[str, aio.Lease], Awaitable[object]],
    *,
    verify: Optional[Callable[[str], object]] = None,
    **options: Unpack[LockOptions],
) -> OnceResult:
    """As ``once``, for asyncio: ``fn`` is a coroutine function, cancelled when the lease is lost.

    ``verify`` is a plain function and runs in a thread, as all that touches the disk does.
    """
    before = await _in_thread(lambda: _found(path))
    if before is not None:
        return before
    try:
        lease = await hf.acquire(key, **_waiting(options))
        reason = ""
        try:
            return await _under_alease(lease, path, fn, verify)
        except BaseException as error:
            reason = failure_reason(error)
            raise
        finally:
            with contextlib.suppress(HoldfastError):
                await lease.release(reason)
    except _LATE:
        after = await _in_thread(lambda: _found(path))
        if after is None:
            raise
        return after


async def _under_alease(
    lease: aio.Lease,
    path: Path,
    fn: Callable[[str, aio.Lease], Awaitable[object]],
    verify: Optional[Callable[[str], object]],
) -> OnceResult:
    claims: List[FencedFile] = []
    try:
        file = await _in_thread(lambda: _claimed(path, lease.token, claims))
        if isinstance(file, OnceResult):
            return file
        claim = file
        await _while_held(lease, fn(claim.temporary_path, lease))
        if verify is not None:
            check = verify
            _verified(claim, await _in_thread(lambda: check(claim.temporary_path)))
        lease.check()
        return await _in_thread(lambda: _published(claim))
    except BaseException as error:
        for claim in claims:
            _discard(claim)
        full = disk_full(str(path), error)
        if full is None:
            raise
        raise full from error


async def _while_held(lease: aio.Lease, work: Awaitable[object]) -> None:
    """Awaits it; cancels it and raises LeaseLostError when the lease is lost first."""
    making = asyncio.ensure_future(work)
    losing = asyncio.ensure_future(lease.lost_event.wait())
    try:
        await asyncio.wait((making, losing), return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            await _ended(making)
            lease.check()
        await making
    finally:
        losing.cancel()
        await _ended(making)


async def _ended(making: asyncio.Future[object]) -> None:
    making.cancel()
    await asyncio.gather(making, return_exceptions=True)


async def _in_thread(work: Callable[[], T]) -> T:
    """Runs it in a thread. When cancelled it still waits for the thread: nothing may touch the file afterwards."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise


def _waiting(options: LockOptions) -> LockOptions:
    if options.get("wait") is None:
        return {**options, "wait": math.inf}
    return options


def _found(path: Path) -> Optional[OnceResult]:
    file = settled_file(path)
    return None if file is None else OnceResult(file.path, file.token, False)


def _claimed(path: Path, token: int, claims: Optional[List[FencedFile]] = None) -> FencedFile | OnceResult:
    before = _found(path)
    if before is not None:
        return before
    file = FencedFile.claim(path, token)
    if claims is not None:
        claims.append(file)
    # One whose lease was lost may have published until the claim was made; from here on none can.
    late = _found(path)
    if late is None:
        return file
    _discard(file)
    return late


def _verified(file: FencedFile, answer: object) -> None:
    if answer is False:
        raise PublishError(file.path, "`verify` has refused it")


def _published(file: FencedFile) -> OnceResult:
    if file.publish():
        return OnceResult(file.path, file.token, True)
    other = _found(file.path)
    if other is None:
        raise PublishError(file.path, "it was published by another one and then removed")
    return other


def _discard(file: FencedFile) -> None:
    with contextlib.suppress(OSError):
        file.discard()
