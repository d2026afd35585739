"""Requests in: each message becomes a checked ask, or the refusal that names all its bad fields."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import dataclass
from typing import List, Mapping, Optional, Sequence, Tuple

from google.protobuf import duration_pb2

from .._proto import admin_pb2, lock_pb2
from ._words import AcquireAsk, Refused, Violation, invalid

RESOURCE = re.compile(r"[A-Za-z0-9._:/@+-]+\Z")
UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ufffd]")
LEASE_ID = re.compile(r"hf1\.[A-Za-z0-9_-]{22}\.fake\Z")
LEASE_REF = re.compile(r"[A-Za-z0-9_-]{16}\Z")
NAMES = 64
NAME = 256
OWNER = 256
REASON = 512


@dataclass(frozen=True)
class TtlRange:
    """The ttls that are granted, in seconds."""

    least: float
    most: float
    usual: float


def units(text: str) -> int:
    """Lengths are counted in UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def name_fault(name: str) -> Optional[str]:
    if not name:
        return "must not be empty"
    if len(name) > NAME:
        return f"must be at most {NAME} characters"
    return None if RESOURCE.match(name) else "may hold only letters, digits and . _ : / @ + -"


def text_fault(text: str, least: int, most: int) -> Optional[str]:
    if units(text) < least:
        return "must not be empty"
    if units(text) > most:
        return f"must be at most {most} characters"
    return "must be UTF-8 text without control characters or U+FFFD" if UNPRINTABLE.search(text) else None


def seconds(span: duration_pb2.Duration) -> float:
    return span.seconds + span.nanos / 1e9


class Rules:
    """Collects what is wrong with one request."""

    def __init__(self) -> None:
        self._found: List[Violation] = []

    def finish(self) -> None:
        if self._found:
            raise Refused(invalid(self._found))

    def fault(self, field: str, description: Optional[str]) -> None:
        if description is not None:
            self._found.append(Violation(field, description))

    def name(self, field: str, name: str) -> None:
        self.fault(field, name_fault(name))

    def names(self, field: str, names: Sequence[str]) -> None:
        if not names:
            self.fault(field, "must not be empty")
        elif len(names) > NAMES:
            self.fault(field, f"must be at most {NAMES} names, not {len(names)}")
        else:
            for at, name in enumerate(names):
                first = names.index(name)
                repeats = f"repeats {field}[{first}]" if first < at else None
                self.fault(f"{field}[{at}]", name_fault(name) or repeats)

    def text(self, field: str, text: str, least: int, most: int) -> None:
        self.fault(field, text_fault(text, least, most))

    def most(self, field: str, value: int, most: int) -> None:
        if value > most:
            self.fault(field, f"must be at most {most}, not {value}")

    def labels(self, field: str, labels: Mapping[str, str]) -> None:
        if len(labels) > 16:
            self.fault(field, f"must be at most 16 labels, not {len(labels)}")
            return
        for key, value in labels.items():
            path = f"{field}[{json.dumps(key)}]"
            for what, fault in (("key", text_fault(key, 1, 64)), ("value", text_fault(value, 0, 256))):
                self.fault(path, None if fault is None else f"{what} {fault}")

    def ttl(self, field: str, message: object, ttl: TtlRange) -> Optional[float]:
        """Judged exactly and never clamped, then rounded down to whole milliseconds."""
        if not message.HasField("ttl"):  # type: ignore[attr-defined]
            return None
        span = seconds(message.ttl)  # type: ignore[attr-defined]
        if not ttl.least <= span <= ttl.most:
            low, high, given = (f"{one * 1000:g}ms" for one in (ttl.least, ttl.most, span))
            self.fault(field, f"must lie within {low} and {high}, not {given}")
        return math.floor(span * 1000 + 1e-6) / 1000

    def wait(self, field: str, span: float) -> float:
        if span < 0:
            self.fault(field, f"must not be negative, as {span * 1000:g}ms is")
        return span

    def grace(self, field: str, span: float, ttl: TtlRange) -> float:
        self.wait(field, span)
        if span > ttl.most:
            self.fault(field, f"must be at most {ttl.most * 1000:g}ms, not {span * 1000:g}ms")
        return span

    def lease_id(self, field: str, lease_id: str) -> None:
        if not LEASE_ID.match(lease_id):
            self.fault(field, "is not a lease id of this service")


def _ask(rules: Rules, request: lock_pb2.AcquireRequest, ttl: TtlRange, path: str = "") -> AcquireAsk:
    resources = list(request.resources)
    rules.names(f"{path}resources", resources)
    rules.text(f"{path}owner", request.owner, 1, OWNER)
    span = rules.ttl(f"{path}ttl", request, ttl)
    wait = rules.wait(f"{path}wait", seconds(request.wait))
    if not 0 <= request.mode <= 2:
        rules.fault(f"{path}mode", f"must be a known Mode, not {request.mode}")
    if request.any > len(resources):
        said = f"must be at most the number of resources, {len(resources)}, not {request.any}"
        rules.fault(f"{path}any", said)
    rules.most(f"{path}priority", request.priority, 9)
    rules.text(f"{path}request_id", request.request_id, 0, 128)
    rules.labels(f"{path}labels", request.labels)
    return AcquireAsk(
        resources,
        request.owner,
        ttl.usual if span is None else span,
        wait,
        "shared" if request.mode == lock_pb2.MODE_SHARED else "exclusive",
        0 if request.any == len(resources) else request.any,
        request.priority,
        request.request_id,
        dict(request.labels),
    )


def acquire_ask(request: lock_pb2.AcquireRequest, ttl: TtlRange) -> AcquireAsk:
    rules = Rules()
    ask = _ask(rules, request, ttl)
    rules.finish()
    return ask


def hold_ask(request: lock_pb2.HoldRequest, ttl: TtlRange) -> Tuple[Optional[AcquireAsk], float]:
    """What to acquire, None for a resume; and the grace."""
    rules = Rules()
    acquire: Optional[AcquireAsk] = None
    if request.HasField("acquire") and request.resume_lease_id:
        rules.fault("acquire", "must be absent where resume_lease_id is set")
    elif request.HasField("acquire"):
        wanted = request.acquire
        acquire = _ask(rules, wanted, ttl, "acquire.")
        if not wanted.HasField("wait"):
            # Whoever says nothing of a wait has the stream, which ends when it no longer wants to wait.
            acquire = AcquireAsk(**{**acquire.__dict__, "wait": math.inf})
    elif not request.resume_lease_id:
        rules.fault("acquire", "or resume_lease_id must be set")
    else:
        rules.lease_id("resume_lease_id", request.resume_lease_id)
    grace = rules.grace("grace", seconds(request.grace), ttl)
    rules.finish()
    return acquire, grace


def heartbeat_ttl(request: lock_pb2.HeartbeatRequest, ttl: TtlRange) -> Optional[float]:
    """What is promised; None: the ttl of the lease."""
    rules = Rules()
    rules.lease_id("lease_id", request.lease_id)
    span = rules.ttl("ttl", request, ttl)
    rules.text("progress", request.progress, 0, 1024)
    rules.finish()
    return span


def check_release(request: lock_pb2.ReleaseRequest) -> None:
    rules = Rules()
    rules.lease_id("lease_id", request.lease_id)
    rules.text("reason", request.reason, 0, REASON)
    rules.finish()


def check_lease_id(field: str, lease_id: str) -> None:
    rules = Rules()
    rules.lease_id(field, lease_id)
    rules.finish()


def grace_of(request: lock_pb2.SessionRequest, ttl: TtlRange) -> Optional[float]:
    if not request.HasField("grace"):
        return None
    rules = Rules()
    grace = rules.grace("grace", seconds(request.grace), ttl)
    rules.finish()
    return grace


def check_token_check(request: lock_pb2.CheckTokenRequest) -> None:
    rules = Rules()
    rules.name("resource", request.resource)
    if request.fencing_token == 0:
        rules.fault("fencing_token", "must not be 0, which is never a token")
    rules.finish()


def check_inspect(request: lock_pb2.InspectRequest) -> None:
    rules = Rules()
    rules.name("resource", request.resource)
    rules.most("history_limit", request.history_limit, 1000)
    rules.finish()


def check_force_release(request: admin_pb2.ForceReleaseRequest) -> None:
    rules = Rules()
    rules.name("resource", request.resource)
    if request.lease_ref and not LEASE_REF.match(request.lease_ref):
        rules.fault("lease_ref", "is not a lease_ref of this service")
    rules.text("reason", request.reason, 1, REASON)
    rules.finish()


def page_token(last: str, prefix: str, owner: str) -> str:
    """Names the last resource of the page before, and the question that it belongs to."""
    return base64.urlsafe_b64encode(json.dumps([last, prefix, owner]).encode()).decode()


def list_after(request: lock_pb2.ListRequest) -> str:
    """The resource after which the page begins."""
    rules = Rules()
    if request.prefix:
        rules.name("prefix", request.prefix)
    rules.text("owner", request.owner, 0, OWNER)
    rules.most("page_size", request.page_size, 1000)
    last = ""
    if request.page_token:
        try:
            last = str(json.loads(base64.urlsafe_b64decode(request.page_token))[0])
        except (ValueError, LookupError, TypeError):
            last = ""
        if page_token(last, request.prefix, request.owner) != request.page_token:
            rules.fault("page_token", "is not from this service for this prefix and owner")
    rules.finish()
    return last
