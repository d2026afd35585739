"""One lease while it stands: how long it is good for, which stream keeps it, and when it is renewed."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Optional

from ._clock import Time, Timer
from ._words import Keeper, Lease

#: The service renews after a quarter to a third of the ttl; the fake always at the same point between them.
RENEW_AT = 0.3


class Grant:
    """`on_renewed` and `on_due` are its locks'; `on_due` says why it ends."""

    def __init__(
        self,
        clock: Time,
        facts: Lease,
        renews: Callable[[], bool],
        on_renewed: Callable[["Grant"], None],
        on_due: Callable[["Grant", str], None],
    ) -> None:
        self.facts = facts
        self.keeper: Optional[Keeper] = None
        self.progress = ""
        self._clock = clock
        self._renews = renews
        self._on_renewed = on_renewed
        self._on_due = on_due
        self._until = clock.now()
        self._expiry: Optional[Timer] = None
        self._other: Optional[Timer] = None
        self.extend(facts.ttl)

    def lease(self, ttl: Optional[float] = None) -> Lease:
        """As it stands now; `ttl` is what the answer promises."""
        expire_time = self._clock.wall() + self._until - self._clock.now()
        promised = self.facts.ttl if ttl is None else ttl
        return replace(self.facts, ttl=promised, expire_time=expire_time, progress=self.progress)

    def extend(self, ttl: float) -> None:
        """Never shortens it."""
        self._until = max(self._until, self._clock.now() + ttl)
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = self._clock.after(self._until - self._clock.now(), lambda: self._on_due(self, "expired"))

    def keep(self, keeper: Keeper) -> None:
        """`keeper` has it from now on; whoever had it before is no longer told of it."""
        self.keeper = keeper
        self._renew_later()

    def linger(self, grace: float) -> None:
        """Its stream has ended: it goes when the grace is over, unless another stream takes it up."""
        self.leave()
        self.extend(grace)
        self._other = self._clock.after(grace, lambda: self._on_due(self, "released"))

    def leave(self) -> None:
        """Nobody keeps it: it stands until its time is up."""
        self.keeper = None
        if self._other is not None:
            self._other.cancel()
            self._other = None

    def stop(self) -> None:
        self.leave()
        if self._expiry is not None:
            self._expiry.cancel()

    def _renew_later(self) -> None:
        if self._other is not None:
            self._other.cancel()
        self._other = self._clock.after(self.facts.ttl * RENEW_AT, self._renew)

    def _renew(self) -> None:
        self._renew_later()
        if self._renews():
            self.extend(self.facts.ttl)
            self._on_renewed(self)
