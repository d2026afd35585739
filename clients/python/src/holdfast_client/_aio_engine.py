"""The tasks of an asyncio client: they drive the same machine as the threads of the synchronous one."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from typing import Callable, Dict, Optional, Protocol, Set, cast

from . import _clock, errors
from ._core.effects import Close, Finish, Open, Send, TellLost, TellQueued, TellYield
from ._core.lease import LeaseState
from ._core.ops import Op
from ._core.session import Session
from ._core.views import Queued, YieldRequest
from ._options import Settings
from ._aio_transport import Stream, Transport

log = logging.getLogger("holdfast_client")

#: The loop looks at the clock at least so often: it may have gone on while the machine was suspended.
LOOK = 60.0
CLOSE_WITHIN = 2.0


class Holding(Protocol):
    """A lease's holder, as the engine tells it what happens."""

    def lost_now(self) -> None: ...

    def asked(self, request: YieldRequest) -> None: ...


class Waiter:
    """Where one task waits for its outcome. Errors travel as values: one that nobody reads is no defect."""

    __slots__ = ("future", "on_queued")

    def __init__(self, on_queued: Optional[Callable[[Queued], object]] = None) -> None:
        self.future: "asyncio.Future[object]" = asyncio.get_running_loop().create_future()
        self.on_queued = on_queued

    async def outcome(self) -> object:
        found = await self.future
        if isinstance(found, BaseException):
            raise found
        return found


class Link:
    """One stream: its call, and the bell that says there is something to send."""

    def __init__(self, number: int, call: Stream) -> None:
        self.number = number
        self.call = call
        self.bell = asyncio.Event()
        self.bell.set()
        self.half_closed = False
        self.writer: Optional["asyncio.Task[None]"] = None


class Engine:
    """Drives one Session machine, in the loop in which it was made."""

    def __init__(self, settings: Settings, transport: Transport, clock: _clock.Clock = _clock.now) -> None:
        self._transport = transport
        self.loop = asyncio.get_running_loop()
        self._settings = settings
        self._clock = clock
        self._pid = os.getpid()
        self._session = Session(settings.addresses, settings.grace, random.random)
        self._links: Dict[int, Link] = {}
        # The loop itself keeps tasks by weak references only.
        self._tasks: Set["asyncio.Task[None]"] = set()
        self._timer: Optional[asyncio.TimerHandle] = None
        self._timer_at = 0.0
        self._closing: Optional["asyncio.Future[None]"] = None

    @property
    def here(self) -> bool:
        """False in a process that was forked off since."""
        return os.getpid() == self._pid

    def now(self) -> float:
        return self._clock()

    async def run(self, op: Op) -> object:
        """Asks, and waits for the outcome; whoever cancels the wait gives it up."""
        waiter = cast(Waiter, op.waiter)
        try:
            self._do(lambda now: self._session.submit(op, now))
            return await waiter.outcome()
        except BaseException:
            self.abandon(op)
            raise

    def abandon(self, op: Op) -> None:
        """Nobody waits for it any more; if it was granted a lease, that is released."""
        self._do(lambda now: self._session.abandon(op, now))

    async def release(self, op: Op, reason: str) -> bool:
        """Goes on by itself where the wait for it is cancelled."""
        waiter = cast(Waiter, op.waiter)
        self._do(lambda now: self._session.release(op, reason, now))
        return bool(await waiter.outcome())

    def look(self, lease: LeaseState) -> None:
        """The count of the lease may have ended: says so before anybody else does."""
        if lease.lost is None and lease.validity.end <= self._clock():
            self._do(lambda now: self._session.look(lease, now))

    async def close(self) -> None:
        """Releases what is held, gives up what waits; returns when that is done, or after two seconds."""
        if self._closing is None:
            self._closing = self.loop.create_future()
            self._do(self._session.close)
        await asyncio.wait([self._closing], timeout=CLOSE_WITHIN)
        if self._timer is not None:
            self._timer.cancel()
        for link in list(self._links.values()):
            link.call.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=CLOSE_WITHIN)

    # -- what the machine wants ----------------------------------------------------------------------------------

    def _do(self, act: Callable[[float], None]) -> None:
        act(self._clock())
        self._act()

    def _act(self) -> None:
        for effect in self._session.effects():
            if isinstance(effect, Send):
                link = self._links.get(effect.stream)
                if link is not None:
                    link.bell.set()
            elif isinstance(effect, Finish):
                waiter = effect.waiter
                if isinstance(waiter, Waiter) and not waiter.future.done():
                    waiter.future.set_result(effect.outcome)
            elif isinstance(effect, TellQueued):
                self._tell_queued(effect)
            elif isinstance(effect, Open):
                self._open(effect)
            elif isinstance(effect, Close):
                self._close_link(effect)
            elif isinstance(effect, TellLost):
                # None: its caller has not got it yet, and will look.
                if effect.lease.waiter is not None:
                    cast(Holding, effect.lease.waiter).lost_now()
            elif isinstance(effect, TellYield) and effect.lease.waiter is not None:
                cast(Holding, effect.lease.waiter).asked(effect.request)
        if self._closing is not None and self._session.idle and not self._closing.done():
            self._closing.set_result(None)
        self._set_timer()

    def _tell_queued(self, effect: TellQueued) -> None:
        waiter = effect.waiter
        if isinstance(waiter, Waiter) and waiter.on_queued is not None:
            # Called by the loop, so that what the caller's function raises is the loop's to report.
            self.loop.call_soon(waiter.on_queued, effect.queued)

    def _set_timer(self) -> None:
        wake_at = self._session.wake_at
        if self._timer is not None and self._timer_at <= wake_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock()
        self._timer_at = min(wake_at, now + LOOK)
        self._timer = self.loop.call_later(max(0.0, self._timer_at - now), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._do(self._session.tick)

    def _close_link(self, effect: Close) -> None:
        link = self._links.get(effect.stream)
        if link is None:
            return
        if effect.cut:
            link.call.cancel()
        else:
            link.half_closed = True
            link.bell.set()

    # -- streams -------------------------------------------------------------------------------------------------

    def _open(self, effect: Open) -> None:
        call = self._transport.session(self._settings.addresses[effect.address])
        link = self._links[effect.stream] = Link(effect.stream, call)
        link.writer = self.loop.create_task(self._write(link))
        reader = self.loop.create_task(self._read(link))
        for task in (link.writer, reader):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _write(self, link: Link) -> None:
        """Everything that was asked for since the last message went out goes out in one."""
        while not link.half_closed:
            await link.bell.wait()
            link.bell.clear()
            message = self._session.take(link.number, self._clock())
            self._act()
            if message is not None:
                await link.call.write(message)
        await link.call.done_writing()

    async def _read(self, link: Link) -> None:
        failure: Optional[errors.HoldfastError] = None
        try:
            while True:
                message = await link.call.read()
                if message is None:
                    break
                self._session.heard(link.number, message, self._clock())
                self._act()
        except errors.HoldfastError as error:
            failure = error
        except asyncio.CancelledError:
            failure = errors.HoldfastError("the call was cancelled", code="CANCELLED")
        except Exception:
            log.exception("the session's reader failed")
            failure = errors.HoldfastError("the session's reader failed", code="INTERNAL")
        self._links.pop(link.number, None)
        if self._closing is None or not self._closing.done():
            self._session.ended(link.number, failure, self._clock())
            self._act()
        if link.writer is not None:
            link.writer.cancel()
        await link.call.close()
