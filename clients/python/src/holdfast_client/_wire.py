"""What both shells need of gRPC: channels, the methods of the service, and what a failed call says."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import grpc

from . import errors
from ._core import answers
from ._proto import admin_pb2, lock_pb2, rich_status_pb2

SESSION = "/holdfast.v1.LockService/Session"
INSPECT = "/holdfast.v1.LockService/Inspect"
LIST = "/holdfast.v1.LockService/List"
FORCE_RELEASE = "/holdfast.v1.AdminService/ForceRelease"
STATUS = "/holdfast.v1.AdminService/Status"
ANSWERS: Dict[str, Any] = {
    INSPECT: lock_pb2.InspectResponse,
    LIST: lock_pb2.ListResponse,
    FORCE_RELEASE: admin_pb2.ForceReleaseResponse,
    STATUS: admin_pb2.StatusResponse,
}
TYPE_PREFIX = "type.googleapis.com/google.rpc."


def channel_options(keepalive: Tuple[float, float]) -> List[Tuple[str, Any]]:
    """`keepalive`: seconds between pings, and seconds that an answer may take."""
    time, timeout = keepalive
    return [
        ("grpc.keepalive_time_ms", max(1, round(time * 1000))),
        ("grpc.keepalive_timeout_ms", max(1, round(timeout * 1000))),
        # Newer versions of grpcio wait so long for the answer, a minute unless set, and no longer mind the one above.
        ("grpc.http2.ping_timeout_ms", max(1, round(timeout * 1000))),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.max_receive_message_length", -1),
        # Of its own: otherwise a second client in this process would share the pause after a failure.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ]


def failure_of(error: Any) -> errors.HoldfastError:
    """The typed error of a call that failed: its details travel in a trailer."""
    code = error.code()
    number = code.value[0] if isinstance(code, grpc.StatusCode) else 2
    message = str(error.details() or "")
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return failure_of_parts(number, message, value)
    return failure_of_parts(number, message, None)


def failure_of_parts(number: int, message: str, raw: Optional[bytes]) -> errors.HoldfastError:
    """The same from the code, the message and the trailer."""
    if raw is None:
        return answers.failure(number, "", message, {}, [], None)
    reason, metadata, after = "", {}, None  # type: Tuple[str, Any, Optional[float]]
    fields: List[errors.FieldViolation] = []
    try:
        details = rich_status_pb2.Status.FromString(raw).details
    except Exception:  # a proxy's own trailer
        details = rich_status_pb2.Status().details
    for detail in details:
        kind = detail.type_url[len(TYPE_PREFIX) :] if detail.type_url.startswith(TYPE_PREFIX) else ""
        if kind == "ErrorInfo":
            info = rich_status_pb2.ErrorInfo.FromString(detail.value)
            if info.domain == "holdfast":
                reason, metadata = info.reason, dict(info.metadata)
        elif kind == "BadRequest":
            bad = rich_status_pb2.BadRequest.FromString(detail.value)
            fields = [answers.violation(one.field, one.description) for one in bad.field_violations]
        elif kind == "RetryInfo":
            after = answers.seconds(rich_status_pb2.RetryInfo.FromString(detail.value).retry_delay)
    return answers.failure(number, reason, message, metadata, fields, after)
