"""Who is served next, and who waits in vain: the order of those who wait, and deadlocks. Pure."""

from __future__ import annotations

import json
from typing import Callable, Iterable, List, Optional, Sequence, Set, Tuple

from ._words import AcquireAsk, Asker, Refusal, conflict, refusal
from ._clock import Timer

#: A level of priority is worth so many seconds of waiting.
PRIORITY_STEP = 5.0

#: Owner and mode of each lease on a resource.
HoldersOf = Callable[[str], Sequence[Tuple[str, str]]]


class Wait:
    """One that stands in line."""

    def __init__(self, ask: AcquireAsk, asker: Asker, ticket: Tuple[float, int], since: float) -> None:
        self.ask = ask
        self.asker = asker
        #: When it came, and its number among those of one instant; kept when it comes back by its request_id.
        self.ticket = ticket
        #: When this wait began, which may be after its ticket.
        self.since = since
        self.timer: Optional[Timer] = None
        self._told = 0

    @property
    def rank(self) -> Tuple[float, int]:
        came, number = self.ticket
        return came - self.ask.priority * PRIORITY_STEP, number

    def moved(self, position: int) -> bool:
        """Whether it stands where it did not stand when this was asked last."""
        moved = position != self._told
        self._told = position
        return moved


def in_order(waits: Iterable[Wait]) -> List[Wait]:
    return sorted(waits, key=lambda one: one.rank)


def ahead(order: Sequence[Wait], resource: str, wait: Optional[Wait]) -> List[Wait]:
    """Those who stand before `wait`, in order; all of them for one that has no place yet."""
    before = order if wait is None else order[: list(order).index(wait)]
    return [one for one in before if resource in one.ask.resources]


def pick(
    ask: AcquireAsk, wait: Optional[Wait], order: Sequence[Wait], holders_of: HoldersOf
) -> Optional[List[str]]:
    """What `ask` gets now, or None.

    Nobody overtakes: a resource that anybody ahead waits for cannot be had, though it be free. With `any` the first
    ones in the order of the request are picked.
    """
    can = [
        resource
        for resource in ask.resources
        if not ahead(order, resource, wait)
        and not any(conflict(mode, ask.mode) for _, mode in holders_of(resource))
    ]
    return can[: ask.needed] if len(can) >= ask.needed else None


def standing(wait: Wait, order: Sequence[Wait]) -> Tuple[int, int]:
    """The worst place among its lines, from 1, and the length of that line."""
    places = [
        (len(ahead(order, resource, wait)) + 1, len(ahead(order, resource, None))) for resource in wait.ask.resources
    ]
    return max(places, key=lambda one: one[0])


def _blockers(wait: Wait, resource: str, order: Sequence[Wait], holders_of: HoldersOf) -> List[Wait]:
    """The waits that must go on before `resource` is free for `wait`."""
    owners = {owner for owner, mode in holders_of(resource) if conflict(mode, wait.ask.mode)}
    return [one for one in order if one.ask.owner in owners] + ahead(order, resource, wait)


def _stuck(order: Sequence[Wait], holders_of: HoldersOf) -> Set[Wait]:
    """Those that cannot go on even if everybody else does: what is left when the others are struck out."""
    stuck = set(order)
    changed = True
    while changed:
        changed = False
        for wait in list(stuck):
            ways = [_blockers(wait, resource, order, holders_of) for resource in wait.ask.resources]
            if sum(not stuck.intersection(way) for way in ways) >= wait.ask.needed:
                stuck.discard(wait)
                changed = True
    return stuck


def _cycle(start: Wait, stuck: Set[Wait], order: Sequence[Wait], holders_of: HoldersOf) -> List[Tuple[Wait, str]]:
    """From one stuck wait to what blocks it, until a wait comes up again: that part is the cycle."""
    path: List[Tuple[Wait, str]] = []
    wait = start
    while True:
        seen = [one for one, _ in path]
        if wait in seen:
            return path[seen.index(wait) :]
        links = [
            (resource, other)
            for resource in wait.ask.resources
            for other in _blockers(wait, resource, order, holders_of)
            if other in stuck
        ]
        if not links:
            return path
        path.append((wait, links[0][0]))
        wait = links[0][1]


def deadlocked(order: Sequence[Wait], holders_of: HoldersOf) -> Optional[Tuple[Wait, Refusal]]:
    """The wait that has to give way, the youngest of a cycle, and why; None while all can go on."""
    stuck = _stuck(order, holders_of)
    if not stuck:
        return None
    links = _cycle(next(one for one in order if one in stuck), stuck, order, holders_of)
    at = max(range(len(links)), key=lambda index: links[index][0].ticket[1])
    links = links[at:] + links[:at]
    owners = [wait.ask.owner for wait, _ in links]
    resources = [resource for _, resource in links]
    # As the service writes it: each owner and what it waits for, and the first owner again.
    text = " -> ".join([part for link in zip(owners, resources) for part in link] + owners[:1])
    metadata = {
        "cycle": text,
        "owners": json.dumps(owners),
        "resources": json.dumps(resources),
        "links": str(len(links)),
    }
    return links[0][0], refusal("DEADLOCK", f"this wait would never end: {text}", metadata)
