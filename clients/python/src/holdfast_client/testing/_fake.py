"""A fake Holdfast for tests: one process, no Redis, a clock that the test moves, and every mishap at its word."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
import secrets
from typing import Callable, List, Mapping, Optional, Sequence, Tuple, Union

from .._core.asking import Seconds
from .._sync import Holdfast
from ..aio import Holdfast as AioHoldfast
from ._aio import AioFake
from ._clients import AioOnClock, KnownAio, KnownSync, SyncOnClock
from ._clock import ManualClock
from ._decode import TtlRange
from ._desk import Call, Desk
from ._locks import RELEASED, UNRENEWED
from ._server import Door
from ._settling import Settling
from ._words import CODES, AcquireAsk, Busy, Holder, Lease, Loss, Queued, Refusal, Refused, Waiter

Names = Union[str, Sequence[str]]
#: How long a drained replica goes on serving its streams.
DRAIN = 20.0


def new_id() -> Tuple[str, str]:
    lease_id = f"hf1.{secrets.token_urlsafe(16)}.fake"
    digest = hashlib.sha256(lease_id.encode()).digest()
    return lease_id, base64.urlsafe_b64encode(digest).decode()[:16]


class FakeHoldfast:
    """The service, faked. Every control returns when the clients that `client()` made know of it.

    After `fake.lose("gpu/0")` the lease's `lost_event` is set. With asyncio clients in the loop of this thread, use
    `await fake.aio.lose("gpu/0")` and so on.
    """

    def __init__(
        self,
        clock: Optional[ManualClock] = None,
        *,
        path: Optional[str] = None,
        min_ttl: Seconds = 0.1,
        max_ttl: Seconds = 60,
        default_ttl: Seconds = 30,
    ) -> None:
        """Listens, and is ready.

        clock: shared with others; one of its own unless given. path: a unix socket; a free port unless given.
        min_ttl, max_ttl, default_ttl: which ttls it grants, in seconds; as the service unless given.
        """
        self.clock = clock if clock is not None else ManualClock()
        self._desk = Desk(self.clock, new_id, TtlRange(min_ttl, max_ttl, default_ttl))
        self._door = Door(self._desk, path)
        self._settling = Settling(self._desk, self.clock)
        self._numbers = itertools.count(1)
        self._stopped = False
        self.clock.follow(self._settling)
        #: The same controls to be awaited, for tests with asyncio clients.
        self.aio = AioFake(self)

    @classmethod
    def start(cls, clock: Optional[ManualClock] = None, *, path: Optional[str] = None) -> "FakeHoldfast":
        """The same as to make one."""
        return cls(clock, path=path)

    @property
    def address(self) -> str:
        """`host:port` or `unix:/path`, for clients of other processes and languages, too."""
        return self._door.address

    def client(self, *, owner: Optional[str] = None, ttl: Optional[Seconds] = None, grace: Seconds = 1.0) -> Holdfast:
        """A client of this fake, on its clock; closed by `stop`."""
        client = SyncOnClock(self.address, owner=owner, ttl=ttl, grace=grace)
        client.on(self.clock)
        self._settling.add(KnownSync(client, next(self._numbers)))
        return client

    def aio_client(
        self, *, owner: Optional[str] = None, ttl: Optional[Seconds] = None, grace: Seconds = 1.0
    ) -> AioHoldfast:
        """The same for asyncio."""
        client = AioOnClock(self.address, owner=owner, ttl=ttl, grace=grace)
        client.on(self.clock)
        self._settling.add(KnownAio(client, next(self._numbers)))
        return client

    @property
    def calls(self) -> List[Call]:
        """What was asked so far, oldest first."""
        with self._desk.lock:
            return list(self._desk.calls)

    def holders(self, name: str) -> List[Holder]:
        """Who holds it, shared leases in the order of their grants."""
        with self._desk.lock:
            try:
                return self._desk.locks.inspect(name).holders
            except Refused:
                return []

    def waiters(self, name: str) -> List[Waiter]:
        """Who waits for it, the next to be served first."""
        with self._desk.lock:
            try:
                return self._desk.locks.inspect(name).waiters
            except Refused:
                return []

    def until(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Returns once `condition` holds; looks whenever something was asked or has changed.

        Raises TimeoutError after `timeout` real seconds.
        """
        with self._desk.lock:
            if not self._desk.lock.wait_for(condition, timeout):
                raise TimeoutError("it did not come to that")

    def hold(
        self, names: Names, *, owner: str = "somebody", mode: str = "exclusive", labels: Optional[Mapping[str, str]] = None
    ) -> Lease:
        """Somebody else holds it, and keeps it until `free`. Raises ValueError if it cannot be had."""
        somebody = self._acquire(names, owner, mode, 0, labels, 0.0)
        if somebody.lease is None:
            raise ValueError(f"{names} is not free")
        return somebody.lease

    def queue(self, names: Names, *, owner: str = "somebody", mode: str = "exclusive", priority: int = 0) -> None:
        """Somebody else stands in line for it, and keeps it once it is granted, until `free`."""
        self._acquire(names, owner, mode, priority, None, math.inf)

    def free(self, name: str) -> None:
        """Whoever holds it has released it."""
        self._end(name, "released", RELEASED)

    def lose(self, name: str, *, reason: str = "forced", detail: str = "the test has ended it") -> None:
        """Its lease ends under its holder, who is told why. Raises ValueError if nobody holds it.

        reason: `forced`, `expired`, `released` or `unknown`.
        """
        if reason not in ("forced", "expired", "released", "unknown"):
            raise ValueError(f"no lease is lost because it was {reason!r}")
        if not self.holders(name):
            raise ValueError(f"nobody holds {name}")
        self._end(name, reason, detail)

    def expire(self, name: str) -> None:
        """Its lease was not renewed in time: `lose` with the reason `expired`."""
        self.lose(name, reason="expired", detail=UNRENEWED)

    def ask_to_yield(self, name: str, *, owner: str = "somebody", priority: int = 9) -> None:
        """Somebody asks the holder to yield (`on_yield_request`)."""
        with self._desk.lock:
            self._desk.locks.ask_to_yield(name, owner, priority, 5.0)
        self._settling.settle()

    def refuse(
        self,
        reason: str,
        *,
        times: int = 1,
        on: str = "acquire",
        message: Optional[str] = None,
        metadata: Optional[Mapping[str, str]] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        """The next acquires (or `on` something else) fail with this reason."""
        if reason not in CODES:
            raise ValueError(f"{reason} is no reason of the service")
        with self._desk.lock:
            self._desk.refuse(reason, times, on, (message, metadata, retry_after))

    def allow(self) -> None:
        """Nothing is refused any more."""
        with self._desk.lock:
            self._desk.allow()

    def stall(self) -> None:
        """The service goes silent: it neither answers nor renews, and what is asked waits, until `go_on`."""
        with self._desk.lock:
            self._desk.stall()

    def go_on(self) -> None:
        with self._desk.lock:
            self._desk.go_on()
        self._settling.settle()

    def drain(self, *, for_good: bool = False) -> None:
        """The replica shuts down, and another one takes its place at the same address.

        Clients resume their leases there. `for_good`: there is no other one, and every new stream is refused with
        DRAINING.
        """
        self._settling.noticed(lambda: self._begin_drain(for_good))
        self._settling.settle()

    def disconnect(self, *, stay: bool = False) -> None:
        """Drops all connections. Clients come back at once, unless they shall `stay` away until `reconnect`."""
        stood = bool(self._desk.streams)

        def cut() -> None:
            self._desk.unreachable = True
            for stream in list(self._desk.streams):
                stream.cut()

        self._settling.noticed(cut)
        with self._desk.lock:
            self._desk.unreachable = stay
        if stood and not stay:
            self._settling.come_back()

    def reconnect(self) -> None:
        """After `disconnect(stay=True)`: the service can be reached again."""
        with self._desk.lock:
            self._desk.unreachable = False
        self._settling.come_back()

    def stop(self) -> None:
        """Closes its clients and the server."""
        if self._stopped:
            return
        self._stopped = True
        self.clock.unfollow(self._settling)
        with self._desk.lock:
            self._desk.go_on()
        self._settling.close()
        self._door.close()

    def __enter__(self) -> "FakeHoldfast":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _begin_drain(self, for_good: bool) -> None:
        streams = list(self._desk.streams)
        self._desk.drained = for_good
        for stream in streams:
            stream.drain(DRAIN)
        self._desk.locks.drain_waits()

        def end() -> None:
            for stream in streams:
                stream.end_drained()

        self._desk.clock.after(DRAIN, end)

    def _end(self, name: str, why: str, detail: str) -> None:
        with self._desk.lock:
            try:
                self._desk.locks.lose(name, why, detail)
            except Refused:
                return  # nobody has ever heard of it
        self._settling.settle()

    def _acquire(
        self, names: Names, owner: str, mode: str, priority: int, labels: Optional[Mapping[str, str]], wait: float
    ) -> "Somebody":
        resources = [names] if isinstance(names, str) else list(names)
        ttl = self._desk.ttl.usual
        ask = AcquireAsk(resources, owner, ttl, wait, mode, 0, priority, "", labels or {})
        somebody = Somebody(self._desk)
        with self._desk.lock:
            self._desk.locks.acquire(ask, somebody)
        self._settling.settle()
        if somebody.refusal is not None:
            raise ValueError(somebody.refusal.message)
        return somebody


class Somebody:
    """Somebody else, whom the test plays: keeps what is granted."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.lease: Optional[Lease] = None
        self.refusal: Optional[Refusal] = None

    def granted(self, lease: Lease, replayed: bool) -> None:
        self.lease = lease
        self._desk.locks.keep(lease.lease_id, self)

    def busy(self, busy: Busy) -> None: ...

    def refused(self, refusal: Refusal) -> None:
        self.refusal = refusal

    def queued(self, queued: Queued) -> None: ...

    def renewed(self, lease: Lease) -> None: ...

    def lost(self, loss: Loss) -> None: ...

    def asked_to_yield(self, owner: str, priority: int, waited: float) -> None: ...
