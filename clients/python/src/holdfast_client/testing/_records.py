"""What the fake remembers: of each resource who holds it and what happened; and requests, ended leases, lost places."""

from __future__ import annotations

from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from ._clock import Time
from ._grant import Grant
from ._words import AcquireAsk, Event, Holder, Inspection, Refusal, Refused, Waiter
from ._words import conflict, holder_of, lease_lost, unknown_resource

#: As many as a node of the service keeps for each resource.
HISTORY_KEPT = 64
#: A waiter that lost its stream finds its place again for so many seconds (HOLDFAST_WAITER_LIVENESS).
PLACE_KEPT = 6.0

Ticket = Tuple[float, int]


class Entry:
    """One resource."""

    def __init__(self) -> None:
        #: By lease_id, in the order in which they were granted.
        self.grants: Dict[str, Grant] = {}
        self.last_token = 0
        self.history: List[Event] = []


class Records:
    """Every resource that was ever granted or waited for."""

    def __init__(self, clock: Time) -> None:
        self._clock = clock
        self._entries: Dict[str, Entry] = {}

    def entry(self, resource: str) -> Entry:
        """Raises Refused for one that was never heard of."""
        found = self._entries.get(resource)
        if found is None:
            raise Refused(unknown_resource(resource))
        return found

    def names(self) -> List[str]:
        """In byte order: names are ASCII."""
        return sorted(self._entries)

    def on(self, resource: str) -> List[Grant]:
        found = self._entries.get(resource)
        return [] if found is None else list(found.grants.values())

    def holders(self, resource: str) -> List[Holder]:
        return [holder_of(grant.lease(), resource) for grant in self.on(resource)]

    def in_the_way(self, ask: AcquireAsk) -> List[Holder]:
        """Who keeps `ask` from what it wants."""
        holders = [one for resource in ask.resources for one in self.holders(resource)]
        return [one for one in holders if conflict(one.mode, ask.mode)]

    def inspect(self, resource: str, waiters: List[Waiter], history: int) -> Inspection:
        entry = self.entry(resource)
        return Inspection(resource, self.holders(resource), waiters, entry.last_token, entry.history[:history])

    def take(self, grant: Grant) -> None:
        self.note("granted", grant)
        for resource in grant.facts.resources:
            entry = self._entries[resource]
            entry.grants[grant.facts.lease_id] = grant
            entry.last_token = grant.facts.token

    def give(self, grant: Grant) -> None:
        for resource in grant.facts.resources:
            del self._entries[resource].grants[grant.facts.lease_id]

    def note(self, kind: str, grant: Grant, reason: str = "") -> None:
        facts = grant.facts
        self._note(kind, facts.resources, facts.owner, facts.lease_ref, facts.token, reason)

    def note_wait(self, ask: AcquireAsk) -> None:
        self._note("queued", ask.resources, ask.owner, "", 0, "")

    def _note(self, kind: str, resources: Iterable[str], owner: str, ref: str, token: int, reason: str) -> None:
        for resource in resources:
            entry = self._entries.setdefault(resource, Entry())
            event = Event(kind, self._clock.wall(), resource, owner, ref, token, reason)
            # A renewal takes the place of the one before it: a lease is renewed without end.
            rest = [one for one in entry.history if kind != "renewed" or (one.type, one.token) != (kind, token)]
            entry.history = [event, *rest][:HISTORY_KEPT]


class Past:
    """What is known of requests and leases when they are over."""

    def __init__(self) -> None:
        self._answers: Dict[str, Tuple[str, str]] = {}
        self._places: Dict[str, Tuple[Ticket, float]] = {}
        self._facts: Dict[str, Tuple[Sequence[str], str]] = {}
        self._why: Dict[str, str] = {}

    def answered(self, ask: AcquireAsk) -> Optional[Tuple[str, bool]]:
        """The lease that it was answered with, and whether it asked for the same then; None if it is new."""
        found = None if ask.key is None else self._answers.get(ask.key)
        return None if found is None else (found[1], found[0] == ask.digest)

    def granted(self, ask: AcquireAsk, lease_id: str, resources: Sequence[str]) -> None:
        if ask.key is not None:
            self._answers[ask.key] = (ask.digest, lease_id)
        self._facts[lease_id] = (resources, ask.owner)

    def ended(self, lease_id: str, why: str) -> None:
        self._why[lease_id] = why

    def refusal_of(self, lease_id: str) -> Refusal:
        """Why a lease that nobody holds is gone."""
        return lease_lost(self._why.get(lease_id, "unknown"))

    def facts_of(self, lease_id: str) -> Tuple[Sequence[str], str]:
        """On what it is or was, and whose; nothing if there never was such a lease."""
        return self._facts.get(lease_id, ((), ""))

    def keep_place(self, ask: AcquireAsk, ticket: Ticket, now: float) -> None:
        if ask.key is not None:
            self._places[ask.key] = (ticket, now + PLACE_KEPT)

    def take_place(self, ask: AcquireAsk, now: float) -> Optional[Ticket]:
        """The place that was kept for it, once."""
        found = None if ask.key is None else self._places.pop(ask.key, None)
        return found[0] if found is not None and now < found[1] else None
