"""A lease as its holder knows it."""

from __future__ import annotations

from typing import Dict, List, Optional

from .._proto import lock_pb2
from .answers import MODES, seconds, stamp
from .validity import Validity
from .views import Loss

HELD = "held"
#: Its release is on the way: not resumed any more, and no loss is told.
RELEASING = "releasing"
ENDED = "ended"


class LeaseState:
    """What was granted, how long it is valid, and by which stream it is kept."""

    __slots__ = (
        "labels",
        "lease_id",
        "lease_ref",
        "lost",
        "mode",
        "owner",
        "phase",
        "resources",
        "resume",
        "seq",
        "stream",
        "token",
        "validity",
        "waiter",
    )

    def __init__(self, granted: lock_pb2.Lease, asked_at: float, stream: int, seq: int) -> None:
        self.lease_id: str = granted.lease_id
        self.lease_ref: str = granted.lease_ref
        self.token: int = granted.fencing_token
        self.resources: List[str] = list(granted.resources)
        self.owner: str = granted.owner
        self.mode: str = MODES.get(granted.mode, "exclusive")
        self.labels: Dict[str, str] = dict(granted.labels)
        self.validity = Validity(asked_at, seconds(granted.ttl), stamp(granted.expire_time))
        #: The stream that keeps it, and by whose clock its renewals are told.
        self.stream = stream
        #: The operation of that stream that keeps it.
        self.seq = seq
        self.phase = HELD
        self.lost: Optional[Loss] = None
        #: The stream that was asked to take it over, and has not answered.
        self.resume = 0
        #: Belongs to the shell: who is told of the loss.
        self.waiter: object = None

    def remaining(self, now: float) -> float:
        """Seconds; 0 once it has ended in whatever way."""
        if self.phase == ENDED:
            return 0.0
        return max(0.0, self.validity.end - now)

    def __repr__(self) -> str:
        return f"LeaseState({self.lease_ref!r}, {self.phase})"
