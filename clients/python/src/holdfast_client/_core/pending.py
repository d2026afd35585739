"""Operations on their way: what is to be sent, what is repeated, what is given up, and what is to be done."""

from __future__ import annotations

import math
from collections import deque
from typing import Deque, List, Optional, Sequence

from .. import errors
from .effects import Effect, Finish, Send
from .ops import REPEATS, SEND_WITHIN, Op
from .stream import Stream


class Pending:
    """The part of a session that every answer and every stream's end uses."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        self._effects: List[Effect] = []
        self._current: Optional[Stream] = None
        self._queue: Deque[Op] = deque()
        #: Operations that are sent again later.
        self._later: List[Op] = []
        #: No later than this something has to be done.
        self.wake_at = math.inf

    def abandon(self, op: Op, now: float) -> None:
        raise NotImplementedError

    def _wake(self, at: float) -> None:
        self.wake_at = min(self.wake_at, at)

    def _finish(self, op: Op, outcome: object) -> None:
        if op.waiter is not None:
            self._effects.append(Finish(op, outcome, op.waiter))
            op.waiter = None

    def _enqueue(self, op: Op, now: float, *, keep: bool = False, first: bool = False) -> None:
        if not keep or op.give_up_at == math.inf:
            op.queued_at(now)
        (self._queue.appendleft if first else self._queue.append)(op)
        if self._current is not None:
            self._effects.append(Send(self._current.number))
            if self._current.proved:
                return
        self._wake(op.give_up_at)

    def _forget(self, op: Op) -> None:
        """It is not to be sent, now or later."""
        if op in self._queue:
            self._queue.remove(op)
        if op in self._later:
            self._later.remove(op)

    def _postpone(self, op: Op, seconds: float, now: float) -> None:
        op.not_before = now + seconds
        self._later.append(op)
        self._wake(op.not_before)

    def _again(self, op: Op, reached: bool, now: float) -> None:
        """After a stream has ended under it."""
        if op.then is not None:
            # Asked again, the acquire is answered with its lease, or finds that it was released.
            op = op.then
        if op.waiter is None and not op.is_release:
            return
        op.repeats += 1 if reached else 0
        if op.repeats > REPEATS:
            self._finish(op, self._unavailable(op))
            return
        self._enqueue(op, now, keep=not reached, first=False)

    def _unavailable(self, op: Op) -> errors.HoldfastError:
        if op.last_error is not None and op.last_error.reason:
            return op.last_error
        said = f": {op.last_error.message}" if op.last_error is not None else ""
        where = ", ".join(self._addresses)
        return errors.UnavailableError(
            f"no answer from {where} within {SEND_WITHIN:g} s{said}", addresses=self._addresses
        )

    def _give_up(self, now: float) -> None:
        """What could not be sent in time; a stream that has not proved itself has taken nothing yet."""
        waiting = list(self._queue)
        stream = self._current
        if stream is not None and not stream.proved:
            waiting += stream.sent.values()
        for op in waiting:
            if op.give_up_at > now:
                self._wake(op.give_up_at)
                continue
            asked = op.then or op
            self._finish(asked, self._unavailable(op))
            if asked.is_acquire:
                self.abandon(asked, now)
            self._forget(op)

    def _fail_all(self, failure: errors.HoldfastError) -> None:
        for op in [*self._queue, *self._later]:
            if op.is_resume and op.lease is not None:
                op.lease.resume = 0
            self._finish(op.then or op, failure)
        self._queue.clear()
        self._later.clear()
