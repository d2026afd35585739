"""The errors of the client; every one is a HoldfastError and says by `reason` and `code` what the service said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Mapping, Optional, Sequence

from ._core.views import Holder

__all__ = [
    "BusyError",
    "ClosedError",
    "DeadlockError",
    "DeniedError",
    "DrainingError",
    "FieldViolation",
    "HoldfastError",
    "InvalidFieldError",
    "LeaseLostError",
    "NoQuorumError",
    "QuotaError",
    "UnavailableError",
    "UnknownResourceError",
]


class HoldfastError(Exception):
    """Something the service or the client refused or could not do.

    reason: the word of the table in error.proto, empty where gRPC itself or the client speaks.
    code: the gRPC status code as its name, for example `UNAVAILABLE`.
    metadata: facts that belong to the reason.
    retry_after: seconds to wait before asking again; None where repeating does not help.
    """

    reason: str = ""
    code: str = "UNKNOWN"

    def __init__(
        self,
        message: str = "",
        *,
        reason: Optional[str] = None,
        code: Optional[str] = None,
        metadata: Optional[Mapping[str, str]] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason
        if code is not None:
            self.code = code
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.retry_after = retry_after

    def __str__(self) -> str:
        word = self.reason or self.code
        return f"{self.message} [{word}]" if self.message else word


class BusyError(HoldfastError):
    """Somebody else has it: not granted at once, or the wait is over. Nothing is held, no place in line is kept."""

    reason = "BUSY"
    code = "OK"

    def __init__(
        self,
        message: str,
        *,
        holders: Sequence[Holder] = (),
        queue_length: int = 0,
        position: int = 0,
        wait_elapsed: bool = False,
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.holders: List[Holder] = list(holders)
        self.queue_length = queue_length
        self.position = position
        self.wait_elapsed = wait_elapsed


class LeaseLostError(HoldfastError):
    """The lease has ended under its holder. `why`: `expired`, `released`, `forced` or `unknown`."""

    reason = "LEASE_LOST"
    code = "FAILED_PRECONDITION"

    def __init__(
        self,
        message: str,
        *,
        why: str = "unknown",
        metadata: Optional[Mapping[str, str]] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(message, metadata={"why": why, **(metadata or {})}, retry_after=retry_after)
        self.why = why


class NoQuorumError(HoldfastError):
    """Fewer than a majority of the nodes answered: `answered` of `nodes`."""

    reason = "NO_QUORUM"
    code = "UNAVAILABLE"

    @property
    def answered(self) -> int:
        return _number(self.metadata.get("answered", ""))

    @property
    def nodes(self) -> int:
        return _number(self.metadata.get("nodes", ""))


class DeadlockError(HoldfastError):
    """The wait would have been part of a cycle of owners, and gives way."""

    reason = "DEADLOCK"
    code = "ABORTED"

    @property
    def cycle(self) -> str:
        """The cycle in words, for people."""
        return self.metadata.get("cycle", "")

    @property
    def owners(self) -> List[str]:
        return _names(self.metadata.get("owners", ""))

    @property
    def resources(self) -> List[str]:
        return _names(self.metadata.get("resources", ""))


@dataclass(frozen=True)
class FieldViolation:
    """One field that breaks its rule: its path by the proto's names, and the rule in words."""

    field: str
    description: str


class InvalidFieldError(HoldfastError):
    """Fields of the request break their rules; `fields` names each. Nothing was changed."""

    reason = "INVALID_FIELD"
    code = "INVALID_ARGUMENT"

    def __init__(
        self,
        message: str = "",
        *,
        fields: Sequence[FieldViolation] = (),
        metadata: Optional[Mapping[str, str]] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        said = message or "; ".join(f"{one.field} {one.description}" for one in fields)
        super().__init__(said, metadata=metadata, retry_after=retry_after)
        self.fields: List[FieldViolation] = list(fields)


class QuotaError(HoldfastError):
    """A limit or quota is used up, or a line is full."""

    reason = "QUOTA"
    code = "RESOURCE_EXHAUSTED"


class DeniedError(HoldfastError):
    """The caller is not allowed, or not known."""

    reason = "DENIED"
    code = "PERMISSION_DENIED"


class DrainingError(HoldfastError):
    """The replica is shutting down and no other one could be reached in time."""

    reason = "DRAINING"
    code = "UNAVAILABLE"


class UnknownResourceError(HoldfastError):
    """No node has ever heard of the resource."""

    reason = "UNKNOWN_RESOURCE"
    code = "NOT_FOUND"


class UnavailableError(HoldfastError):
    """None of `addresses` could be reached in time."""

    reason = ""
    code = "UNAVAILABLE"

    def __init__(self, message: str, *, addresses: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.addresses: List[str] = list(addresses)


class ClosedError(HoldfastError):
    """The client was closed."""

    reason = ""
    code = "CANCELLED"


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _names(text: str) -> List[str]:
    import json

    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [str(one) for one in found] if isinstance(found, list) else []
