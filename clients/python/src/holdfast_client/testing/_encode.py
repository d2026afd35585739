"""Answers out: what the fake's locks say, as messages of holdfast.v1, and refusals as gRPC statuses."""

from __future__ import annotations

import math

from google.protobuf import duration_pb2, timestamp_pb2

from .._proto import error_pb2, lock_pb2, rich_status_pb2
from ._words import Busy, Event, Holder, Inspection, Lease, Loss, Queued, Refusal, Waiter

MODES = {"exclusive": lock_pb2.MODE_EXCLUSIVE, "shared": lock_pb2.MODE_SHARED}
LOST = {"expired": 1, "released": 2, "forced": 3, "unknown": 4}
EVENTS = {"queued": 1, "granted": 2, "renewed": 3, "released": 4, "expired": 5, "lost": 6, "forced": 7}
#: The fake as the one node that there is.
NODE = "fake"
TYPE_PREFIX = "type.googleapis.com/google.rpc."


def duration(seconds: float) -> duration_pb2.Duration:
    """Never below zero: no answer carries such a span."""
    nanos = max(0, round(seconds * 1e9))
    return duration_pb2.Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)


def stamp(seconds: float) -> timestamp_pb2.Timestamp:
    """To the microsecond: a float has no more at such a distance from 1970."""
    whole = math.floor(seconds)
    micros = round((seconds - whole) * 1e6)
    return timestamp_pb2.Timestamp(seconds=whole + micros // 10**6, nanos=micros % 10**6 * 1000)


def lease(one: Lease, replayed: bool = False) -> lock_pb2.Lease:
    return lock_pb2.Lease(
        lease_id=one.lease_id,
        lease_ref=one.lease_ref,
        resources=one.resources,
        fencing_token=one.token,
        owner=one.owner,
        mode=MODES[one.mode],
        ttl=duration(one.ttl),
        acquire_time=stamp(one.acquire_time),
        expire_time=stamp(one.expire_time),
        labels=one.labels,
        replayed=replayed,
    )


def holder(one: Holder) -> lock_pb2.Holder:
    return lock_pb2.Holder(
        resource=one.resource,
        owner=one.owner,
        lease_ref=one.lease_ref,
        fencing_token=one.token,
        mode=MODES[one.mode],
        acquire_time=stamp(one.acquire_time),
        expire_time=stamp(one.expire_time),
        labels=one.labels,
        progress=one.progress,
    )


def queued(one: Queued) -> lock_pb2.Queued:
    holders = [holder(each) for each in one.holders]
    return lock_pb2.Queued(position=one.position, queue_length=one.queue_length, holders=holders)


def busy(one: Busy) -> lock_pb2.Busy:
    return lock_pb2.Busy(
        holders=[holder(each) for each in one.holders],
        queue_length=one.queue_length,
        position=one.position,
        wait_elapsed=one.wait_elapsed,
        retry_after=duration(one.retry_after),
    )


def lost(one: Loss) -> lock_pb2.Lost:
    return lock_pb2.Lost(
        reason=LOST[one.reason], lease_ref=one.lease_ref, fencing_token=one.token, detail=one.detail  # type: ignore[arg-type]
    )


def yield_request(owner: str, priority: int, waited: float) -> lock_pb2.YieldRequest:
    return lock_pb2.YieldRequest(owner=owner, priority=priority, waited=duration(waited))


def _event(one: Event) -> lock_pb2.Event:
    return lock_pb2.Event(
        type=EVENTS[one.type],  # type: ignore[arg-type]
        time=stamp(one.time),
        resource=one.resource,
        owner=one.owner,
        lease_ref=one.lease_ref,
        fencing_token=one.token,
        reason=one.reason,
    )


def _waiter(one: Waiter) -> lock_pb2.Waiter:
    return lock_pb2.Waiter(
        owner=one.owner,
        position=one.position,
        priority=one.priority,
        since=stamp(one.since),
        mode=MODES[one.mode],
    )


def inspection(seen: Inspection, now: float) -> lock_pb2.InspectResponse:
    node = lock_pb2.NodeView(
        node=NODE, vote=lock_pb2.VOTE_FREE, fence=seen.last_token, fence_closed=seen.last_token > 0
    )
    if seen.holders:
        node.vote = lock_pb2.VOTE_HELD
        node.fence_closed = False
        node.lease_ref = seen.holders[0].lease_ref
        node.remaining.CopyFrom(duration(seen.holders[0].expire_time - now))
    live = bool(seen.holders or seen.waiters)
    return lock_pb2.InspectResponse(
        resource=seen.resource,
        state=lock_pb2.STATE_HELD if seen.holders else lock_pb2.STATE_FREE,
        holders=[holder(one) for one in seen.holders],
        waiters=[_waiter(one) for one in seen.waiters],
        last_token=seen.last_token,
        source=lock_pb2.SOURCE_LIVE if live else lock_pb2.SOURCE_HISTORY,
        nodes=[node],
        history=[_event(one) for one in seen.history],
    )


def summary(seen: Inspection) -> lock_pb2.LockSummary:
    return lock_pb2.LockSummary(
        resource=seen.resource,
        state=lock_pb2.STATE_HELD if seen.holders else lock_pb2.STATE_FREE,
        holders=[holder(one) for one in seen.holders],
        queue_length=len(seen.waiters),
        last_token=seen.last_token,
    )


def error(refusal: Refusal) -> error_pb2.Error:
    """The refusal of one operation of a Session."""
    violations = [error_pb2.FieldViolation(field=one.field, description=one.description) for one in refusal.violations]
    told = error_pb2.Error(
        code=refusal.code,
        reason=refusal.reason,
        message=refusal.message,
        metadata=refusal.metadata,
        field_violations=violations,
    )
    if refusal.retry_after is not None:
        told.retry_after.CopyFrom(duration(refusal.retry_after))
    return told


def details(refusal: Refusal) -> bytes:
    """A call's refusal, for the trailer `grpc-status-details-bin`."""
    status = rich_status_pb2.Status(code=refusal.code, message=f"{refusal.reason}: {refusal.message}")
    info = rich_status_pb2.ErrorInfo(reason=refusal.reason, domain="holdfast", metadata=refusal.metadata)
    status.details.add(type_url=f"{TYPE_PREFIX}ErrorInfo", value=info.SerializeToString())
    if refusal.violations:
        bad = rich_status_pb2.BadRequest()
        for one in refusal.violations:
            bad.field_violations.add(field=one.field, description=one.description)
        status.details.add(type_url=f"{TYPE_PREFIX}BadRequest", value=bad.SerializeToString())
    if refusal.retry_after is not None:
        retry = rich_status_pb2.RetryInfo(retry_delay=duration(refusal.retry_after))
        status.details.add(type_url=f"{TYPE_PREFIX}RetryInfo", value=retry.SerializeToString())
    return status.SerializeToString()
