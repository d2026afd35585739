"""What both shells' leases have in common: what was granted, and whether it may still be relied on."""

from __future__ import annotations

from typing import Dict, List, Optional, Protocol

from ._core.lease import ENDED, LeaseState
from ._core.views import Loss
from .errors import LeaseLostError

FORKED = Loss("unknown", "this process was forked off from the one that holds the lease")


class Keeper(Protocol):
    """What a lease needs of the engine that keeps it."""

    @property
    def here(self) -> bool: ...

    def now(self) -> float: ...

    def look(self, lease: LeaseState) -> None: ...


class LeaseFace:
    """The right to its resources until it ends."""

    def __init__(self, keeper: Keeper, state: LeaseState) -> None:
        self._keeper = keeper
        self._state = state

    @property
    def token(self) -> int:
        """The fencing token: send it with every effect, so that the resource can refuse older ones."""
        return self._state.token

    @property
    def resources(self) -> List[str]:
        """What is leased; with `any` what was picked."""
        return list(self._state.resources)

    @property
    def owner(self) -> str:
        return self._state.owner

    @property
    def mode(self) -> str:
        """`exclusive` or `shared`."""
        return self._state.mode

    @property
    def labels(self) -> Dict[str, str]:
        return dict(self._state.labels)

    @property
    def lease_ref(self) -> str:
        """The public name of the lease, in views and logs."""
        return self._state.lease_ref

    @property
    def lease_id(self) -> str:
        """The secret by which it is renewed and released; never print it."""
        return self._state.lease_id

    @property
    def remaining(self) -> float:
        """Seconds for which it is certainly valid; 0 once it has ended, never below. Reads the clock."""
        return self._state.remaining(self._keeper.now()) if self._keeper.here else 0.0

    @property
    def lost(self) -> Optional[Loss]:
        """How it has ended under its holder; None while it stands, and after its own release. Reads the clock."""
        if not self._keeper.here:
            return FORKED
        self._keeper.look(self._state)
        return self._state.lost

    def check(self) -> None:
        """Raises LeaseLostError unless the lease stands. Reads the clock, so it is right even before any news."""
        lost = self.lost
        if lost is not None:
            raise self.lost_error(lost)
        if self._state.phase == ENDED:
            raise LeaseLostError(f"lease {self.lease_ref} was released", why="released")

    @property
    def here(self) -> bool:
        """False in a process that was forked off since the lease was granted."""
        return self._keeper.here

    def lost_error(self, lost: Loss) -> LeaseLostError:
        told = f": {lost.detail}" if lost.detail else ""
        return LeaseLostError(f"lease {self.lease_ref} is lost ({lost.reason}){told}", why=lost.reason)

    def __repr__(self) -> str:
        return f"<Lease {self.lease_ref} of {', '.join(self._state.resources)} token {self.token}>"
