"""What a session wants done; the shells do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from .lease import LeaseState
from .ops import Op
from .views import Queued, YieldRequest


@dataclass(frozen=True)
class Open:
    """Open a stream to the address with this index, under this number."""

    stream: int
    address: int


@dataclass(frozen=True)
class Send:
    """The stream has something to send: ask `take` for it."""

    stream: int


@dataclass(frozen=True)
class Close:
    """End a stream: `cut` at once, else by closing the client's half and reading what is left."""

    stream: int
    cut: bool


@dataclass(frozen=True)
class Finish:
    """The operation is over: `outcome` is its result, or the error to raise."""

    op: Op
    outcome: object
    waiter: object


@dataclass(frozen=True)
class TellQueued:
    """An acquire stands in line."""

    op: Op
    queued: Queued
    waiter: object


@dataclass(frozen=True)
class TellLost:
    """A lease has ended under its holder."""

    lease: LeaseState


@dataclass(frozen=True)
class TellYield:
    """Somebody asks for a lease."""

    lease: LeaseState
    request: YieldRequest


Effect = Union[Open, Send, Close, Finish, TellQueued, TellLost, TellYield]
