"""From messages of the service to the values and errors that callers see."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Mapping, Optional, Sequence

from google.protobuf import duration_pb2, timestamp_pb2

from .. import errors
from .._proto import admin_pb2, error_pb2, lock_pb2
from . import views

#: By number, as google.rpc.Code has them.
CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
#: Fields of an operation of a Session come with the operation in front.
OPERATIONS = ("acquire.", "heartbeat.", "release.", "check_token.", "resume.", "cancel.")
LOST = {1: "expired", 2: "released", 3: "forced"}
MODES = {1: "exclusive", 2: "shared"}
STATES = {1: "free", 2: "held"}
SOURCES = {1: "live", 2: "history"}
VOTES = {1: "held", 2: "free", 3: "silent", 4: "quarantined"}
EVENTS = {1: "queued", 2: "granted", 3: "renewed", 4: "released", 5: "expired", 6: "lost", 7: "forced"}
NODE_STATES = {1: "ready", 2: "silent", 3: "quarantined", 4: "suspect", 5: "refused"}


def seconds(span: duration_pb2.Duration) -> float:
    return float(span.seconds + span.nanos * 1e-9)


def stamp(time: timestamp_pb2.Timestamp) -> float:
    return float(time.seconds + time.nanos * 1e-9)


def moment(time: timestamp_pb2.Timestamp) -> Optional[datetime]:
    if time.seconds == 0 and time.nanos == 0:
        return None
    return datetime.fromtimestamp(stamp(time), timezone.utc)


def holder(one: lock_pb2.Holder) -> views.Holder:
    return views.Holder(
        resource=one.resource,
        owner=one.owner,
        lease_ref=one.lease_ref,
        token=one.fencing_token,
        mode=MODES.get(one.mode, "exclusive"),
        acquire_time=moment(one.acquire_time),
        expire_time=moment(one.expire_time),
        labels=dict(one.labels),
        progress=one.progress,
    )


def queued(one: lock_pb2.Queued) -> views.Queued:
    return views.Queued(one.position, one.queue_length, [holder(each) for each in one.holders])


def yield_request(one: lock_pb2.YieldRequest) -> views.YieldRequest:
    return views.YieldRequest(one.owner, one.priority, seconds(one.waited), moment(one.deadline))


def loss(one: lock_pb2.Lost) -> views.Loss:
    return views.Loss(LOST.get(one.reason, "unknown"), one.detail)


def busy(answer: lock_pb2.Busy, names: Sequence[str]) -> errors.BusyError:
    holders = [holder(one) for one in answer.holders]
    who = ", ".join(f"{one.resource} by {one.owner}" for one in holders[:3])
    said = f"held: {who}" if who else f"not granted: {', '.join(names[:3])}"
    if answer.wait_elapsed:
        said += "; the wait is over"
    return errors.BusyError(
        said,
        holders=holders,
        queue_length=answer.queue_length,
        position=answer.position,
        wait_elapsed=answer.wait_elapsed,
        retry_after=seconds(answer.retry_after),
    )


def failure(
    code: int,
    reason: str,
    message: str,
    metadata: Mapping[str, str],
    fields: Sequence[errors.FieldViolation],
    retry_after: Optional[float],
) -> errors.HoldfastError:
    """The typed error of what the service said."""
    if reason == "LEASE_LOST":
        why = metadata.get("why", "unknown")
        return errors.LeaseLostError(message, why=why, metadata=metadata, retry_after=retry_after)
    if reason == "INVALID_FIELD":
        return errors.InvalidFieldError("" if fields else message, fields=fields, metadata=metadata, retry_after=retry_after)
    kind = BY_REASON.get(reason)
    name = CODES[code] if 0 <= code < len(CODES) else "UNKNOWN"
    if kind is None and not reason:
        kind = {"UNAUTHENTICATED": errors.DeniedError, "PERMISSION_DENIED": errors.DeniedError}.get(name)
    return (kind or errors.HoldfastError)(
        message, reason=reason, code=name, metadata=metadata, retry_after=retry_after
    )


BY_REASON = {
    "NO_QUORUM": errors.NoQuorumError,
    "DEADLOCK": errors.DeadlockError,
    "QUOTA": errors.QuotaError,
    "TOO_MANY_WAITERS": errors.QuotaError,
    "DENIED": errors.DeniedError,
    "UNAUTHENTICATED": errors.DeniedError,
    "DRAINING": errors.DrainingError,
    "UNKNOWN_RESOURCE": errors.UnknownResourceError,
}


def violation(field: str, description: str) -> errors.FieldViolation:
    for prefix in OPERATIONS:
        if field.startswith(prefix):
            field = field[len(prefix) :]
            break
    return errors.FieldViolation(field, description)


def operation_error(said: error_pb2.Error) -> errors.HoldfastError:
    """Of one operation of a Session."""
    after = seconds(said.retry_after) if said.HasField("retry_after") else None
    fields = [violation(one.field, one.description) for one in said.field_violations]
    return failure(said.code, said.reason, said.message, dict(said.metadata), fields, after)


def inspection(one: lock_pb2.InspectResponse) -> views.Inspection:
    return views.Inspection(
        resource=one.resource,
        state=STATES.get(one.state, "unknown"),
        holders=[holder(each) for each in one.holders],
        waiters=[
            views.Waiter(w.owner, w.position, w.priority, moment(w.since), MODES.get(w.mode, "exclusive"))
            for w in one.waiters
        ],
        last_token=one.last_token,
        source=SOURCES.get(one.source, "live"),
        nodes=[_node_view(each) for each in one.nodes],
        history=[_event(each) for each in one.history],
    )


def _node_view(one: lock_pb2.NodeView) -> views.NodeView:
    return views.NodeView(
        node=one.node,
        vote=VOTES.get(one.vote, "silent"),
        fence=one.fence,
        fence_closed=one.fence_closed,
        lease_ref=one.lease_ref,
        remaining=seconds(one.remaining) if one.HasField("remaining") else None,
        detail=one.detail,
    )


def _event(one: lock_pb2.Event) -> views.Event:
    kind = EVENTS.get(one.type, "unknown")
    return views.Event(
        kind, moment(one.time), one.resource, one.owner, one.lease_ref, one.fencing_token, one.reason
    )


def summary(one: lock_pb2.LockSummary) -> views.LockSummary:
    holders = [holder(each) for each in one.holders]
    return views.LockSummary(
        one.resource, STATES.get(one.state, "unknown"), holders, one.queue_length, one.last_token
    )


def service_status(one: admin_pb2.StatusResponse) -> views.ServiceStatus:
    return views.ServiceStatus(
        version=one.version,
        nodes=[_node_status(each) for each in one.nodes],
        quorum_margin=one.quorum_margin,
        embedded=one.embedded,
        draining=one.draining,
        warnings=list(one.warnings),
    )


def _node_status(one: admin_pb2.NodeStatus) -> views.NodeStatus:
    def span(field: str) -> Optional[float]:
        return seconds(getattr(one, field)) if one.HasField(field) else None

    return views.NodeStatus(
        one.node,
        NODE_STATES.get(one.state, "silent"),
        one.detail,
        span("vote_latency"),
        span("quarantine_left"),
        span("clock_offset"),
        one.floor,
    )
