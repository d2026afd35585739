"""What the two Python drivers share: the words of the scenarios in Python, and what they say of leases and errors."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from typing import Optional

WITHOUT = next((flag[10:] for flag in sys.argv if flag.startswith("--without=")), "")


def knock_out() -> None:
    """Takes a feature away before the client is loaded: then it finds the world without it."""
    if WITHOUT == "clock":
        stopped, stopped_ns = time.monotonic(), time.monotonic_ns()
        time.monotonic = lambda: stopped
        time.monotonic_ns = lambda: stopped_ns
        time.clock_gettime = lambda _clock: stopped
        time.clock_gettime_ns = lambda _clock: stopped_ns
    if WITHOUT == "fork":
        own = os.getpid()
        os.getpid = lambda: own
        os.register_at_fork = lambda **_hooks: None
    if WITHOUT == "threads":
        real = threading.Thread.__init__

        def eager(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            kwargs["daemon"] = False
            real(self, *args, **kwargs)

        threading.Thread.__init__ = eager  # type: ignore[method-assign]


def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: "_" + found.group().lower(), name)


def camel(name: str) -> str:
    return re.sub("_([a-z])", lambda found: found.group(1).upper(), name)


SPANS = ("ttl", "wait", "grace")


def arguments(given: Mapping[str, object], leave_out: tuple[str, ...] = ()) -> dict[str, object]:
    """Names in Python's way, spans in seconds."""
    found: dict[str, object] = {}
    for key, value in given.items():
        if key in leave_out:
            continue
        if key in SPANS and isinstance(value, (int, float)):
            value = value / 1000
        found[snake(key)] = value
    return found


def plain(value: object) -> object:
    """As JSON has it: tokens as text, times and spans as milliseconds, names in the way of the scenarios."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.datetime):
        return value.timestamp() * 1000
    if isinstance(value, datetime.timedelta):
        return value.total_seconds() * 1000
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return plain(fields)
    if isinstance(value, Mapping):
        return {camel(str(key)): as_token(str(key), plain(inner)) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def as_token(key: str, value: object) -> object:
    return str(value) if "token" in key and isinstance(value, int) else value


def labels_as_they_are(found: dict[str, object], labels: object) -> dict[str, object]:
    return {**found, "labels": dict(labels)} if isinstance(labels, Mapping) else found


def view(lease) -> dict[str, object]:  # type: ignore[no-untyped-def]
    lost = lease.lost
    printed = f"{lease!r} {lease}"
    return {
        "token": str(lease.token),
        "resources": list(lease.resources),
        "owner": lease.owner,
        "mode": getattr(lease.mode, "value", lease.mode),
        "labels": dict(lease.labels),
        "leaseRef": lease.lease_ref,
        "remaining": lease.remaining * 1000,
        "lost": None if lost is None else {"reason": plain(lost.reason), "detail": lost.detail},
        "told": lease.lost_event.is_set(),
        "hasId": len(lease.lease_id) > 0,
        "printsId": lease.lease_id in printed,
    }


class GaveUp(Exception):
    """Thrown into a wait by whoever gives it up."""


def described(error: BaseException) -> dict[str, object]:
    from holdfast_client import HoldfastError

    message = str(error)
    gave_up = isinstance(error, (GaveUp, KeyboardInterrupt)) or type(error).__name__ == "CancelledError"
    if not isinstance(error, HoldfastError) or WITHOUT == "untyped":
        return {"error": "Error", "message": message, "gaveUp": gave_up}
    facts = {key: plain(getattr(error, key)) for key in dir(error) if not key.startswith("_")}
    facts = {camel(key): value for key, value in facts.items() if not callable(value) and key != "args"}
    after = error.retry_after
    return {
        **facts,
        "error": type(error).__name__,
        "message": message,
        "code": code_number(error.code),
        "metadata": dict(error.metadata),
        "retryAfter": None if after is None else after * 1000,
        "gaveUp": gave_up,
    }


def code_number(code: str) -> int:
    import grpc

    number = grpc.StatusCode[code].value[0]
    assert isinstance(number, int)
    return number


def nothing_is_read_any_more() -> None:
    """What ends the process now is that nothing keeps it."""
    if WITHOUT == "threads":
        threading.Thread(target=threading.Event().wait).start()


_sending = threading.Lock()


def send(line: Mapping[str, object]) -> None:
    text = json.dumps(line, default=str) + "\n"
    with _sending:
        sys.stdout.write(text)
        sys.stdout.flush()


def news(event: str, lease: str):  # type: ignore[no-untyped-def]
    def tell(told: object = None) -> None:
        send({"event": event, "lease": lease, "told": plain(told)})

    return tell


def addresses_of(given: Mapping[str, object]) -> tuple[Optional[str], dict[str, object]]:
    """As a user writes it: one address first, or several by name; and the rest of what `open` takes."""
    import grpc

    rest = arguments(given, ("addresses", "credentials", "keepalive"))
    keepalive = given.get("keepalive")
    if isinstance(keepalive, Mapping):
        rest["keepalive"] = (keepalive["time"] / 1000, keepalive["timeout"] / 1000)
    if "credentials" in given:
        rest["credentials"] = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)
    addresses = list(given["addresses"])  # type: ignore[call-overload]
    if len(addresses) == 1:
        return addresses[0], rest
    return None, {**rest, "addresses": addresses}
