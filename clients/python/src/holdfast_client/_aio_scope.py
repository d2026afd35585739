"""The block under a lock in asyncio: the loss of the lease cancels the task inside, and only that."""

from __future__ import annotations

import asyncio
import logging
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Awaitable, Callable, Optional, Type

from ._core.asking import failure_reason
from .errors import HoldfastError

if TYPE_CHECKING:
    from ._aio_lease import Lease

log = logging.getLogger("holdfast_client")

#: Before Python 3.11 nobody counts cancellations, so a message has to tell ours from somebody else's.
MESSAGE = "holdfast: the lease is lost"


class Scope:
    """What `lock` and `hold` return: entering it takes the lease, leaving it gives it back. One `async with` each."""

    def __init__(self, take: Callable[[], Awaitable["Lease"]]) -> None:
        self._take = take
        self._lease: Optional["Lease"] = None
        self._task: Optional["asyncio.Task[object]"] = None
        self._before = 0
        self._cancelled = False
        self._inside = False

    async def __aenter__(self) -> "Lease":
        if self._task is not None:
            raise RuntimeError("a lock is entered once; ask for another one")
        self._task = asyncio.current_task()
        lease = self._lease = await self._take()
        if sys.version_info >= (3, 11) and self._task is not None:
            self._before = self._task.cancelling()
        self._inside = True
        lease.within(self)
        return lease

    def lost(self) -> None:
        """The lease has ended: soon, because the task that found it so is told by what it called."""
        asyncio.get_running_loop().call_soon(self._cancel)

    def _cancel(self) -> None:
        task = self._task
        if task is None or not self._inside or self._cancelled or task.done():
            return
        if sys.version_info < (3, 11) and _cancelled_by_others(task):
            return
        self._cancelled = True
        task.cancel(MESSAGE)

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        told = self.left(error)
        lease = self._lease
        assert lease is not None
        if told is not None:
            raise told from error
        if error is None:
            await lease.release()
            return
        try:
            await lease.release(failure_reason(error))
        except HoldfastError as failed:
            log.warning("the lease %s could not be released: %s", lease.lease_ref, failed)

    def left(self, error: Optional[BaseException]) -> Optional[HoldfastError]:
        """The body is over. Returns what is to be raised instead: the loss, unless the body failed by itself."""
        self._inside = False
        lease = self._lease
        assert lease is not None
        ours = self._cancelled and self._is_ours(error)
        lost = lease.lost if lease.here else None
        if lost is None or not (error is None or ours):
            return None
        return lease.lost_error(lost)

    def _is_ours(self, error: Optional[BaseException]) -> bool:
        """Takes our own cancellation back, and says whether it was the only one."""
        if sys.version_info >= (3, 11):
            assert self._task is not None
            alone = self._task.uncancel() <= self._before
            return alone and isinstance(error, asyncio.CancelledError)
        seen = error
        while isinstance(seen, asyncio.CancelledError):
            if MESSAGE in seen.args:
                return True
            seen = seen.__context__
        return False


def _cancelled_by_others(task: "asyncio.Task[object]") -> bool:
    """Somebody cancelled it, and it has not heard of it yet: ours would hide that (before Python 3.11)."""
    if getattr(task, "_must_cancel", False):
        return True
    waits_for = getattr(task, "_fut_waiter", None)
    return waits_for is not None and waits_for.cancelled()
