"""The settings of a client, checked once, the same for both shells."""

from __future__ import annotations

import itertools
import logging
import os
import socket
import threading
from dataclasses import dataclass, field
from typing import Callable, List, Optional, Sequence, Tuple, Union

import grpc

from ._core.asking import Faults, Seconds

log = logging.getLogger("holdfast_client")

#: The bearer token, or whoever has it: asked at each call, so that one that expires can be renewed.
Token = Union[str, Callable[[], str]]

DEFAULT_ADDRESS = "127.0.0.1:7420"


@dataclass(frozen=True)
class Settings:
    """Spans in seconds."""

    addresses: List[str]
    owner: Optional[str]
    ttl: Optional[float]
    grace: float
    keepalive: Tuple[float, float]
    credentials: Optional[grpc.ChannelCredentials]
    token: Optional[Token] = field(default=None, repr=False)

    def metadata(self) -> Tuple[Tuple[str, str], ...]:
        """What goes with each call. gRPC's own call credentials refuse to do so without TLS."""
        if self.token is None:
            return ()
        try:
            token = self.token if isinstance(self.token, str) else self.token()
        except Exception as error:
            # Never what it says: it may quote the token. The service refuses the call, and its caller hears that.
            log.warning("no token could be had: %s", type(error).__name__)
            return ()
        return (("authorization", f"Bearer {token}"),)


def settings(
    address: Optional[str],
    addresses: Optional[Sequence[str]],
    owner: Optional[str],
    ttl: Optional[Seconds],
    grace: Seconds,
    keepalive: Tuple[Seconds, Seconds],
    credentials: Optional[grpc.ChannelCredentials],
    token: Optional[Token] = None,
) -> Settings:
    faults = Faults()
    if isinstance(addresses, str):
        faults.add("addresses", "must be a list of addresses, not one str")
        addresses = []
    found = ([address] if address is not None else []) + list(addresses or [])
    found = list(dict.fromkeys(faults.text("address", one) for one in found)) or [DEFAULT_ADDRESS]
    if "" in found:
        faults.add("address", "must not be empty")
    if owner is not None:
        faults.text("owner", owner)
    if ttl is not None:
        faults.span("ttl", ttl, above=True)
    faults.span("grace", grace)
    try:
        time, timeout = keepalive
    except (TypeError, ValueError):
        faults.add("keepalive", f"must be two numbers of seconds, (time, timeout), not {keepalive!r}")
        time, timeout = 10.0, 5.0
    pair = (
        faults.span("keepalive", time, above=True),
        faults.span("keepalive", timeout, above=True),
    )
    if isinstance(token, str) and not (token and all("!" <= one <= "~" for one in token)):
        faults.add("token", "must be printable ASCII without spaces")
    faults.finish()
    return Settings(found, owner, None if ttl is None else float(ttl), float(grace), pair, credentials, token)


_numbers = itertools.count(1)
_mine = threading.local()


def host() -> str:
    """Without what an owner must not contain, and short enough for one."""
    return "".join(one for one in socket.gethostname() if one.isprintable())[:200] or "host"


def thread_owner() -> str:
    """HOST/PID/N: N is this thread's own number, never another one's."""
    number = getattr(_mine, "number", None)
    if number is None:
        number = _mine.number = next(_numbers)
    return f"{host()}/{os.getpid()}/{number}"


def next_number() -> int:
    """One that no other thread or task of this process has."""
    return next(_numbers)
