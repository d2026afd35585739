"""One Session stream: what was sent on it and not answered, and how it is doing."""

from __future__ import annotations

from collections import deque
from typing import Deque, Dict, List, Optional

from .._proto import lock_pb2
from .asking import duration
from .ops import Op


class Stream:
    """The client's side of one stream."""

    __slots__ = ("closing", "draining", "give_up_at", "number", "proved", "sent", "taking_over", "_cancels", "_seq")

    def __init__(self, number: int, give_up_at: float) -> None:
        self.number = number
        #: When to try another address, unless the stream has proved by then that somebody serves it.
        self.give_up_at = give_up_at
        self.proved = False
        #: The service has said that its end releases nothing.
        self.draining = False
        self.closing = False
        #: Some lease may still have to be resumed here.
        self.taking_over = False
        #: In the order in which they were sent.
        self.sent: Dict[int, Op] = {}
        self._cancels: Deque[int] = deque()
        self._seq = 0

    def begin(self, message: lock_pb2.SessionRequest, grace: float) -> None:
        """What comes before the operations: once the grace, and always what is given up."""
        if self._seq == 0:
            message.grace.CopyFrom(duration(grace))
            # Answered without asking any node, so it proves the stream: nothing has the number 1 but this itself.
            probe = message.ops.add(seq=self._next())
            probe.cancel.seq = probe.seq
        while self._cancels:
            message.ops.add(seq=self._next()).cancel.seq = self._cancels.popleft()

    def ask(self, message: lock_pb2.SessionRequest, op: Op, now: float, longest_wait: float) -> None:
        """Adds an operation, and remembers it by its number."""
        op.sent_at = now
        op.seq = self._next()
        self.sent[op.seq] = op
        added = message.ops.add(seq=op.seq)
        request = op.request
        if isinstance(request, lock_pb2.AcquireRequest):
            added.acquire.CopyFrom(request)
            left = op.wait_left(now, longest_wait)
            if left > 0:
                added.acquire.wait.CopyFrom(duration(left))
        elif isinstance(request, lock_pb2.ReleaseRequest):
            added.release.CopyFrom(request)
        elif isinstance(request, lock_pb2.HeartbeatRequest):
            added.heartbeat.CopyFrom(request)
        elif isinstance(request, lock_pb2.ResumeOp):
            added.resume.CopyFrom(request)
        else:
            added.check_token.CopyFrom(request)

    def give_up(self, seq: int) -> None:
        """The operation with this number is to be cancelled."""
        self._cancels.append(seq)

    def answered(self, seq: int) -> Optional[Op]:
        """Takes out the operation that an answer belongs to; None for a cancel's own."""
        return self.sent.pop(seq, None)

    def unanswered(self) -> List[Op]:
        """What nobody will answer any more."""
        left = list(self.sent.values())
        self.sent.clear()
        return left

    def _next(self) -> int:
        self._seq += 1
        return self._seq
