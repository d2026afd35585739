"""Calls of the asyncio client that are no part of its Session: views and administration."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from . import _clock
from ._aio_transport import Transport
from ._core.repeat import Repeat
from ._options import Settings
from .errors import ClosedError, HoldfastError


class Calls:
    """Each is made at the address that answered last, and at the others while that one does not."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport
        self._index = 0
        self._closed = False

    async def call(self, method: str, request: Any, *, again: bool = True) -> Any:
        """The answer, from whichever address gives it. `again`: it may be asked twice without harm."""
        repeat = Repeat(self._settings.addresses, _clock.now(), random.random, again, self._index)
        while True:
            index = repeat.index
            address = self._settings.addresses[index]
            try:
                answer = await self._transport.unary(address, method, request, repeat.left(_clock.now()))
            except HoldfastError as error:
                if not self._closed:
                    await asyncio.sleep(repeat.failed(error, _clock.now()))
            except asyncio.CancelledError:
                # A channel that is closed cancels its calls; so does whoever cancels the task.
                if not self._closed:
                    raise
            else:
                self._index = index
                return answer
            if self._closed:
                raise ClosedError("the client was closed") from None

    def close(self) -> None:
        self._closed = True
