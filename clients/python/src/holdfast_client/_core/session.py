"""The session protocol as a state machine: operations and messages in, effects out; it has no clock and no socket."""

from __future__ import annotations

import math
from typing import Callable, Dict, List, Optional, Sequence

from .._proto import lock_pb2
from .. import errors
from . import answers
from .asking import PIECE
from .effects import Close, Effect, Finish, Open, Send, TellQueued, TellYield
from .grants import Grants
from .lease import ENDED, HELD, RELEASING, LeaseState
from .ops import Op
from .route import Route
from .stream import Stream
from .views import Loss, YieldRequest

#: Operations that one message carries at most; the service takes 1,024.
BATCH = 512
#: A failure with one of these codes would meet the next try, too.
HOPELESS = ("UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED", "INVALID_ARGUMENT")


class Session(Grants):
    """One client's operations and leases over the streams of its life. Every method takes what time it is."""

    def __init__(self, addresses: Sequence[str], grace: float, jitter: Callable[[], float]) -> None:
        super().__init__(addresses)
        self._grace = grace
        self._route = Route(len(addresses), grace, jitter)
        self._streams: Dict[int, Stream] = {}
        self._opened = 0
        self._reopen_at = 0.0
        self._closing = False

    # -- what the shell calls ------------------------------------------------------------------------------------

    def effects(self) -> List[Effect]:
        """What is to be done since the last call, in order."""
        done, self._effects = self._effects, []
        return done

    def submit(self, op: Op, now: float) -> None:
        """Asks for an operation; its outcome is an effect."""
        if self._closing and op.waiter is not None and not op.is_release:
            self._finish(op, errors.ClosedError("the client was closed"))
            return
        self._enqueue(op, now)
        self._arrange(now)

    def abandon(self, op: Op, now: float) -> None:
        """Nobody waits for the outcome any more; a lease that was or will be granted is released."""
        if op.abandoned:
            return
        op.abandoned = True
        op.waiter = None
        self._forget(op)
        stream = next((one for one in self._streams.values() if one.sent.get(op.seq) is op), None)
        if stream is not None and op.is_acquire:
            stream.give_up(op.seq)
            self._effects.append(Send(stream.number))
        if op.is_acquire and op.lease is not None and op.lease.phase == HELD:
            self._give_back(op.lease)
        self._arrange(now)

    def release(self, op: Op, reason: str, now: float) -> None:
        """Ends the lease of `op`; false at once where it has ended already."""
        lease = op.lease
        assert lease is not None
        self._look(lease, now)
        if lease.phase == ENDED:
            self._finish(op, False)
            return
        lease.phase = RELEASING
        op.request = lock_pb2.ReleaseRequest(lease_id=lease.lease_id, reason=reason)
        self.submit(op, now)

    def take(self, number: int, now: float) -> Optional[lock_pb2.SessionRequest]:
        """The next message for a stream, as late as possible before it is sent; None if there is nothing to say."""
        stream = self._streams.get(number)
        if stream is None:
            return None
        message = lock_pb2.SessionRequest()
        stream.begin(message, self._grace)
        while self._queue and stream is self._current and len(message.ops) < BATCH:
            op = self._queue.popleft()
            stream.ask(message, op, now, PIECE)
        if stream is self._current and self._queue:
            self._effects.append(Send(number))
        return message if message.ops else None

    def heard(self, number: int, message: lock_pb2.SessionResponse, now: float) -> None:
        """A message of a stream."""
        stream = self._streams.get(number)
        if stream is None:
            return
        if not stream.proved:
            stream.proved = True
            if stream is self._current:
                self._route.served()
        for result in message.results:
            op = stream.answered(result.seq)
            if op is not None:
                self._answer(stream, op, result, now)
        for event in message.events:
            self._event(stream, event, now)
        self._arrange(now)

    def ended(self, number: int, failure: Optional[errors.HoldfastError], now: float) -> None:
        """A stream is over, by whoever's will."""
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        self._orphan(stream, now)
        if stream is self._current:
            self._current = None
            if stream.proved:
                self._route.leave()
            else:
                self._reopen_at = now + self._route.failed()
        if failure is not None and failure.code in HOPELESS:
            self._fail_all(failure)
        resumes = [one for one in [*self._queue, *self._later] if one.is_resume]
        for op in [*stream.unanswered(), *resumes]:
            self._forget(op)
            if failure is not None and (failure.reason or op.last_error is None):
                op.last_error = failure
            self._again(op, stream.proved, now)
        self._arrange(now)

    def tick(self, now: float) -> None:
        """Does what time asks for; a call too many does no harm."""
        if now < self.wake_at:
            return
        self.wake_at = math.inf
        for lease in list(self.leases.values()):
            self._look(lease, now)
        for op in [one for one in self._later if one.not_before <= now]:
            self._later.remove(op)
            self._enqueue(op, now, keep=True)
        for op in self._later:
            self._wake(op.not_before)
        stream = self._current
        if stream is not None and not stream.proved:
            if now >= stream.give_up_at:
                self._effects.append(Close(stream.number, cut=True))
                self.ended(stream.number, None, now)
                self.wake_at = min(self.wake_at, now)
            else:
                self._wake(stream.give_up_at)
        self._give_up(now)
        self._arrange(now)

    def look(self, lease: LeaseState, now: float) -> None:
        """Whether the count of this lease has ended by now."""
        self._look(lease, now)
        self._arrange(now)

    def close(self, now: float) -> None:
        """Ends all: waits are given up, what is held is released."""
        self._closing = True
        waiting = [*self._queue, *self._later]
        for stream in self._streams.values():
            waiting += stream.sent.values()
        for op in waiting:
            if op.waiter is not None and not op.is_release:
                self._finish(op, errors.ClosedError("the client was closed"))
                self.abandon(op, now)
        for lease in list(self.leases.values()):
            self._look(lease, now)
            if lease.phase == HELD:
                self._lose(lease, Loss("released", "the client was closed"))
                request = lock_pb2.ReleaseRequest(lease_id=lease.lease_id, reason="lost by its holder: released")
                self._enqueue(Op(request), now)
        self._arrange(now)

    @property
    def idle(self) -> bool:
        """Nothing is held, asked or on the way."""
        asked = any(stream.sent for stream in self._streams.values() if stream is self._current)
        return not (self.leases or self._queue or self._later or asked)

    # -- inside --------------------------------------------------------------------------------------------------

    def _drop_claim(self, lease: LeaseState) -> None:
        """
        Ends a lease by the operation that keeps it, and not by its id: a repeat of its request may have it by now, and
        what names no binding would take it from there. Of what an ended stream kept nobody renews anything.
        """
        stream = self._streams.get(lease.stream)
        if stream is not None and not stream.closing:
            stream.give_up(lease.seq)
            self._effects.append(Send(stream.number))

    def _tell_yield(self, lease: LeaseState, request: YieldRequest) -> None:
        self._effects.append(TellYield(lease, request))

    def _orphan(self, stream: Stream, now: float) -> None:
        """What the end of a stream means for the leases that it keeps, or that it was asked to take over."""
        for lease in list(self.leases.values()):
            touched = lease.stream == stream.number or lease.resume == stream.number
            if lease.resume == stream.number:
                lease.resume = 0
            if not touched:
                continue
            if not stream.draining:
                lease.validity.stream_ended(now, self._grace)
                self._wake(lease.validity.end)
                self._look(lease, now)

    def _arrange(self, now: float) -> None:
        """Opens a stream where one is wanted, asks it to take over what others keep, ends those that are empty."""
        wanted = [one for one in self.leases.values() if self._strayed(one)] if self._moving() else []
        if self._current is None and (self._queue or wanted):
            if now < self._reopen_at:
                self._wake(self._reopen_at)
            else:
                self._open(bool(wanted), now)
        if self._current is not None:
            self._current.taking_over = bool(wanted)
            for lease in wanted:
                if lease.resume != self._current.number:
                    lease.resume = self._current.number
                    self._take_over(lease, None, now, first=True)
        for stream in [one for one in self._streams.values() if one.draining and not one.closing and not one.sent]:
            if not any(lease.stream == stream.number for lease in self.leases.values() if lease.phase == HELD):
                stream.closing = True
                self._effects.append(Close(stream.number, cut=False))

    def _moving(self) -> bool:
        """True while some lease may be kept by another stream than the current one."""
        return self._current is None or self._current.taking_over or len(self._streams) > 1

    def _strayed(self, lease: LeaseState) -> bool:
        current = self._current
        return lease.phase == HELD and (current is None or lease.stream != current.number)

    def _open(self, saving: bool, now: float) -> None:
        self._opened += 1
        stream = Stream(self._opened, now + self._route.patience(saving))
        stream.taking_over = saving
        self._streams[stream.number] = self._current = stream
        self._effects += [Open(stream.number, self._route.index), Send(stream.number)]
        self._wake(stream.give_up_at)

    def _drain(self, stream: Stream) -> None:
        stream.draining = True
        if stream is self._current:
            self._current = None
            self._route.leave()

    def _event(self, stream: Stream, event: lock_pb2.SessionEvent, now: float) -> None:
        kind = event.WhichOneof("event")
        if kind == "draining":
            self._drain(stream)
        elif kind == "queued":
            op = stream.sent.get(event.seq)
            if op is not None:
                op.waited = True
                if op.waiter is not None:
                    self._effects.append(TellQueued(op, answers.queued(event.queued), op.waiter))
        elif kind is not None:
            lease = self.leases.get(event.lease_id)
            if lease is not None and lease.stream == stream.number:
                self._lease_event(stream, lease, kind, event, now)

    def _lease_event(
        self, stream: Stream, lease: LeaseState, kind: str, event: lock_pb2.SessionEvent, now: float
    ) -> None:
        if kind == "renewed" and lease.resume == 0:
            lease.validity.renewed(answers.stamp(event.renewed.expire_time))
            if lease.validity.stale and lease.phase == HELD and stream is self._current:
                lease.resume = stream.number
                self._take_over(lease, None, now)
        elif kind == "lost" and lease.resume == 0 and lease.phase == HELD:
            self._lose(lease, answers.loss(event.lost))
        elif kind == "yield_request" and lease.phase == HELD:
            self._tell_yield(lease, answers.yield_request(event.yield_request))
