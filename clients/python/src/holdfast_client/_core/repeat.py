"""Whether a single call that failed is made again, at which address, and when."""

from __future__ import annotations

from typing import Callable, Optional, Sequence

from .. import errors
from .ops import SEND_WITHIN
from .route import Route

#: What gRPC says where nobody served the call.
UNSERVED = ("UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED", "UNKNOWN")


class Repeat:
    """One call over the addresses, for at most ten seconds."""

    def __init__(
        self, addresses: Sequence[str], now: float, jitter: Callable[[], float], again: bool, index: int = 0
    ) -> None:
        """`again`: the call may be made twice without harm."""
        self._addresses = list(addresses)
        self._route = Route(len(self._addresses), 0, jitter)
        self._route.index = index
        self._again = again
        self.give_up_at = now + SEND_WITHIN

    @property
    def index(self) -> int:
        return self._route.index

    def left(self, now: float) -> float:
        """Seconds that the next attempt may take."""
        return max(0.001, self.give_up_at - now)

    def failed(self, error: errors.HoldfastError, now: float) -> float:
        """Seconds to wait before the next attempt; raises where there is none."""
        unserved = not error.reason and error.code in UNSERVED
        if not unserved and not isinstance(error, errors.DrainingError):
            raise error
        if unserved and not self._again:
            raise self._unavailable(error)
        pause = self._route.failed()
        if now + pause >= self.give_up_at:
            raise error if error.reason else self._unavailable(error)
        return pause

    def _unavailable(self, error: Optional[errors.HoldfastError]) -> errors.UnavailableError:
        said = f": {error.message}" if error is not None and error.message else ""
        return errors.UnavailableError(
            f"no answer from {', '.join(self._addresses)}{said}", addresses=self._addresses
        )
