"""The fake's own clients: on its clock, and so that it knows what they have heard."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Callable, Coroutine, Dict, Optional, Protocol

from .. import _aio_engine, _sync, _sync_engine, aio
from .._core.session import Session
from .._fork import Kept
from .._sync import Holdfast
from ..aio import Holdfast as AioHoldfast
from ..errors import HoldfastError
from ._clock import ManualClock
from ._desk import ECHO

ON_LOOP = "an asyncio client lives in this very event loop: use `await fake.aio.{0}` instead of `fake.{0}`"
CLOSE_WITHIN = 5.0


class SyncOnClock(Holdfast):
    """A synchronous client on the fake's clock."""

    def on(self, clock: ManualClock) -> None:
        def connect() -> _sync.Connection:
            connection = _sync.Connection(self._settings)
            connection.engine._clock = clock.now
            return connection

        self._kept = Kept(connect)

    def engine_now(self) -> Optional[_sync_engine.Engine]:
        kept = self._kept.peek()
        return None if kept is None else kept.engine


class AioOnClock(AioHoldfast):
    """An asyncio client on the fake's clock."""

    def on(self, clock: ManualClock) -> None:
        def connect() -> aio.Connection:
            connection = aio.Connection(self._settings)
            connection.engine._clock = clock.now
            return connection

        self._kept = Kept(connect)

    def engine_now(self) -> Optional[_aio_engine.Engine]:
        kept = self._kept.peek()
        return None if kept is None else kept.engine


class Known(Protocol):
    """One of the fake's own clients."""

    def due(self) -> float:
        """When it has something to do by the clock."""

    def tick(self) -> None:
        """It has."""

    def echo(self, done: Callable[[], None]) -> None:
        """Asks for something; `done`, in some thread, when it has heard of it, and so of all that was told before."""

    def streams(self) -> Dict[int, bool]:
        """Its streams, and whether it knows that they drain."""

    def here(self) -> bool:
        """It lives in the event loop that runs in this thread."""

    def close(self) -> None: ...


def _streams(session: Session) -> Dict[int, bool]:
    return {number: stream.draining for number, stream in list(session._streams.items())}


class KnownSync:
    """A synchronous one."""

    def __init__(self, client: SyncOnClock, number: int) -> None:
        self._client = client
        self._name = f"{ECHO}{number}"

    def due(self) -> float:
        engine = self._client.engine_now()
        return math.inf if engine is None else engine._session.wake_at

    def tick(self) -> None:
        engine = self._client.engine_now()
        if engine is not None:
            engine._do(engine._session.tick)

    def echo(self, done: Callable[[], None]) -> None:
        threading.Thread(target=self._echo, args=(done,), name="holdfast-fake-echo", daemon=True).start()

    def streams(self) -> Dict[int, bool]:
        engine = self._client.engine_now()
        if engine is None:
            return {}
        with engine._lock:
            return _streams(engine._session)

    def here(self) -> bool:
        return False

    def close(self) -> None:
        self._client.close()

    def _echo(self, done: Callable[[], None]) -> None:
        try:
            self._client.acquire(self._name, owner=ECHO)
        except HoldfastError:
            pass  # Busy is the answer; a client that was closed hears nothing any more
        finally:
            done()


class KnownAio:
    """One for asyncio."""

    def __init__(self, client: AioOnClock, number: int) -> None:
        self._client = client
        self._name = f"{ECHO}{number}"

    def due(self) -> float:
        engine = self._client.engine_now()
        return math.inf if engine is None or engine.loop.is_closed() else engine._session.wake_at

    def tick(self) -> None:
        engine = self._client.engine_now()
        if engine is None:
            return
        if self.here():
            engine._do(engine._session.tick)
        else:
            self._run(self._tick(engine))

    def echo(self, done: Callable[[], None]) -> None:
        engine = self._client.engine_now()
        if engine is None or not engine.loop.is_running():
            done()
            return
        future = asyncio.run_coroutine_threadsafe(self._echo(), engine.loop)
        future.add_done_callback(lambda _: done())

    def streams(self) -> Dict[int, bool]:
        engine = self._client.engine_now()
        return {} if engine is None else _streams(engine._session)

    def here(self) -> bool:
        engine = self._client.engine_now()
        try:
            return engine is not None and asyncio.get_running_loop() is engine.loop
        except RuntimeError:
            return False

    def close(self) -> None:
        if self.here():
            raise RuntimeError(ON_LOOP.format("stop()"))
        self._run(self._client.close())

    def _run(self, work: "Coroutine[object, object, None]") -> None:
        engine = self._client.engine_now()
        if engine is None or not engine.loop.is_running():
            work.close()
            return
        asyncio.run_coroutine_threadsafe(work, engine.loop).result(CLOSE_WITHIN)

    @staticmethod
    async def _tick(engine: _aio_engine.Engine) -> None:
        engine._do(engine._session.tick)

    async def _echo(self) -> None:
        try:
            await self._client.acquire(self._name, owner=ECHO)
        except HoldfastError:
            pass
