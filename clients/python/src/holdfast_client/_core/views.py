"""What callers are shown: plain values, without protobuf."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import List, Mapping, Optional

__all__ = [
    "Event",
    "Holder",
    "Inspection",
    "LockSummary",
    "Loss",
    "NodeStatus",
    "NodeView",
    "Queued",
    "ServiceStatus",
    "TokenCheck",
    "Waiter",
    "YieldRequest",
]


@dataclass(frozen=True)
class Holder:
    """Who holds a resource; a lease on several resources appears once for each."""

    resource: str
    owner: str
    lease_ref: str
    token: int
    mode: str
    acquire_time: Optional[datetime]
    expire_time: Optional[datetime]
    labels: Mapping[str, str] = field(default_factory=dict)
    progress: str = ""


@dataclass(frozen=True)
class Waiter:
    """Who waits, in which place from 1."""

    owner: str
    position: int
    priority: int
    since: Optional[datetime]
    mode: str


@dataclass(frozen=True)
class NodeView:
    """What one node says about a resource; `remaining` in seconds, None without a holder."""

    node: str
    vote: str
    fence: int
    fence_closed: bool
    lease_ref: str
    remaining: Optional[float]
    detail: str


@dataclass(frozen=True)
class Event:
    """Something that happened; `type` is `queued`, `granted`, `renewed`, `released`, `expired`, `lost` or `forced`."""

    type: str
    time: Optional[datetime]
    resource: str
    owner: str
    lease_ref: str
    token: int
    reason: str


@dataclass(frozen=True)
class Inspection:
    """A resource: `state` is `free`, `held` or `unknown`, `source` is `live` or `history`."""

    resource: str
    state: str
    holders: List[Holder]
    waiters: List[Waiter]
    last_token: int
    source: str
    nodes: List[NodeView]
    history: List[Event]


@dataclass(frozen=True)
class LockSummary:
    """One line of a list."""

    resource: str
    state: str
    holders: List[Holder]
    queue_length: int
    last_token: int


@dataclass(frozen=True)
class TokenCheck:
    """Whether a token is in force, and the largest token known to have been granted. True where it is in force."""

    current: bool
    last_token: int

    def __bool__(self) -> bool:
        return self.current


@dataclass(frozen=True)
class NodeStatus:
    """A node of the service; spans in seconds, None where nothing is known."""

    node: str
    state: str
    detail: str
    vote_latency: Optional[float]
    quarantine_left: Optional[float]
    clock_offset: Optional[float]
    floor: str


@dataclass(frozen=True)
class ServiceStatus:
    """The replica that answered, and its nodes."""

    version: str
    nodes: List[NodeStatus]
    quorum_margin: int
    embedded: bool
    draining: bool
    warnings: List[str]


@dataclass(frozen=True)
class Loss:
    """How a lease ended under its holder: `reason` is `expired`, `released`, `forced` or `unknown`."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Queued:
    """The request waits: its place from 1, how many wait, and who holds."""

    position: int
    queue_length: int
    holders: List[Holder]


@dataclass(frozen=True)
class YieldRequest:
    """Somebody of higher priority asks for the lock; may be ignored. `waited` in seconds."""

    owner: str
    priority: int
    waited: float
    deadline: Optional[datetime]
