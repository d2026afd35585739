"""What every call and stream of the fake shares: its locks, what a test has ordered, and what was asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Callable, List, Mapping, Optional, Protocol, Sequence, Set, Tuple

from .._proto import admin_pb2, lock_pb2
from . import _decode, _encode
from ._clock import ManualClock, Timer
from ._decode import TtlRange
from ._locks import Locks, NewId
from ._words import DRAINING, AcquireAsk, Keeper, Refusal, Refused, ordered

#: Asked for by the fake's own clients, each with its number, to know that all that was sent before has arrived:
#: neither logged nor refused.
ECHO = "fake/echo/"


@dataclass(frozen=True)
class Call:
    """One thing that was asked of the fake. Which fields are set depends on what it was. Spans in seconds."""

    #: `acquire`, `heartbeat`, `release`, `resume`, `check_token`, `inspect`, `list`, `force_release` or `status`.
    name: str
    #: By the fake's clock.
    at: float
    resources: Sequence[str] = ()
    owner: str = ""
    ttl: Optional[float] = None
    wait: float = 0.0
    mode: str = ""
    any: int = 0
    priority: int = 0
    request_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    progress: str = ""


class Standing(Protocol):
    """A stream that stands."""

    def drain(self, remaining: float) -> None: ...

    def end_drained(self) -> None:
        """The time of the drain is up."""

    def cut(self) -> None:
        """The connection is gone."""


@dataclass
class Order:
    """So many refusals yet."""

    on: str
    refusal: Refusal
    left: int


class GuardedClock:
    """The clock as the locks see it: what falls due happens under the desk's lock."""

    def __init__(self, clock: ManualClock, lock: threading.Condition) -> None:
        self._clock = clock
        self._guard = lock

    def now(self) -> float:
        return self._clock.now()

    def wall(self) -> float:
        return self._clock.wall()

    def after(self, delay: float, act: Callable[[], None]) -> Timer:
        def guarded() -> None:
            with self._guard:
                if not timer.cancelled:
                    act()

        timer = self._clock.after(delay, guarded)
        return timer


class Desk:
    """Everything here is done under `lock`, which is told of every change."""

    def __init__(self, clock: ManualClock, new_id: NewId, ttl: TtlRange) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.clock = GuardedClock(clock, self.lock)
        self.locks = Locks(self.clock, new_id, self.beat)
        self.ttl = ttl
        self.streams: Set[Standing] = set()
        self.calls: List[Call] = []
        #: New acquires, resumes and streams are refused with DRAINING.
        self.drained = False
        #: Every call ends with UNAVAILABLE, as from a transport.
        self.unreachable = False
        self.stalled = False
        #: Changes with everything that was asked or told.
        self.pulse = 0
        self._held_back: List[Callable[[], None]] = []
        self._orders: List[Order] = []

    def beat(self) -> None:
        self.pulse += 1
        self.lock.notify_all()

    def leave(self, stream: Standing) -> None:
        self.streams.discard(stream)
        self.beat()

    def log(self, call: Call) -> None:
        self.calls.append(replace(call, at=self.clock.now()))
        self.beat()

    def log_acquire(self, ask: AcquireAsk) -> None:
        self.log(Call("acquire", 0.0, **ask.__dict__))

    def log_lease(self, name: str, lease_id: str, reason: str = "", progress: str = "") -> None:
        resources, owner = self.locks.facts_of(lease_id)
        self.log(Call(name, 0.0, resources, owner, reason=reason, progress=progress))

    def admit(self, name: str) -> None:
        """Raises what a test has ordered for this call, or what a drain means for it."""
        if self.drained and name in ("acquire", "resume"):
            raise Refused(DRAINING)
        for order in self._orders:
            if order.on == name and order.left > 0:
                order.left -= 1
                raise Refused(order.refusal)

    def refuse(self, reason: str, times: int, on: str, refusal: Tuple[Optional[str], Optional[Mapping[str, str]], Optional[float]]) -> None:
        self._orders = [one for one in self._orders if one.left > 0]
        self._orders.append(Order(on, ordered(reason, *refusal), times))

    def allow(self) -> None:
        self._orders = []

    def hold_back(self, act: Callable[[], None]) -> None:
        """Does it now, or once the service goes on."""
        with self.lock:
            if self.stalled:
                self._held_back.append(act)
            else:
                act()

    def stall(self) -> None:
        self.stalled = True
        self.locks.renews = False

    def go_on(self) -> None:
        acts, self._held_back = self._held_back, []
        self.stalled = False
        self.locks.renews = True
        for act in acts:
            act()
        self.lock.notify_all()

    # -- calls that keep nothing -----------------------------------------------------------------------------------

    def heartbeat(self, request: lock_pb2.HeartbeatRequest) -> lock_pb2.HeartbeatResponse:
        self.log_lease("heartbeat", request.lease_id, progress=request.progress)
        self.admit("heartbeat")
        ttl = _decode.heartbeat_ttl(request, self.ttl)
        lease = self.locks.heartbeat(request.lease_id, ttl, request.progress)
        return lock_pb2.HeartbeatResponse(lease=_encode.lease(lease))

    def release(self, request: lock_pb2.ReleaseRequest, by: Optional[Keeper] = None) -> lock_pb2.ReleaseResponse:
        self.log_lease("release", request.lease_id, request.reason)
        self.admit("release")
        _decode.check_release(request)
        return lock_pb2.ReleaseResponse(released=self.locks.release(request.lease_id, request.reason, by))

    def check_token(self, request: lock_pb2.CheckTokenRequest) -> lock_pb2.CheckTokenResponse:
        self.log(Call("check_token", 0.0, (request.resource,)))
        self.admit("check_token")
        _decode.check_token_check(request)
        current, last = self.locks.check_token(request.resource, request.fencing_token)
        return lock_pb2.CheckTokenResponse(current=current, last_token=last)

    def inspect(self, request: lock_pb2.InspectRequest) -> lock_pb2.InspectResponse:
        self.log(Call("inspect", 0.0, (request.resource,)))
        self.admit("inspect")
        _decode.check_inspect(request)
        seen = self.locks.inspect(request.resource, request.history_limit)
        return _encode.inspection(seen, self.clock.wall())

    def list(self, request: lock_pb2.ListRequest) -> lock_pb2.ListResponse:
        self.log(Call("list", 0.0, owner=request.owner))
        self.admit("list")
        after = _decode.list_after(request)
        found = [
            one
            for one in self.locks.live()
            if one.resource.startswith(request.prefix)
            and one.resource > after
            and (not request.owner or any(holder.owner == request.owner for holder in one.holders))
        ]
        page = found[: request.page_size or 100]
        more = len(found) > len(page)
        token = _decode.page_token(page[-1].resource, request.prefix, request.owner) if more else ""
        return lock_pb2.ListResponse(locks=[_encode.summary(one) for one in page], next_page_token=token)

    def force_release(self, request: admin_pb2.ForceReleaseRequest) -> admin_pb2.ForceReleaseResponse:
        self.log(Call("force_release", 0.0, (request.resource,), reason=request.reason))
        self.admit("force_release")
        _decode.check_force_release(request)
        freed = self.locks.lose(request.resource, "forced", request.reason, request.lease_ref)
        return admin_pb2.ForceReleaseResponse(freed=[_encode.holder(one) for one in freed])

    def status(self, request: admin_pb2.StatusRequest) -> admin_pb2.StatusResponse:
        self.log(Call("status", 0.0))
        self.admit("status")
        node = admin_pb2.NodeStatus(node=_encode.NODE, state=admin_pb2.NODE_STATE_READY)
        return admin_pb2.StatusResponse(
            version="0.0.0-fake",
            nodes=[node],
            embedded=True,
            draining=self.drained,
            warnings=["this is a fake for tests"],
        )
