"""Which address is tried next, when, and for how long."""

from __future__ import annotations

from typing import Callable

#: Seconds before the first new round over all addresses, and the most.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
#: Seconds that a stream may take to prove that somebody serves it.
PATIENCE = 5.0
SHORTEST_PATIENCE = 0.4


class Route:
    """Addresses in turn: the next one at once, a pause with jitter before each new round."""

    def __init__(self, addresses: int, grace: float, jitter: Callable[[], float]) -> None:
        self._addresses = addresses
        self._grace = grace
        self._jitter = jitter
        self.index = 0
        self._failures = 0

    def served(self) -> None:
        """The address answered."""
        self._failures = 0

    def leave(self) -> None:
        """The address served, and ends: another one may be tried at once."""
        self.index = (self.index + 1) % self._addresses
        self._failures = 0

    def failed(self) -> float:
        """It did not serve. Returns the pause in seconds before the next one."""
        self.index = (self.index + 1) % self._addresses
        self._failures += 1
        rounds, rest = divmod(self._failures, self._addresses)
        if rest != 0 or rounds == 0:
            return 0.0
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(rounds - 1, 10))
        return pause * (0.5 + 0.5 * self._jitter())

    def patience(self, saving: bool) -> float:
        """Where leases wait to be resumed and there is another address, a silent one must not use up the grace."""
        if not saving or self._addresses == 1 or self._grace <= 0:
            return PATIENCE
        grown = self._grace * 0.4 * 2.0 ** min(self._failures // self._addresses, 10)
        return min(PATIENCE, max(SHORTEST_PATIENCE, grown))
