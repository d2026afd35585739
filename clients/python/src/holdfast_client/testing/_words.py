"""The words of the fake's locks: what is asked, what is granted, what can be seen, and every way of saying no."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Dict, List, Mapping, Optional, Protocol, Sequence

#: As in proto/holdfast/v1/error.proto; a reason never changes its code.
CODES = {
    "INVALID_FIELD": 3,
    "LEASE_LOST": 9,
    "NO_QUORUM": 14,
    "DEADLOCK": 10,
    "QUOTA": 8,
    "TOO_MANY_WAITERS": 8,
    "UNKNOWN_RESOURCE": 5,
    "DENIED": 7,
    "UNAUTHENTICATED": 16,
    "DRAINING": 14,
    "NOT_SERVED": 12,
    "INTERNAL": 13,
}


@dataclass(frozen=True)
class Violation:
    """A field that breaks its rule."""

    field: str
    description: str


@dataclass(frozen=True)
class Refusal:
    """Why something is not done."""

    code: int
    #: Empty only where gRPC itself speaks.
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Sequence[Violation] = ()
    retry_after: Optional[float] = None

    def within(self, path: str) -> "Refusal":
        """Of a part of a larger message: paths begin at the top of that one."""
        if not self.violations:
            return self
        return invalid([Violation(f"{path}.{one.field}", one.description) for one in self.violations])


class Refused(Exception):
    """Raised by what decides, and answered by what serves."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refusal(
    reason: str, message: str, metadata: Optional[Mapping[str, str]] = None, retry_after: Optional[float] = None
) -> Refusal:
    return Refusal(CODES[reason], reason, message, metadata or {}, (), retry_after)


def invalid(violations: Sequence[Violation]) -> Refusal:
    """One refusal that names every bad field at once."""
    message = "; ".join(f"{one.field} {one.description}" for one in violations)
    first = violations[0].field if violations else ""
    return Refusal(CODES["INVALID_FIELD"], "INVALID_FIELD", message, {"field": first}, tuple(violations))


def lease_lost(why: str) -> Refusal:
    return refusal("LEASE_LOST", f"the lease is gone: {why}", {"why": why})


def unknown_resource(resource: str) -> Refusal:
    return refusal("UNKNOWN_RESOURCE", f"no node has ever seen {resource}", {"resource": resource})


CANCELLED = Refusal(1, "", "the operation was given up")
DRAINING = refusal("DRAINING", "this replica is shutting down; try another", retry_after=0.1)
UNREACHABLE = Refusal(14, "", "the connection is gone")

#: What the service usually says beside a reason, where a test says nothing else.
USUAL: Dict[str, Refusal] = {
    "INVALID_FIELD": invalid([Violation("resources", "was refused by the test")]),
    "LEASE_LOST": lease_lost("unknown"),
    "NO_QUORUM": refusal("NO_QUORUM", "", {"answered": "1", "nodes": "3"}, 1.0),
    "DEADLOCK": refusal("DEADLOCK", "", {"cycle": "", "owners": "[]", "resources": "[]", "links": "0"}),
    "QUOTA": refusal("QUOTA", "", retry_after=1.0),
    "TOO_MANY_WAITERS": refusal("TOO_MANY_WAITERS", "", {"limit": "1000", "scope": "resource"}, 1.0),
    "DRAINING": DRAINING,
}


def ordered(
    reason: str, message: Optional[str], metadata: Optional[Mapping[str, str]], retry_after: Optional[float]
) -> Refusal:
    """The refusal that a test has ordered."""
    usual = USUAL.get(reason) or refusal(reason, "")
    return replace(
        usual,
        message=message or "the test has ordered this",
        metadata={**usual.metadata, **(metadata or {})},
        retry_after=usual.retry_after if retry_after is None else retry_after,
    )


@dataclass(frozen=True)
class AcquireAsk:
    """What an Acquire asks for, checked. Spans in seconds."""

    resources: Sequence[str]
    owner: str
    ttl: float
    #: 0: do not wait. Infinite: as long as the stream lives.
    wait: float = 0.0
    mode: str = "exclusive"
    #: 0: all of `resources`.
    any: int = 0
    priority: int = 0
    request_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def needed(self) -> int:
        return self.any or len(self.resources)

    @property
    def key(self) -> Optional[str]:
        """None for a request that is a new one each time."""
        return repr((self.owner, self.request_id)) if self.request_id else None

    @property
    def digest(self) -> str:
        """All that was asked but for the wait, which may differ from one repeat to the next."""
        labels = sorted(self.labels.items())
        return repr((list(self.resources), self.ttl, self.mode, self.any, self.priority, labels))


@dataclass(frozen=True)
class Lease:
    """A lease as it stands. Times of day in seconds since 1970."""

    lease_id: str
    lease_ref: str
    resources: Sequence[str]
    token: int
    owner: str
    mode: str
    ttl: float
    acquire_time: float
    labels: Mapping[str, str]
    expire_time: float = math.nan
    progress: str = ""


@dataclass(frozen=True)
class Holder:
    """Somebody has a resource: one entry for each resource and lease."""

    resource: str
    owner: str
    lease_ref: str
    token: int
    mode: str
    acquire_time: float
    expire_time: float
    labels: Mapping[str, str]
    progress: str


@dataclass(frozen=True)
class Waiter:
    """Somebody waits. `position` counts from 1: the next to be served."""

    owner: str
    position: int
    priority: int
    since: float
    mode: str


@dataclass(frozen=True)
class Queued:
    """Where a request stands in line."""

    position: int
    queue_length: int
    holders: Sequence[Holder]


@dataclass(frozen=True)
class Busy:
    """Not granted, and why."""

    holders: Sequence[Holder]
    queue_length: int
    position: int
    wait_elapsed: bool
    retry_after: float


@dataclass(frozen=True)
class Loss:
    """How a lease has ended."""

    reason: str
    lease_ref: str
    token: int
    detail: str


@dataclass(frozen=True)
class Event:
    """Something that happened to a resource."""

    type: str
    time: float
    resource: str
    owner: str
    lease_ref: str = ""
    token: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Inspection:
    """A resource."""

    resource: str
    holders: List[Holder]
    waiters: List[Waiter]
    last_token: int
    history: List[Event]


class Asker(Protocol):
    """Who asks for a lease, and hears what becomes of that: exactly one of the first three, once."""

    def granted(self, lease: Lease, replayed: bool) -> None: ...

    def busy(self, busy: Busy) -> None: ...

    def refused(self, refusal: Refusal) -> None: ...

    def queued(self, queued: Queued) -> None: ...


class Keeper(Protocol):
    """The stream that keeps a lease, and hears what becomes of it."""

    def renewed(self, lease: Lease) -> None: ...

    def lost(self, loss: Loss) -> None: ...

    def asked_to_yield(self, owner: str, priority: int, waited: float) -> None: ...


def conflict(one: str, other: str) -> bool:
    return "exclusive" in (one, other)


def holder_of(lease: Lease, resource: str) -> Holder:
    """A lease as views show it: without its id."""
    return Holder(
        resource,
        lease.owner,
        lease.lease_ref,
        lease.token,
        lease.mode,
        lease.acquire_time,
        lease.expire_time,
        lease.labels,
        lease.progress,
    )
