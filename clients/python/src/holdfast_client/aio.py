"""The client for asyncio: the same words as the synchronous one, awaited."""

from __future__ import annotations

import asyncio
import math
import uuid
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    List,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
)

import grpc

from ._aio_calls import Calls
from ._aio_engine import Engine, Waiter
from ._aio_guard import Guard
from ._aio_lease import Lease, current_lease, task_owner
from ._aio_scope import Scope
from ._aio_transport import transport
from ._core import answers, asking
from ._core.asking import LockOptions, Names, Seconds
from ._core.lease import LeaseState
from ._core.ops import Op
from ._core.views import Holder, Inspection, LockSummary, ServiceStatus, TokenCheck
from ._fork import Kept
from ._guard import Incident, Record
from ._options import Settings, Token, settings
from ._proto import admin_pb2
from ._wire import FORCE_RELEASE, INSPECT, LIST, STATUS
from .errors import ClosedError
from .fencing._files import Path
from .once import OnceResult, aonce

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, Unpack

    P = ParamSpec("P")

__all__ = ["Holdfast", "Incident", "Lease", "Scope", "current_lease"]

T = TypeVar("T")

class Connection:
    """What one process has of a client, in one loop."""

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.get_running_loop()
        self._transport = transport(settings)
        self.engine = Engine(settings, self._transport)
        self.calls = Calls(settings, self._transport)

    async def close(self) -> None:
        self.calls.close()
        await self.engine.close()
        await self._transport.close()

    def forked(self) -> None:
        self._transport.forked()


class Holdfast:
    """A client of the lock service: one connection and one Session for all its locks, in one event loop.

    address, addresses: `host:port` or `unix:/path`, one or several replicas, tried in this order.
    owner: taken for all its locks; unless given, each task is an owner of its own.
    ttl: seconds, for locks that say nothing of it; unless given, the service's default.
    grace: seconds that the service keeps the leases after the connection was cut; see the README.
    keepalive: seconds between pings, and seconds that an answer may take.
    credentials: for TLS; without them the connection is plain.
    token: who this is, where the service asks: its bearer token, or a function that has it, asked at each call.
    It connects when first asked, and never keeps the process alive.
    """

    def __init__(
        self,
        address: Optional[str] = None,
        *,
        addresses: Optional[Sequence[str]] = None,
        owner: Optional[str] = None,
        ttl: Optional[Seconds] = None,
        grace: Seconds = 1.0,
        keepalive: Tuple[Seconds, Seconds] = (10.0, 5.0),
        credentials: Optional[grpc.ChannelCredentials] = None,
        token: Optional[Token] = None,
    ) -> None:
        self._settings = settings(address, addresses, owner, ttl, grace, keepalive, credentials, token)
        self._closed = False
        self._kept: "Kept[Connection]" = Kept(lambda: Connection(self._settings))

    # -- locks ---------------------------------------------------------------------------------------------------

    async def acquire(self, names: Names, **options: Unpack[LockOptions]) -> Lease:
        """Takes a lease on all `names` (or `any` of them), one name or a list; the caller releases it.

        ttl: seconds for which it is good without a renewal; the service renews it. wait: seconds to stand in line;
        0 or None not at all, math.inf for as long as it takes. owner: one thread of control; this task unless
        given. mode: "exclusive" or "shared". any: how many of `names`, 0 for all. priority: 0 to 9. labels: shown
        with the lease. request_id: makes the call safe to repeat. on_queued, on_yield_request: called by the loop,
        with each new place in line, and when somebody of higher priority asks.
        Cancelling the task gives the wait up; a grant that comes meanwhile is released.
        Raises BusyError where it is not granted; InvalidFieldError, NoQuorumError, DeadlockError, QuotaError,
        DeniedError, DrainingError, UnavailableError, ClosedError.
        """
        return await self._acquire(names, options, 0.0)

    def lock(self, names: Names, **options: Unpack[LockOptions]) -> Scope:
        """`async with hf.lock("gpu/0") as lease:` takes the lease as `acquire` does, and releases it at the end.

        When the lease is lost the task inside is cancelled, and the block raises LeaseLostError.
        """
        return Scope(lambda: self._acquire(names, options, 0.0))

    def hold(self, names: Names, **options: Unpack[LockOptions]) -> Scope:
        """As `lock`; waits for as long as it takes, unless `wait` says otherwise."""
        return Scope(lambda: self._acquire(names, options, math.inf))

    async def with_lock(
        self, names: Names, fn: Callable[[Lease], Awaitable[T]], **options: Unpack[LockOptions]
    ) -> T:
        """`await fn(lease)` under the lock, which is released whatever `fn` does."""
        async with Scope(lambda: self._acquire(names, options, 0.0)) as lease:
            return await fn(lease)

    async def once(
        self,
        key: str,
        path: Path,
        fn: Callable[[str, Lease], Awaitable[object]],
        *,
        verify: Optional[Callable[[str], object]] = None,
        **options: Unpack[LockOptions],
    ) -> OnceResult:
        """One process makes the file at `path` by `await fn(temporary_path, lease)`, all get it; see `once.aonce`."""
        return await aonce(self, key, path, fn, verify=verify, **options)

    def guard(
        self,
        names: Names,
        *,
        on_cleanup: Optional[Callable[[Lease], object]] = None,
        on_alert: Optional[Callable[[Incident], object]] = None,
        record: Optional[Record] = None,
        **options: Unpack[LockOptions],
    ) -> Callable[[Callable[P, Coroutine[object, object, T]]], Callable[P, Coroutine[object, object, T]]]:
        """A decorator: the coroutine runs under the lock that its arguments name, `@hf.guard("gpu/{gpu_id}", ttl=30)`.

        As Holdfast.guard of the synchronous client; `on_cleanup` may be a coroutine function, `on_alert` and `record`
        are plain ones. Cancelling the task does not cut the end short. When the lease is lost the task is cancelled,
        and the call raises LeaseLostError.
        """
        return Guard(self, names, options, on_cleanup, on_alert, record).decorate

    async def _acquire(self, names: Names, options: LockOptions, wait: float) -> Lease:
        owner = self._settings.owner or task_owner()
        asked = asking.asked(names, options, owner, self._settings.ttl, wait, lambda: uuid.uuid4().hex)
        engine = self._engine()
        op = Op(asked.request, Waiter(asked.on_queued))
        op.wait = asked.wait
        state = await engine.run(op)
        assert isinstance(state, LeaseState)
        return Lease(engine, state, asked.on_yield_request)

    # -- views and administration --------------------------------------------------------------------------------

    async def inspect(self, name: str, *, history: int = 0) -> Inspection:
        """Who holds it, who waits, and its last `history` events. Raises UnknownResourceError, NoQuorumError."""
        return answers.inspection(await self._calls().call(INSPECT, asking.inspect_request(name, history)))

    async def list(self, *, prefix: str = "", owner: str = "") -> AsyncIterator[LockSummary]:
        """What is held or awaited under `prefix`, or held by `owner`, page by page as it is read."""
        page = ""
        while True:
            answer = await self._calls().call(LIST, asking.list_request(prefix, owner, page))
            for one in answer.locks:
                yield answers.summary(one)
            page = answer.next_page_token
            if not page:
                return

    async def check_token(self, name: str, token: int) -> TokenCheck:
        """Whether `token` is that of a lease in force on `name`; true or false as it stands."""
        request = asking.check_token_request(name, token)
        checked = await self._engine().run(Op(request, Waiter()))
        assert isinstance(checked, TokenCheck)
        return checked

    async def force_release(self, name: str, *, reason: str, lease_ref: str = "") -> List[Holder]:
        """Ends somebody's lease on `name`: that with `lease_ref`, or whichever there is. Returns who had it."""
        request = asking.force_request(name, reason, lease_ref)
        # Without a reference a repeat might end the next lease.
        answer = await self._calls().call(FORCE_RELEASE, request, again=lease_ref != "")
        return [answers.holder(one) for one in answer.freed]

    async def status(self) -> ServiceStatus:
        """The replica that answers, and its nodes."""
        return answers.service_status(await self._calls().call(STATUS, admin_pb2.StatusRequest()))

    # -- its end -------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Ends the Session: what is still held is released, what waits raises ClosedError. May be called twice."""
        self._closed = True
        kept = self._kept.peek()
        if kept is not None and kept.loop is asyncio.get_running_loop():
            await kept.close()

    async def __aenter__(self) -> "Holdfast":
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    def _engine(self) -> Engine:
        return self._open().engine

    def _calls(self) -> Calls:
        return self._open().calls

    def _open(self) -> Connection:
        if self._closed:
            raise ClosedError("the client was closed")
        kept = self._kept.get()
        if kept.loop is not asyncio.get_running_loop():
            # A client that outlives its loop begins anew in the next one.
            self._kept.drop()
            kept = self._kept.get()
        return kept
