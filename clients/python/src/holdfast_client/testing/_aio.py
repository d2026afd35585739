"""The controls of a fake for tests with asyncio clients."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Callable, Mapping, Optional, Sequence, Union

from .._core.asking import Seconds
from ._words import Lease

if TYPE_CHECKING:
    from ._fake import FakeHoldfast

Names = Union[str, Sequence[str]]


class AioFake:
    """The controls of a fake, to be awaited: while they wait, the event loop goes on. See FakeHoldfast."""

    def __init__(self, fake: "FakeHoldfast") -> None:
        self._fake = fake

    async def advance(self, seconds: Seconds) -> None:
        await _aside(self._fake.clock.advance, seconds)

    async def until(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        await _aside(self._fake.until, condition, timeout)

    async def hold(
        self, names: Names, *, owner: str = "somebody", mode: str = "exclusive", labels: Optional[Mapping[str, str]] = None
    ) -> Lease:
        hold = functools.partial(self._fake.hold, names, owner=owner, mode=mode, labels=labels)
        return await asyncio.get_running_loop().run_in_executor(None, hold)

    async def queue(self, names: Names, *, owner: str = "somebody", mode: str = "exclusive", priority: int = 0) -> None:
        await _aside(functools.partial(self._fake.queue, names, owner=owner, mode=mode, priority=priority))

    async def free(self, name: str) -> None:
        await _aside(self._fake.free, name)

    async def lose(self, name: str, *, reason: str = "forced", detail: str = "the test has ended it") -> None:
        await _aside(functools.partial(self._fake.lose, name, reason=reason, detail=detail))

    async def expire(self, name: str) -> None:
        await _aside(self._fake.expire, name)

    async def ask_to_yield(self, name: str, *, owner: str = "somebody", priority: int = 9) -> None:
        await _aside(functools.partial(self._fake.ask_to_yield, name, owner=owner, priority=priority))

    async def go_on(self) -> None:
        await _aside(self._fake.go_on)

    async def drain(self, *, for_good: bool = False) -> None:
        await _aside(functools.partial(self._fake.drain, for_good=for_good))

    async def disconnect(self, *, stay: bool = False) -> None:
        await _aside(functools.partial(self._fake.disconnect, stay=stay))

    async def reconnect(self) -> None:
        await _aside(self._fake.reconnect)

    async def stop(self) -> None:
        await _aside(self._fake.stop)


async def _aside(work: Callable[..., None], *given: object) -> None:
    """In a thread of its own."""
    await asyncio.get_running_loop().run_in_executor(None, work, *given)
