"""A Session at the fake: operations in, answers and events out, and what becomes of its leases at the end."""

from __future__ import annotations

import queue
from typing import Callable, Dict, Generic, Optional, Set, TypeVar, Union

from .._proto import lock_pb2
from . import _decode, _encode
from ._desk import ECHO, Desk
from ._locks import TAKEN_OVER
from ._words import CANCELLED, DRAINING, UNREACHABLE, Busy, Lease, Loss, Queued, Refusal, Refused, Violation, invalid

MOST_OPS = 1024
Message = TypeVar("Message")


class Outbox(Generic[Message]):
    """What goes out on one stream: messages, and at last how it ends; None: well."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._queue: "queue.SimpleQueue[Union[Message, Optional[Refusal]]]" = queue.SimpleQueue()

    def put(self, item: Union[Message, Optional[Refusal]]) -> None:
        self._desk.hold_back(lambda: self._queue.put(item))

    def end(self, refusal: Optional[Refusal]) -> None:
        """At once, whatever is held back."""
        self._queue.put(refusal)

    def get(self) -> Union[Message, Optional[Refusal]]:
        return self._queue.get()


class Claim:
    """An acquire or a resume of a session, and the lease that it becomes."""

    def __init__(self, session: "Session", seq: int, lease_id: str = "") -> None:
        self._session = session
        self.seq = seq
        #: Empty until it is granted.
        self.lease_id = lease_id
        self.give_up: Callable[[bool], bool] = lambda keep_place: False

    def granted(self, lease: Lease, replayed: bool) -> None:
        self._session.forget(lease.lease_id)
        self.lease_id = lease.lease_id
        self._session.desk.locks.keep(lease.lease_id, self)
        answer = lock_pb2.AcquireResponse(lease=_encode.lease(lease, replayed))
        self._session.result(lock_pb2.SessionResult(seq=self.seq, acquire=answer))

    def busy(self, busy: Busy) -> None:
        self._session.claims.pop(self.seq, None)
        answer = lock_pb2.AcquireResponse(busy=_encode.busy(busy))
        self._session.result(lock_pb2.SessionResult(seq=self.seq, acquire=answer))

    def refused(self, refusal: Refusal) -> None:
        self._session.claims.pop(self.seq, None)
        self._session.refuse(self.seq, refusal.within("acquire"))

    def queued(self, queued: Queued) -> None:
        self._session.event(lock_pb2.SessionEvent(seq=self.seq, queued=_encode.queued(queued)))

    def renewed(self, lease: Lease) -> None:
        self._session.event(
            lock_pb2.SessionEvent(seq=self.seq, lease_id=self.lease_id, renewed=_encode.lease(lease))
        )

    def lost(self, loss: Loss) -> None:
        mine = self._session.claims.get(self.seq) is self
        self._session.claims.pop(self.seq, None)
        # Not told of a lease that goes on under a newer operation here, or went where it was told to go.
        if mine and not (self._session.drained and loss.detail == TAKEN_OVER):
            self._session.event(
                lock_pb2.SessionEvent(seq=self.seq, lease_id=self.lease_id, lost=_encode.lost(loss))
            )

    def asked_to_yield(self, owner: str, priority: int, waited: float) -> None:
        asked = _encode.yield_request(owner, priority, waited)
        self._session.event(lock_pb2.SessionEvent(seq=self.seq, lease_id=self.lease_id, yield_request=asked))


class Session:
    """One stream; every method is called under the desk's lock."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.out: Outbox[lock_pb2.SessionResponse] = Outbox(desk)
        self.claims: Dict[int, Claim] = {}
        self.drained = False
        self._seqs: Set[int] = set()
        self._grace = 0.0
        self._half_closed = False
        self._over = False
        desk.streams.add(self)

    def read(self, request: lock_pb2.SessionRequest) -> None:
        if self._over:
            return
        try:
            grace = _decode.grace_of(request, self.desk.ttl)
            self._check([op.seq for op in request.ops])
        except Refused as error:
            self._fail(error.refusal)
            return
        if grace is not None:
            self._grace = grace
        for op in request.ops:
            if not self._over:
                self._begin(op)

    def half_close(self) -> None:
        self._half_closed = True
        self._end_when_answered()

    def drain(self, remaining: float) -> None:
        self.drained = True
        draining = lock_pb2.Draining(remaining=_encode.duration(remaining))
        self.event(lock_pb2.SessionEvent(draining=draining))

    def end_drained(self) -> None:
        if self.drained:
            self._fail(DRAINING)

    def cut(self) -> None:
        if not self._over:
            self.end()
            self.out.end(UNREACHABLE)

    def end(self) -> None:
        """The stream is over, by whoever's will."""
        if self._over:
            return
        self._over = True
        claims, self.claims = list(self.claims.values()), {}
        for claim in claims:
            claim.give_up(True)
            if claim.lease_id:
                self.desk.locks.leave(claim.lease_id, claim, None if self.drained else self._grace)
        self.desk.leave(self)

    def forget(self, lease_id: str) -> None:
        """An older operation of this session has it no more."""
        claim = self._claim_of(lease_id)
        if claim is not None:
            del self.claims[claim.seq]

    def result(self, result: lock_pb2.SessionResult) -> None:
        self._write(lock_pb2.SessionResponse(results=[result]))
        if self._half_closed:
            self._end_when_answered()

    def refuse(self, seq: int, refusal: Refusal) -> None:
        self.result(lock_pb2.SessionResult(seq=seq, error=_encode.error(refusal)))

    def event(self, event: lock_pb2.SessionEvent) -> None:
        self._write(lock_pb2.SessionResponse(events=[event]))
        self.desk.beat()

    # -- inside --------------------------------------------------------------------------------------------------

    def _check(self, seqs: "list[int]") -> None:
        """What breaks the rules of the stream itself; nothing of such a message is begun."""
        if len(seqs) > MOST_OPS:
            raise Refused(invalid([Violation("ops", f"must be at most {MOST_OPS}, not {len(seqs)}")]))
        for at, seq in enumerate(seqs):
            if seq == 0:
                raise Refused(invalid([Violation(f"ops[{at}].seq", "must not be 0")]))
            if seq in self._seqs:
                raise Refused(invalid([Violation(f"ops[{at}].seq", f"was used before: {seq}")]))
            self._seqs.add(seq)

    def _begin(self, op: lock_pb2.SessionOp) -> None:
        kind = op.WhichOneof("op")
        result = lock_pb2.SessionResult(seq=op.seq)
        try:
            if kind == "acquire":
                self._acquire(op.seq, op.acquire)
                return
            if kind == "heartbeat":
                result.heartbeat.CopyFrom(self.desk.heartbeat(op.heartbeat))
            elif kind == "release":
                result.release.CopyFrom(self.desk.release(op.release, self._claim_of(op.release.lease_id)))
                self.forget(op.release.lease_id)
            elif kind == "check_token":
                result.check_token.CopyFrom(self.desk.check_token(op.check_token))
            elif kind == "resume":
                result.resume.CopyFrom(self._resume(op.seq, op.resume.lease_id))
            elif kind == "cancel":
                result.cancel.cancelled = self._cancel(op.cancel.seq)
            else:
                raise Refused(invalid([Violation("op", "must be set")]))
        except Refused as error:
            self.refuse(op.seq, error.refusal if kind is None else error.refusal.within(kind))
            return
        self.result(result)

    def _acquire(self, seq: int, request: lock_pb2.AcquireRequest) -> None:
        if request.owner == ECHO:
            answer = lock_pb2.AcquireResponse(busy=lock_pb2.Busy())
            self.result(lock_pb2.SessionResult(seq=seq, acquire=answer))
            return
        ask = _decode.acquire_ask(request, self.desk.ttl)
        self.desk.log_acquire(ask)
        self._admit("acquire")
        claim = self.claims[seq] = Claim(self, seq)
        claim.give_up = self.desk.locks.acquire(ask, claim)

    def _resume(self, seq: int, lease_id: str) -> lock_pb2.Lease:
        _decode.check_lease_id("lease_id", lease_id)
        self.desk.log_lease("resume", lease_id)
        self._admit("resume")
        self.forget(lease_id)
        claim = Claim(self, seq, lease_id)
        lease = self.desk.locks.resume(lease_id, claim)
        self.claims[seq] = claim
        return _encode.lease(lease)

    def _admit(self, name: str) -> None:
        if self.drained:
            raise Refused(DRAINING)
        self.desk.admit(name)

    def _cancel(self, target: int) -> bool:
        if target == 0:
            raise Refused(invalid([Violation("seq", "must not be 0")]))
        claim = self.claims.get(target)
        gave_up = claim is not None and claim.give_up(False)
        if gave_up:
            self.claims.pop(target, None)
            self.refuse(target, CANCELLED)
        elif claim is not None:
            self.claims.pop(target, None)
            self.desk.locks.leave(claim.lease_id, claim, 0.0)
        return gave_up

    def _claim_of(self, lease_id: str) -> Optional[Claim]:
        return next((one for one in self.claims.values() if lease_id and one.lease_id == lease_id), None)

    def _write(self, response: lock_pb2.SessionResponse) -> None:
        if not self._over:
            self.out.put(response)

    def _end_when_answered(self) -> None:
        if self._over or not all(claim.lease_id for claim in self.claims.values()):
            return
        self.end()
        self.out.put(None)

    def _fail(self, refusal: Refusal) -> None:
        if not self._over:
            self.end()
            self.out.put(refusal)
