"""The fake's locks: who has what, who waits, and how each lease ends. No socket, and no time but its clock's."""

from __future__ import annotations

import math
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from ._clock import Time
from ._grant import Grant
from ._line import Wait, ahead, deadlocked, in_order, pick, standing
from ._records import Past, Records
from ._words import DRAINING, AcquireAsk, Asker, Busy, Holder, Inspection, Keeper, Lease, Loss, Queued
from ._words import Refused, Violation, Waiter, holder_of, invalid

TAKEN_OVER = "another stream, or a repeat of its request, has taken the lease over"
UNRENEWED = "it was not renewed in time"
CLOSED = "the stream was closed"
RELEASED = "it was released by its lease_id"
EVENTS = {"expired": "expired", "released": "released", "forced": "forced", "unknown": "lost"}

#: A new lease_id, and the public lease_ref that belongs to it.
NewId = Callable[[], Tuple[str, str]]


class Locks:
    """Not for several threads at once."""

    def __init__(self, clock: Time, new_id: NewId, on_change: Callable[[], None] = lambda: None) -> None:
        #: While false, no lease is renewed by itself.
        self.renews = True
        self.clock = clock
        self._new_id = new_id
        self._on_change = on_change
        self._grants: Dict[str, Grant] = {}
        self._records = Records(clock)
        self._past = Past()
        self._waits: List[Wait] = []
        self._number = 0
        self._token = 0

    def acquire(self, ask: AcquireAsk, asker: Asker) -> Callable[[bool], bool]:
        """Answers `asker` now or later; the result gives the wait up: False if it does not wait any more.

        Its argument: whether a repeat of the request_id finds the place in line again.
        """
        before = self._past.answered(ask)
        if before is not None:
            self._repeat(before, asker)
            return lambda keep_place: False
        names = pick(ask, None, self._order(), self._holders_of)
        if names is None and ask.wait > 0:
            return self._wait(ask, asker)
        if names is not None:
            self._grant(ask, names, asker)
        else:
            asker.busy(self._busy(ask))
        self._on_change()
        return lambda keep_place: False

    def heartbeat(self, lease_id: str, ttl: Optional[float], progress: str) -> Lease:
        grant = self._find(lease_id)
        if progress:
            grant.progress = progress
        grant.extend(grant.facts.ttl if ttl is None else ttl)
        self._records.note("renewed", grant)
        self._on_change()
        return grant.lease(ttl)

    def release(self, lease_id: str, reason: str = "", by: Optional[Keeper] = None) -> bool:
        """`by`: the stream that asks, which is not told of the loss. False if the lease was gone."""
        grant = self._grants.get(lease_id)
        if grant is None:
            return False
        if grant.keeper is by:
            grant.keeper = None
        self._end(grant, "released", RELEASED, reason)
        return True

    def keep(self, lease_id: str, keeper: Keeper) -> None:
        """The stream keeps the lease from now on; an older one is told that it has lost it."""
        grant = self._grants.get(lease_id)
        if grant is None:
            return
        older = grant.keeper
        if older is not None and older is not keeper:
            older.lost(Loss("unknown", grant.facts.lease_ref, grant.facts.token, TAKEN_OVER))
        grant.keep(keeper)

    def resume(self, lease_id: str, keeper: Keeper) -> Lease:
        """Takes a lease over into another stream, extended."""
        grant = self._find(lease_id)
        grant.extend(grant.facts.ttl)
        self.keep(lease_id, keeper)
        return grant.lease()

    def leave(self, lease_id: str, keeper: Keeper, grace: Optional[float]) -> None:
        """The stream has ended; a lease that another has resumed is not touched. `grace` None: it stands."""
        grant = self._grants.get(lease_id)
        if grant is None or grant.keeper is not keeper:
            return
        grant.leave()
        if grace is None:
            return
        if grace > 0:
            grant.linger(grace)
        else:
            self._end(grant, "released", CLOSED)

    def lose(self, resource: str, why: str, detail: str, lease_ref: str = "") -> List[Holder]:
        """Ends what holds `resource`: all of it, or the lease of that public name."""
        self._records.entry(resource)
        grants = [one for one in self._records.on(resource) if lease_ref in ("", one.facts.lease_ref)]
        freed = [holder_of(one.lease(), name) for one in grants for name in one.facts.resources]
        for grant in grants:
            self._end(grant, why, detail, detail)
        return freed

    def ask_to_yield(self, resource: str, owner: str, priority: int, waited: float) -> None:
        for grant in self._records.on(resource):
            if grant.keeper is not None:
                grant.keeper.asked_to_yield(owner, priority, waited)

    def facts_of(self, lease_id: str) -> Tuple[Sequence[str], str]:
        return self._past.facts_of(lease_id)

    def inspect(self, resource: str, history: int = 0) -> Inspection:
        inside = ahead(self._order(), resource, None)
        waiters = [
            Waiter(one.ask.owner, index + 1, one.ask.priority, self._wall(one.since), one.ask.mode)
            for index, one in enumerate(inside)
        ]
        return self._records.inspect(resource, waiters, history)

    def live(self) -> List[Inspection]:
        """All resources that somebody holds or waits for, in the byte order of their names."""
        seen = [self.inspect(name) for name in self._records.names()]
        return [one for one in seen if one.holders or one.waiters]

    def check_token(self, resource: str, token: int) -> Tuple[bool, int]:
        """Whether it is in force, and the last one granted."""
        entry = self._records.entry(resource)
        return any(grant.facts.token == token for grant in entry.grants.values()), entry.last_token

    def drain_waits(self) -> None:
        """Refuses every wait with DRAINING; each finds its place again by its request_id."""
        for wait in self._order():
            self._leave_line(wait, True)
            wait.asker.refused(DRAINING)
        self._settle()

    # -- inside --------------------------------------------------------------------------------------------------

    def _order(self) -> List[Wait]:
        return in_order(self._waits)

    def _holders_of(self, resource: str) -> List[Tuple[str, str]]:
        return [(grant.facts.owner, grant.facts.mode) for grant in self._records.on(resource)]

    def _wall(self, at: float) -> float:
        return self.clock.wall() - self.clock.now() + at

    def _find(self, lease_id: str) -> Grant:
        grant = self._grants.get(lease_id)
        if grant is None:
            raise Refused(self._past.refusal_of(lease_id))
        return grant

    def _repeat(self, before: Tuple[str, bool], asker: Asker) -> None:
        lease_id, same = before
        grant = self._grants.get(lease_id)
        if not same:
            asker.refused(invalid([Violation("request_id", "was used with other arguments")]))
        elif grant is None:
            asker.refused(self._past.refusal_of(lease_id))
        else:
            asker.granted(grant.lease(), True)

    def _grant(self, ask: AcquireAsk, resources: Sequence[str], asker: Asker) -> None:
        # As large as those of the service, so that a test finds a column that is too narrow for them.
        self._token = max(math.floor(self.clock.wall() * 1_000_000), self._token + 1)
        lease_id, lease_ref = self._new_id()
        facts = Lease(
            lease_id, lease_ref, tuple(resources), self._token, ask.owner, ask.mode, ask.ttl, self.clock.wall(), ask.labels
        )
        grant = Grant(self.clock, facts, lambda: self.renews, self._renewed, self._due)
        self._grants[lease_id] = grant
        self._past.granted(ask, lease_id, facts.resources)
        self._records.take(grant)
        asker.granted(grant.lease(), False)

    def _renewed(self, grant: Grant) -> None:
        self._records.note("renewed", grant)
        if grant.keeper is not None:
            grant.keeper.renewed(grant.lease())

    def _due(self, grant: Grant, why: str) -> None:
        self._end(grant, why, UNRENEWED if why == "expired" else CLOSED)

    def _wait(self, ask: AcquireAsk, asker: Asker) -> Callable[[bool], bool]:
        now = self.clock.now()
        self._number += 1
        wait = Wait(ask, asker, self._past.take_place(ask, now) or (now, self._number), now)
        self._waits.append(wait)
        self._records.note_wait(ask)
        if ask.wait < math.inf:
            wait.timer = self.clock.after(ask.wait, lambda: self._wait_is_over(wait))
        self._settle()

        def give_up(keep_place: bool) -> bool:
            left = self._leave_line(wait, keep_place)
            if left:
                self._settle()
            return left

        return give_up

    def _wait_is_over(self, wait: Wait) -> None:
        if wait not in self._waits:
            return
        position, _ = standing(wait, self._order())
        self._drop(wait)
        wait.asker.busy(self._busy(wait.ask, position, True))
        self._settle()

    def _drop(self, wait: Wait) -> None:
        self._waits.remove(wait)
        if wait.timer is not None:
            wait.timer.cancel()

    def _leave_line(self, wait: Wait, keep_place: bool) -> bool:
        if wait not in self._waits:
            return False
        self._drop(wait)
        if keep_place:
            self._past.keep_place(wait.ask, wait.ticket, self.clock.now())
        return True

    def _busy(self, ask: AcquireAsk, position: int = 0, wait_elapsed: bool = False) -> Busy:
        holders = self._records.in_the_way(ask)
        order = self._order()
        longest = max(len(ahead(order, resource, None)) for resource in ask.resources)
        left = max((one.expire_time - self.clock.wall() for one in holders), default=0.0)
        return Busy(holders, longest, position, wait_elapsed, max(0.0, left))

    def _end(self, grant: Grant, why: str, detail: str, reason: str = "") -> None:
        keeper, facts = grant.keeper, grant.facts
        grant.stop()
        if self._grants.pop(facts.lease_id, None) is None:
            return
        self._past.ended(facts.lease_id, why)
        self._records.give(grant)
        self._records.note(EVENTS[why], grant, reason)
        if keeper is not None:
            keeper.lost(Loss(why, facts.lease_ref, facts.token, detail))
        self._settle()

    def _settle(self) -> None:
        """Serves those who can go on, ends deadlocks, and tells the others where they stand now."""
        while self._serve_one():
            pass
        order = self._order()
        for wait in order:
            position, length = standing(wait, order)
            if wait.moved(position):
                wait.asker.queued(Queued(position, length, self._records.in_the_way(wait.ask)))
        self._on_change()

    def _serve_one(self) -> bool:
        order = self._order()
        for wait in order:
            names = pick(wait.ask, wait, order, self._holders_of)
            if names is not None:
                self._serve(wait, names)
                return True
        stuck = deadlocked(order, self._holders_of)
        if stuck is None:
            return False
        self._drop(stuck[0])
        stuck[0].asker.refused(stuck[1])
        return True

    def _serve(self, wait: Wait, names: Sequence[str]) -> None:
        """A repeat that waits beside the first gets the same lease: it would wait for itself."""
        self._drop(wait)
        self._grant(wait.ask, names, wait.asker)
        for repeat in [one for one in self._order() if wait.ask.key is not None and one.ask.key == wait.ask.key]:
            self._drop(repeat)
            before = self._past.answered(repeat.ask)
            if before is not None:
                self._repeat(before, repeat.asker)
