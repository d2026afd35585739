"""A service in miniature and a clock that is set by hand: what the core is checked against, step by step."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Deque, Dict, List, Optional

from holdfast_client import HoldfastError
from holdfast_client._core.asking import asked, duration
from holdfast_client._core.effects import Close, Finish, Open, TellLost
from holdfast_client._core.lease import LeaseState
from holdfast_client._core.ops import Op
from holdfast_client._core.session import Session
from holdfast_client._proto import lock_pb2

TTL = 10.0


@dataclass
class Kept:
    """A lease as the service has it."""

    name: str
    lease_id: str
    token: int
    request_id: str
    expires: float
    stream: int
    seq: int


@dataclass
class Pipe:
    """One stream: what travels in both directions, and who has seen its end."""

    to_service: Deque[lock_pb2.SessionRequest] = field(default_factory=deque)
    to_client: Deque[lock_pb2.SessionResponse] = field(default_factory=deque)
    grace: float = 0.0
    draining: bool = False
    #: When the service acts on the end that the client has seen already.
    cut_at: Optional[float] = None
    done: bool = False


class World:
    """Two replicas over the same locks; each step moves one message, time, or breaks something."""

    def __init__(self, grace: float) -> None:
        self.now = 1000.0
        self.session = Session(["one", "two"], grace, lambda: 0.5)
        self.pipes: Dict[int, Pipe] = {}
        self.kept: Dict[str, Kept] = {}
        self.ended: List[str] = []
        self.waits: List["tuple[int, int, lock_pb2.AcquireRequest, float]"] = []
        self.finished: Dict[int, List[object]] = {}
        self.ops: List[Op] = []
        self.held: List[LeaseState] = []
        self.lost: List[LeaseState] = []
        self.tokens = 0

    # -- the caller ----------------------------------------------------------------------------------------------

    def acquire(self, name: str, wait: float) -> None:
        number = len(self.ops)
        wanted = asked(name, {"ttl": TTL}, "me", None, wait, lambda: f"r{number}")
        op = Op(wanted.request, number)
        op.wait = wanted.wait
        self.ops.append(op)
        self.finished[number] = []
        self.session.submit(op, self.now)
        self.act()

    def release(self, lease: LeaseState) -> None:
        number = len(self.ops)
        op = Op(None, number, lease)
        self.ops.append(op)
        self.finished[number] = []
        self.session.release(op, "", self.now)
        self.act()

    def act(self) -> None:
        """Does what the machine wants, and reads what it would send."""
        for effect in self.session.effects():
            if isinstance(effect, Open):
                self.pipes[effect.stream] = Pipe()
            elif isinstance(effect, Close):
                self.end(effect.stream, failure=None)
            elif isinstance(effect, Finish):
                assert isinstance(effect.waiter, int)
                self.finished[effect.waiter].append(effect.outcome)
                if isinstance(effect.outcome, LeaseState):
                    self.held.append(effect.outcome)
            elif isinstance(effect, TellLost):
                self.lost.append(effect.lease)

    # -- the network ---------------------------------------------------------------------------------------------

    def send(self, number: int) -> None:
        message = self.session.take(number, self.now)
        if message is not None:
            self.pipes[number].to_service.append(message)
        self.act()

    def deliver(self, number: int) -> None:
        pipe = self.pipes[number]
        if pipe.to_service and pipe.cut_at is None:
            self.serve(number, pipe.to_service.popleft())

    def answer(self, number: int) -> None:
        pipe = self.pipes[number]
        if pipe.to_client and pipe.cut_at is None:
            self.session.heard(number, pipe.to_client.popleft(), self.now)
            self.act()

    def end(self, number: int, failure: Optional[HoldfastError]) -> None:
        """The client sees the end no later than the service."""
        pipe = self.pipes[number]
        if pipe.cut_at is None:
            pipe.cut_at = self.now
            self.session.ended(number, failure, self.now)
            self.act()

    def pass_time(self, seconds: float) -> None:
        """In small steps, so that renewals and looks come in between as they would."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.5)
            self.session.tick(self.now)
            self.act()
            for number, pipe in list(self.pipes.items()):
                if pipe.cut_at is not None and not pipe.done and self.now >= pipe.cut_at + pipe.grace:
                    self.stream_ended(number, pipe)
            for one in list(self.kept.values()):
                if self.now >= one.expires:
                    self.drop(one)
            self.serve_waits()
            self.check()

    # -- the service ---------------------------------------------------------------------------------------------

    def lease(self, one: Kept, replayed: bool = False) -> lock_pb2.Lease:
        told = lock_pb2.Lease(lease_id=one.lease_id, lease_ref=one.lease_id, resources=[one.name], replayed=replayed)
        told.fencing_token = one.token
        told.mode = lock_pb2.MODE_EXCLUSIVE
        told.ttl.CopyFrom(duration(TTL))
        told.expire_time.FromNanoseconds(round(one.expires * 1e9))
        return told

    def tell(self, number: int, **parts: object) -> None:
        self.pipes[number].to_client.append(lock_pb2.SessionResponse(**parts))  # type: ignore[arg-type]

    def result(self, number: int, **parts: object) -> None:
        self.tell(number, results=[lock_pb2.SessionResult(**parts)])  # type: ignore[arg-type]

    def refuse(self, number: int, seq: int, reason: str, code: int = 9) -> None:
        result = lock_pb2.SessionResult(seq=seq)
        result.error.code, result.error.reason = code, reason
        self.tell(number, results=[result])

    def serve(self, number: int, message: lock_pb2.SessionRequest) -> None:
        pipe = self.pipes[number]
        if message.HasField("grace"):
            pipe.grace = message.grace.seconds + message.grace.nanos * 1e-9
        for op in message.ops:
            kind = op.WhichOneof("op")
            if kind == "acquire":
                self.serve_acquire(number, op.seq, op.acquire)
            elif kind == "release":
                one = self.kept.get(op.release.lease_id)
                if one is not None:
                    self.drop(one)
                self.result(number, seq=op.seq, release=lock_pb2.ReleaseResponse(released=one is not None))
            elif kind == "cancel":
                for one in list(self.kept.values()):
                    if (one.stream, one.seq) == (number, op.cancel.seq):
                        self.drop(one)
                self.result(number, seq=op.seq, cancel=lock_pb2.CancelResult())
            else:
                self.serve_kept(number, op, op.heartbeat.lease_id or op.resume.lease_id)

    def serve_kept(self, number: int, op: lock_pb2.SessionOp, lease_id: str) -> None:
        one = self.kept.get(lease_id)
        is_resume = op.WhichOneof("op") == "resume"
        if one is None:
            self.refuse(number, op.seq, "LEASE_LOST")
        elif is_resume and self.pipes[number].draining:
            self.refuse(number, op.seq, "DRAINING", 14)
        elif is_resume:
            one.stream, one.seq = number, op.seq
            one.expires = max(one.expires, self.now + TTL)
            self.result(number, seq=op.seq, resume=self.lease(one))
        else:
            one.expires = max(one.expires, self.now + TTL)
            self.result(number, seq=op.seq, heartbeat=lock_pb2.HeartbeatResponse(lease=self.lease(one)))

    def serve_acquire(self, number: int, seq: int, request: lock_pb2.AcquireRequest) -> None:
        known = [one for one in self.kept.values() if request.request_id and one.request_id == request.request_id]
        if self.pipes[number].draining:
            self.refuse(number, seq, "DRAINING", 14)
        elif known:
            known[0].stream, known[0].seq = number, seq
            answer = lock_pb2.AcquireResponse(lease=self.lease(known[0], replayed=True))
            self.result(number, seq=seq, acquire=answer)
        elif request.request_id in self.ended:
            self.refuse(number, seq, "LEASE_LOST")
        elif any(one.name == request.resources[0] for one in self.kept.values()):
            wait = request.wait.seconds + request.wait.nanos * 1e-9
            if wait > 0:
                self.waits.append((number, seq, request, self.now + wait))
                event = lock_pb2.SessionEvent(seq=seq, queued=lock_pb2.Queued(position=1))
                self.tell(number, events=[event])
            else:
                self.result(number, seq=seq, acquire=lock_pb2.AcquireResponse(busy=lock_pb2.Busy()))
        else:
            self.grant(number, seq, request)

    def grant(self, number: int, seq: int, request: lock_pb2.AcquireRequest) -> None:
        self.tokens += 1
        lease_id = f"L{self.tokens}"
        name = request.resources[0]
        one = Kept(name, lease_id, self.tokens, request.request_id, self.now + TTL, number, seq)
        self.kept[lease_id] = one
        self.result(number, seq=seq, acquire=lock_pb2.AcquireResponse(lease=self.lease(one)))

    def serve_waits(self) -> None:
        for wait in list(self.waits):
            number, seq, request, until = wait
            pipe = self.pipes[number]
            free = not any(one.name == request.resources[0] for one in self.kept.values())
            if pipe.cut_at is not None or pipe.draining or free or self.now >= until:
                self.waits.remove(wait)
            if pipe.cut_at is not None:
                continue
            if pipe.draining:
                self.refuse(number, seq, "DRAINING", 14)
            elif free:
                self.grant(number, seq, request)
            elif self.now >= until:
                busy = lock_pb2.Busy(wait_elapsed=True)
                self.result(number, seq=seq, acquire=lock_pb2.AcquireResponse(busy=busy))

    def renew(self) -> None:
        for one in self.kept.values():
            pipe = self.pipes[one.stream]
            if pipe.cut_at is None:
                one.expires = max(one.expires, self.now + TTL)
                event = lock_pb2.SessionEvent(seq=one.seq, lease_id=one.lease_id, renewed=self.lease(one))
                self.tell(one.stream, events=[event])

    def drain(self, number: int) -> None:
        pipe = self.pipes[number]
        if not pipe.draining and pipe.cut_at is None:
            pipe.draining = True
            self.tell(number, events=[lock_pb2.SessionEvent(draining=lock_pb2.Draining())])

    def stream_ended(self, number: int, pipe: Pipe) -> None:
        pipe.done = True
        for one in list(self.kept.values()):
            if one.stream == number and not pipe.draining:
                self.drop(one)

    def drop(self, one: Kept) -> None:
        del self.kept[one.lease_id]
        self.ended.append(one.request_id)

    # -- promises ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """What a holder may rely on, the service has not given to anybody else; no outcome is told twice."""
        for lease in self.held:
            if lease.phase == "held" and lease.remaining(self.now) > 0:
                assert lease.lease_id in self.kept, f"{lease} counts for {lease.remaining(self.now)} s, and is gone"
        for number, outcomes in self.finished.items():
            assert len(outcomes) <= 1, f"{number} was told {outcomes}"

    def alive(self) -> List[int]:
        return [number for number, pipe in self.pipes.items() if pipe.cut_at is None]
