"""Holdfast's client for Python: leases on named resources, with fencing tokens. `holdfast_client.aio` is for asyncio."""

# First: gRPC reads what it sets.
from . import _fork  # noqa: F401, I001
from ._core.views import (
    Event,
    Holder,
    Inspection,
    LockSummary,
    Loss,
    NodeStatus,
    NodeView,
    Queued,
    ServiceStatus,
    TokenCheck,
    Waiter,
    YieldRequest,
)
from ._guard import Incident
from ._sync import Holdfast, Lease, Scope, current_lease
from .errors import (
    BusyError,
    ClosedError,
    DeadlockError,
    DeniedError,
    DrainingError,
    FieldViolation,
    HoldfastError,
    InvalidFieldError,
    LeaseLostError,
    NoQuorumError,
    QuotaError,
    UnavailableError,
    UnknownResourceError,
)

__version__ = "0.1.0"

__all__ = [
    "BusyError",
    "ClosedError",
    "DeadlockError",
    "DeniedError",
    "DrainingError",
    "Event",
    "FieldViolation",
    "Holder",
    "Holdfast",
    "HoldfastError",
    "Incident",
    "Inspection",
    "InvalidFieldError",
    "Lease",
    "LeaseLostError",
    "LockSummary",
    "Loss",
    "NoQuorumError",
    "NodeStatus",
    "NodeView",
    "Queued",
    "QuotaError",
    "Scope",
    "ServiceStatus",
    "TokenCheck",
    "UnavailableError",
    "UnknownResourceError",
    "Waiter",
    "YieldRequest",
    "current_lease",
]
