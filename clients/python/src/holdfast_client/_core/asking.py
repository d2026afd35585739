"""From what a caller asks to the request that is sent: every fault that the client can see is named here."""

from __future__ import annotations

import math
from typing import Callable, List, Mapping, Optional, Sequence, TypedDict, Union

from google.protobuf import duration_pb2

from .._proto import admin_pb2, lock_pb2
from ..errors import FieldViolation, InvalidFieldError
from .views import Queued, YieldRequest

Names = Union[str, Sequence[str]]
Seconds = Union[int, float]

MODES = {"exclusive": 1, "shared": 2}
LARGEST_COUNT = 2**32 - 1
LARGEST_TOKEN = 2**64 - 1
#: A Duration's own limit, in seconds.
LONGEST = 315_576_000_000
#: An endless wait is asked for in pieces of this many seconds.
PIECE = 7 * 24 * 3600.0


class Faults:
    """Collects what is wrong, so that all of it is told at once."""

    def __init__(self) -> None:
        self.found: List[FieldViolation] = []

    def add(self, field: str, description: str) -> None:
        self.found.append(FieldViolation(field, description))

    def finish(self) -> None:
        if self.found:
            raise InvalidFieldError(fields=self.found)

    def text(self, field: str, value: object) -> str:
        if not isinstance(value, str):
            self.add(field, f"must be a str, not {type(value).__name__}")
            return ""
        try:
            value.encode()
        except UnicodeEncodeError:
            self.add(field, "must be text that UTF-8 can carry")
            return ""
        return value

    def span(self, field: str, value: object, *, least: float = 0.0, above: bool = False) -> float:
        """Seconds; `above`: `least` itself is not allowed."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            self.add(field, f"must be a number of seconds, not {value!r}")
            return 0.0
        if value < least or (above and value == least) or value > LONGEST:
            self.add(field, f"must be {'above' if above else 'at least'} {least:g} s, not {value!r}")
            return 0.0
        return float(value)

    def count(self, field: str, value: object, largest: int = LARGEST_COUNT) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
            self.add(field, f"must be a whole number from 0 to {largest}, not {value!r}")
            return 0
        return value


def names_of(names: Names, faults: Faults) -> List[str]:
    if isinstance(names, (str, bytes)):
        return [faults.text("resources[0]", names)]
    try:
        found = list(names)
    except TypeError:
        faults.add("resources", f"must be a name or a list of names, not {names!r}")
        return []
    if not found:
        faults.add("resources", "must name at least one resource")
    return [faults.text(f"resources[{index}]", one) for index, one in enumerate(found)]


def duration(value: float) -> duration_pb2.Duration:
    """Rounded to nanoseconds; never to none, where some was asked for."""
    nanos = max(1, round(value * 1e9)) if value > 0 else 0
    return duration_pb2.Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)


class LockOptions(TypedDict, total=False):
    """Options of lock, acquire, hold and with_lock; spans in seconds."""

    ttl: Optional[Seconds]
    wait: Optional[Seconds]
    owner: Optional[str]
    mode: str
    any: int
    priority: int
    labels: Optional[Mapping[str, str]]
    request_id: Optional[str]
    on_queued: Optional[Callable[[Queued], object]]
    on_yield_request: Optional[Callable[[YieldRequest], object]]


class Asked:
    """A request without its wait, which counts down while it is repeated; and whom to tell."""

    def __init__(self, request: lock_pb2.AcquireRequest, wait: float, options: LockOptions) -> None:
        self.request = request
        #: Seconds; 0 not at all, infinite without limit.
        self.wait = wait
        self.on_queued = options.get("on_queued")
        self.on_yield_request = options.get("on_yield_request")


def asked(
    names: Names, options: LockOptions, owner: str, ttl: Optional[float], wait: float, new_id: Callable[[], str]
) -> Asked:
    """`owner`, `ttl`, `wait`: where the options say nothing. A request that waits gets an id."""
    unknown = set(options) - set(LockOptions.__annotations__)
    if unknown:
        raise TypeError(f"there is no option {', '.join(sorted(unknown))}")
    faults = Faults()
    said = options.get("owner")
    request = lock_pb2.AcquireRequest(
        resources=names_of(names, faults),
        owner=faults.text("owner", owner if said is None else said),
        any=faults.count("any", options.get("any", 0)),
        priority=faults.count("priority", options.get("priority", 0)),
        request_id=faults.text("request_id", options.get("request_id") or ""),
    )
    span = options.get("ttl")
    span = ttl if span is None else span
    if span is not None:
        request.ttl.CopyFrom(duration(faults.span("ttl", span, above=True)))
    given = options.get("wait")
    wait = wait if given is None else _wait(given, faults)
    number = MODES.get(options.get("mode", "exclusive"))
    if number is None:
        faults.add("mode", f"must be 'exclusive' or 'shared', not {options.get('mode')!r}")
    elif number != 1:
        request.mode = lock_pb2.MODE_SHARED
    _label(request, options.get("labels") or {}, faults)
    faults.finish()
    if wait > 0 and not request.request_id:
        request.request_id = new_id()
    return Asked(request, wait, options)


def _wait(given: object, faults: Faults) -> float:
    if given == math.inf:
        return math.inf
    return faults.span("wait", given)


def _label(request: lock_pb2.AcquireRequest, labels: Mapping[str, str], faults: Faults) -> None:
    for key, value in labels.items():
        told, name = faults.text(f'labels["{key}"]', value), faults.text("labels", key)
        if not faults.found:
            request.labels[name] = told


def reason_text(reason: str) -> str:
    """Of a release, checked."""
    faults = Faults()
    text = faults.text("reason", reason)
    faults.finish()
    return text


def failure_reason(error: BaseException) -> str:
    """Of a release after a body that failed."""
    return f"failed: {type(error).__name__}"[:200]


def inspect_request(name: str, history: int) -> lock_pb2.InspectRequest:
    faults = Faults()
    limit = faults.count("history_limit", history)
    request = lock_pb2.InspectRequest(resource=faults.text("resource", name), history_limit=limit)
    faults.finish()
    return request


def list_request(prefix: str, owner: str, page_token: str) -> lock_pb2.ListRequest:
    faults = Faults()
    request = lock_pb2.ListRequest(
        prefix=faults.text("prefix", prefix), owner=faults.text("owner", owner), page_token=page_token
    )
    faults.finish()
    return request


def check_token_request(name: str, token: int) -> lock_pb2.CheckTokenRequest:
    faults = Faults()
    number = faults.count("fencing_token", token, LARGEST_TOKEN)
    request = lock_pb2.CheckTokenRequest(resource=faults.text("resource", name), fencing_token=number)
    faults.finish()
    return request


def force_request(name: str, reason: str, lease_ref: str) -> admin_pb2.ForceReleaseRequest:
    faults = Faults()
    request = admin_pb2.ForceReleaseRequest(
        resource=faults.text("resource", name),
        reason=faults.text("reason", reason),
        lease_ref=faults.text("lease_ref", lease_ref),
    )
    faults.finish()
    return request


def heartbeat_request(lease_id: str, progress: str) -> lock_pb2.HeartbeatRequest:
    faults = Faults()
    request = lock_pb2.HeartbeatRequest(lease_id=lease_id, progress=faults.text("progress", progress))
    faults.finish()
    return request
