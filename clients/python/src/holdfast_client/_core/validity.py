"""How long a lease is certainly valid, counted as clients/README.md says, on a clock that the caller reads."""

from __future__ import annotations

import math

#: Clocks run at rates that differ by up to this much.
DRIFT = 0.01
#: Seconds that reading and rounding of clocks may cost.
MARGIN = 0.002
#: Once renewals have added this many ttls, the drift that was taken off them is worth a new beginning.
STALE = 4
#: Of the grace: what may be relied on after this side has seen the end of the stream.
GRACE_PART = 0.75


def end_of(asked_at: float, ttl: float) -> float:
    """When a promise for `ttl` ends that was asked for at `asked_at`, or began no earlier."""
    return asked_at + ttl * (1 - DRIFT) - MARGIN


class Validity:
    """The count of one lease. Only ever moved by what the service promised, never by when that arrived."""

    __slots__ = ("_anchor_end", "_anchor_expires", "_cap", "_counted", "added", "ttl")

    def __init__(self, asked_at: float, ttl: float, expires: float) -> None:
        self.ttl = ttl
        self.added = 0.0
        self._anchor_end = self._counted = end_of(asked_at, ttl)
        self._anchor_expires = expires
        self._cap = math.inf

    @property
    def end(self) -> float:
        return min(self._counted, self._cap)

    @property
    def capped(self) -> bool:
        """True while the end is that of a broken stream, and not of the promise."""
        return self._cap < self._counted

    @property
    def stale(self) -> bool:
        return self.added > STALE * self.ttl

    def renewed(self, expires: float) -> None:
        """An extension told by the same stream as the promise from which is counted."""
        self.added = expires - self._anchor_expires
        self._counted = max(self._counted, self._anchor_end + self.added * (1 - DRIFT))

    def restart(self, asked_at: float, ttl: float, expires: float) -> None:
        """A stream has taken it over, as was asked at `asked_at`; that of an older one releases nothing any more."""
        self.ttl = ttl
        self.added = 0.0
        self._anchor_end = end_of(asked_at, ttl)
        self._anchor_expires = expires
        # Both counts are bounds that hold, so the later one does.
        self._counted = max(self._counted, self._anchor_end)
        self._cap = math.inf

    def extend(self, asked_at: float, ttl: float) -> None:
        """A Heartbeat was answered. Told by another clock than the stream's, so no renewal is added to it."""
        self._counted = max(self._counted, end_of(asked_at, ttl))

    def stream_ended(self, seen_at: float, grace: float) -> None:
        """Unannounced: whoever kept it may release it when the grace is over, and saw the end before we did."""
        self._cap = min(self._cap, seen_at + grace * GRACE_PART)
