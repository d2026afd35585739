"""One operation of a session, from the moment it is asked for until it is answered, over any number of streams."""

from __future__ import annotations

import math
from typing import Any, Optional

from .._proto import lock_pb2
from ..errors import HoldfastError
from .lease import LeaseState

#: Seconds that an operation may wait for a stream that takes it.
SEND_WITHIN = 10.0
#: How often one is sent again after a stream ended under it: one that ends every stream must not do so for ever.
REPEATS = 8


class Op:
    """What is asked, and how far it is. `waiter` belongs to the shell: who is told of the outcome."""

    __slots__ = (
        "abandoned",
        "asked_at",
        "give_up_at",
        "last_error",
        "lease",
        "not_before",
        "repeats",
        "request",
        "sent_at",
        "seq",
        "then",
        "wait",
        "waited",
        "waiter",
    )

    def __init__(self, request: Any, waiter: object = None, lease: Optional[LeaseState] = None) -> None:
        self.request = request
        self.waiter = waiter
        #: The lease that a heartbeat, release or resume is about; that an acquire was granted.
        self.lease = lease
        #: Seconds an acquire waits in line: 0 not at all, infinite without limit.
        self.wait = 0.0
        self.asked_at: Optional[float] = None
        self.give_up_at = math.inf
        self.not_before = 0.0
        self.sent_at = 0.0
        self.seq = 0
        self.repeats = 0
        #: An acquire was told that it is in line.
        self.waited = False
        self.abandoned = False
        self.last_error: Optional[HoldfastError] = None
        #: What a resume of the core's own is for: the acquire whose lease it confirms.
        self.then: Optional[Op] = None

    @property
    def is_acquire(self) -> bool:
        return isinstance(self.request, lock_pb2.AcquireRequest)

    @property
    def is_release(self) -> bool:
        return isinstance(self.request, lock_pb2.ReleaseRequest)

    @property
    def is_resume(self) -> bool:
        return isinstance(self.request, lock_pb2.ResumeOp)

    def queued_at(self, now: float) -> None:
        """It is to be sent, from now on, and until when it may wait for that."""
        if self.asked_at is None:
            self.asked_at = now
        patience = SEND_WITHIN
        if self.is_acquire:
            patience = max(patience, self.wait - (now - (now if self.asked_at is None else self.asked_at)))
        self.give_up_at = now + patience

    def wait_left(self, now: float, longest: float) -> float:
        """Of an acquire: the rest of its wait; a tick at least, so that it is still a wait."""
        if self.wait == 0:
            return 0.0
        return max(0.001, min(longest, self.wait - (now - (now if self.asked_at is None else self.asked_at))))
