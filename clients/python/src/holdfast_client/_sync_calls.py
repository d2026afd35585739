"""Calls of the synchronous client that are no part of its Session: views and administration."""

from __future__ import annotations

import random
import threading
from typing import Any

from . import _clock
from ._core.repeat import Repeat
from ._options import Settings
from ._transport import Transport
from .errors import ClosedError, HoldfastError


class Calls:
    """Each is made at the address that answered last, and at the others while that one does not."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport
        self._index = 0
        self._closed = threading.Event()

    def call(self, method: str, request: Any, *, again: bool = True) -> Any:
        """The answer, from whichever address gives it. `again`: it may be asked twice without harm."""
        repeat = Repeat(self._settings.addresses, _clock.now(), random.random, again, self._index)
        while True:
            index = repeat.index
            try:
                answer = self._transport.unary(
                    self._settings.addresses[index], method, request, repeat.left(_clock.now())
                )
            except HoldfastError as error:
                if not self._closed.is_set():
                    self._closed.wait(repeat.failed(error, _clock.now()))
                if self._closed.is_set():
                    raise ClosedError("the client was closed") from None
                continue
            self._index = index
            return answer

    def close(self) -> None:
        self._closed.set()
