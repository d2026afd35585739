"""The synchronous client's lease, and the block that ends it."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Callable, Optional, Type

from . import _fork
from ._core import asking
from ._core.lease import LeaseState
from ._core.ops import Op
from ._core.views import YieldRequest
from ._guard import lease_of_body
from ._lease import LeaseFace
from ._sync_engine import Engine, Waiter
from .errors import HoldfastError

log = logging.getLogger("holdfast_client")


class Lease(LeaseFace):
    """A lease that any thread of this process may use; `with` it to release it at the end of a block."""

    _keeper: Engine

    def __init__(
        self, engine: Engine, state: LeaseState, on_yield: Optional[Callable[[YieldRequest], object]]
    ) -> None:
        super().__init__(engine, state)
        self._event = threading.Event()
        self._on_yield = on_yield
        state.waiter = self
        if state.lost is not None:
            self._event.set()
        _fork.tell(self)

    @property
    def lost_event(self) -> threading.Event:
        """Set when the lease is lost. Wait for it in the thread that works, or in one that watches it."""
        return self._event

    def release(self, reason: str = "") -> bool:
        """Ends the lease; True if this call did. Returns once a majority of the nodes has confirmed it.

        reason: for the history, at most 512 characters. False after a loss or an earlier release, and in a
        process that was forked off. Raises NoQuorumError if too few nodes confirmed: the service goes on
        trying, and the lease ends by its ttl at the latest; UnavailableError if no address could be reached.
        """
        if not self._keeper.here:
            return False
        op = Op(None, Waiter(), self._state)
        return self._keeper.release(op, asking.reason_text(reason))

    def progress(self, text: str) -> None:
        """Says what others see of the work: at most 1024 characters. Raises LeaseLostError if the lease is gone."""
        request = asking.heartbeat_request(self.lease_id, text)
        self.check()
        self._keeper.run(Op(request, Waiter(), self._state))

    def lost_now(self) -> None:
        """For the engine: it has ended."""
        self._event.set()

    def forked(self) -> None:
        """In a child, which has no lease. The event's lock may have been held by a thread that is not there."""
        threading.Event.__init__(self._event)
        self._event.set()

    def asked(self, request: YieldRequest) -> None:
        """For the engine: somebody asks for it. In a thread of its own, because the callback is the caller's."""
        if self._on_yield is not None:
            threading.Thread(target=self._ask, args=(request,), name="holdfast-yield", daemon=True).start()

    def _ask(self, request: YieldRequest) -> None:
        try:
            assert self._on_yield is not None
            self._on_yield(request)
        except Exception:
            log.exception("on_yield_request failed")

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Releases. Raises LeaseLostError where the body ended well and the lease was lost under it."""
        if not self._keeper.here:
            return
        if error is None:
            lost = self.lost
            if lost is not None:
                raise self.lost_error(lost)
            self.release()
            return
        try:
            self.release(asking.failure_reason(error))
        except HoldfastError as failed:
            log.warning("the lease %s could not be released: %s", self.lease_ref, failed)


class Scope:
    """What `lock` and `hold` return: entering it takes the lease, leaving it gives it back. One `with` each."""

    def __init__(self, take: Callable[[], Lease]) -> None:
        self._take = take
        self._lease: Optional[Lease] = None

    def __enter__(self) -> Lease:
        if self._lease is not None:
            raise RuntimeError("a lock is entered once; ask for another one")
        self._lease = self._take()
        return self._lease

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        assert self._lease is not None
        self._lease.__exit__(kind, error, trace)


def current_lease() -> Lease:
    """The lease of the guarded function that runs; LookupError outside of one."""
    lease = lease_of_body.get()
    if not isinstance(lease, Lease):
        raise LookupError("no guarded function runs here")
    return lease
