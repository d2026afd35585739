"""A Hold at the fake: one lease that lives as long as its stream."""

from __future__ import annotations

from typing import Callable, Optional

from .._proto import lock_pb2
from . import _decode, _encode
from ._desk import Desk
from ._session import Outbox
from ._words import DRAINING, UNREACHABLE, Busy, Lease, Loss, Queued, Refusal, Refused


class Hold:
    """One lease that lives as long as its stream."""

    def __init__(self, desk: Desk, request: lock_pb2.HoldRequest) -> None:
        self._desk = desk
        self.out: Outbox[lock_pb2.HoldResponse] = Outbox(desk)
        self._lease_id = ""
        self._grace = 0.0
        self._drained = False
        self._over = False
        self._give_up: Callable[[bool], bool] = lambda keep_place: False
        desk.streams.add(self)
        try:
            self._begin(request)
        except Refused as error:
            self._finish(error.refusal)

    def drain(self, remaining: float) -> None:
        self._drained = True
        self.out.put(lock_pb2.HoldResponse(draining=lock_pb2.Draining(remaining=_encode.duration(remaining))))

    def end_drained(self) -> None:
        if self._drained:
            self._finish(DRAINING)

    def cut(self) -> None:
        if not self._over:
            self.end()
            self.out.end(UNREACHABLE)

    def end(self) -> None:
        """The stream is over, by whoever's will."""
        if self._over:
            return
        self._over = True
        self._give_up(True)
        if self._lease_id:
            self._desk.locks.leave(self._lease_id, self, None if self._drained else self._grace)
        self._desk.leave(self)

    def granted(self, lease: Lease, replayed: bool) -> None:
        self._lease_id = lease.lease_id
        self._desk.locks.keep(lease.lease_id, self)
        self.out.put(lock_pb2.HoldResponse(granted=_encode.lease(lease, replayed)))

    def busy(self, busy: Busy) -> None:
        self.out.put(lock_pb2.HoldResponse(busy=_encode.busy(busy)))
        self._finish(None)

    def refused(self, refusal: Refusal) -> None:
        self._finish(refusal.within("acquire"))

    def queued(self, queued: Queued) -> None:
        self.out.put(lock_pb2.HoldResponse(queued=_encode.queued(queued)))

    def renewed(self, lease: Lease) -> None:
        self.out.put(lock_pb2.HoldResponse(renewed=_encode.lease(lease)))

    def lost(self, loss: Loss) -> None:
        self._lease_id = ""
        self.out.put(lock_pb2.HoldResponse(lost=_encode.lost(loss)))
        self._finish(None)

    def asked_to_yield(self, owner: str, priority: int, waited: float) -> None:
        asked = _encode.yield_request(owner, priority, waited)
        self.out.put(lock_pb2.HoldResponse(yield_request=asked))

    def _begin(self, request: lock_pb2.HoldRequest) -> None:
        acquire, self._grace = _decode.hold_ask(request, self._desk.ttl)
        if acquire is None:
            self._desk.log_lease("resume", request.resume_lease_id)
            self._desk.admit("resume")
            lease = self._desk.locks.resume(request.resume_lease_id, self)
            self._lease_id = lease.lease_id
            self.out.put(lock_pb2.HoldResponse(granted=_encode.lease(lease)))
        else:
            self._desk.log_acquire(acquire)
            self._desk.admit("acquire")
            self._give_up = self._desk.locks.acquire(acquire, self)

    def _finish(self, refusal: Optional[Refusal]) -> None:
        if not self._over:
            self.end()
            self.out.put(refusal)
