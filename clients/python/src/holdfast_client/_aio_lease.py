"""The asyncio client's lease, and who owns it."""

from __future__ import annotations

import asyncio
import os
import weakref
from types import TracebackType
from typing import Callable, Optional, Type

from ._aio_engine import Engine, Waiter
from ._aio_scope import Scope
from ._core import asking
from ._core.lease import LeaseState
from ._core.ops import Op
from ._core.views import YieldRequest
from ._guard import lease_of_body
from ._lease import LeaseFace
from ._options import host, next_number

_numbers: "weakref.WeakKeyDictionary[asyncio.Task[object], int]" = weakref.WeakKeyDictionary()


def task_owner() -> str:
    """HOST/PID/N: N is this task's own number, never that of another task or thread."""
    task = asyncio.current_task()
    if task is None:
        return f"{host()}/{os.getpid()}/0"
    number = _numbers.get(task)
    if number is None:
        number = _numbers[task] = next_number()
    return f"{host()}/{os.getpid()}/{number}"


class Lease(LeaseFace):
    """A lease of this event loop."""

    _keeper: Engine

    def __init__(
        self, engine: Engine, state: LeaseState, on_yield: Optional[Callable[[YieldRequest], object]]
    ) -> None:
        super().__init__(engine, state)
        self._event = asyncio.Event()
        self._on_yield = on_yield
        self._scope: Optional[Scope] = None
        state.waiter = self
        if state.lost is not None:
            self._event.set()

    @property
    def lost_event(self) -> asyncio.Event:
        """Set when the lease is lost."""
        return self._event

    async def release(self, reason: str = "") -> bool:
        """Ends the lease; True if this call did. Returns once a majority of the nodes has confirmed it.

        reason: for the history, at most 512 characters. False after a loss or an earlier release, and in a
        process that was forked off. Raises NoQuorumError if too few nodes confirmed: the service goes on
        trying, and the lease ends by its ttl at the latest; UnavailableError if no address could be reached.
        Cancelling the wait does not take it back.
        """
        if not self._keeper.here:
            return False
        return await self._keeper.release(Op(None, Waiter(), self._state), asking.reason_text(reason))

    async def progress(self, text: str) -> None:
        """Says what others see of the work: at most 1024 characters. Raises LeaseLostError if the lease is gone."""
        request = asking.heartbeat_request(self.lease_id, text)
        self.check()
        await self._keeper.run(Op(request, Waiter(), self._state))

    def within(self, scope: Scope) -> None:
        """For the scope: it is to hear of the loss, also of one that was before."""
        self._scope = scope
        if self._state.lost is not None:
            scope.lost()

    def lost_now(self) -> None:
        """For the engine: it has ended."""
        self._event.set()
        if self._scope is not None:
            self._scope.lost()

    def asked(self, request: YieldRequest) -> None:
        """For the engine: somebody asks for it."""
        if self._on_yield is not None:
            self._keeper.loop.call_soon(self._on_yield, request)

    async def __aenter__(self) -> "Lease":
        scope = Scope(self._itself)
        return await scope.__aenter__()

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        assert self._scope is not None
        await self._scope.__aexit__(kind, error, trace)

    async def _itself(self) -> "Lease":
        return self


def current_lease() -> Lease:
    """The lease of the guarded coroutine that runs; LookupError outside of one."""
    lease = lease_of_body.get()
    if not isinstance(lease, Lease):
        raise LookupError("no guarded coroutine runs here")
    return lease
