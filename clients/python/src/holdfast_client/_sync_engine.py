"""The threads of a synchronous client: one that keeps time and opens streams, and one that reads the stream."""

from __future__ import annotations

import logging
import os
import queue
import random
import threading
from typing import Any, Callable, Dict, Iterator, List, Optional, Protocol, cast

from . import _clock, errors
from ._core.effects import Close, Effect, Finish, Open, Send, TellLost, TellQueued, TellYield
from ._core.lease import LeaseState
from ._core.ops import Op
from ._core.session import Session
from ._core.views import YieldRequest
from ._options import Settings
from ._proto import lock_pb2
from ._transport import Stream, Transport

log = logging.getLogger("holdfast_client")

#: The thread looks at the clock at least so often: it may have gone on while the machine was suspended.
LOOK = 60.0
CLOSE_WITHIN = 2.0


class Waiter:
    """Where one caller waits for its outcome, and is told of its place in line meanwhile."""

    __slots__ = ("news", "on_queued")

    def __init__(self, on_queued: Optional[Callable[[Any], object]] = None) -> None:
        self.news: "queue.SimpleQueue[Effect]" = queue.SimpleQueue()
        self.on_queued = on_queued

    def outcome(self) -> object:
        """Blocks; raises what the operation failed with."""
        while True:
            effect = self.news.get()
            if isinstance(effect, TellQueued):
                if self.on_queued is not None:
                    self.on_queued(effect.queued)
            elif isinstance(effect, Finish):
                if isinstance(effect.outcome, BaseException):
                    raise effect.outcome
                return effect.outcome


class Holding(Protocol):
    """A lease's holder, as the engine tells it what happens."""

    def lost_now(self) -> None: ...

    def asked(self, request: YieldRequest) -> None: ...


class Link:
    """One stream: its call, and the bell that says there is something to send."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.bell: "queue.SimpleQueue[bool]" = queue.SimpleQueue()
        self.rung = False
        self.call: Optional[Stream] = None


class Engine:
    """Drives one Session machine; every method may be called by any thread."""

    def __init__(self, settings: Settings, transport: Transport, clock: _clock.Clock = _clock.now) -> None:
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._woken = threading.Condition(self._lock)
        self._session = Session(settings.addresses, settings.grace, random.random)
        self._links: Dict[int, Link] = {}
        self._to_open: List[Open] = []
        self._to_drop: List[Link] = []
        self._sleeps_until = 0.0
        self._thread: Optional[threading.Thread] = None
        self._closing = False
        self._over = False
        self._settled = threading.Event()

    @property
    def here(self) -> bool:
        """False in a process that was forked off since."""
        return os.getpid() == self._pid

    def run(self, op: Op) -> object:
        """Asks, and waits for the outcome; whatever interrupts the wait gives it up."""
        waiter = op.waiter
        assert isinstance(waiter, Waiter)
        try:
            self._do(lambda now: self._session.submit(op, now))
            return waiter.outcome()
        except BaseException:
            self.abandon(op)
            raise

    def abandon(self, op: Op) -> None:
        """Nobody waits for it any more; if it was granted a lease, that is released."""
        self._do(lambda now: self._session.abandon(op, now))

    def release(self, op: Op, reason: str) -> bool:
        waiter = op.waiter
        assert isinstance(waiter, Waiter)
        self._do(lambda now: self._session.release(op, reason, now))
        return bool(waiter.outcome())

    def look(self, lease: LeaseState) -> None:
        """The count of the lease may have ended: says so before anybody else does."""
        if lease.lost is None and lease.validity.end <= self._clock():
            self._do(lambda now: self._session.look(lease, now))

    def now(self) -> float:
        return self._clock()

    def close(self) -> None:
        """Releases what is held, gives up what waits; returns when that is done, or after two seconds."""
        with self._lock:
            if self._over:
                return
            now = self._clock()
            self._closing = True
            self._session.close(now)
            self._act()
            alone = self._thread is None
        if not alone:
            self._settled.wait(CLOSE_WITHIN)
        with self._lock:
            self._over = True
            self._woken.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_WITHIN)

    # -- under the lock ------------------------------------------------------------------------------------------

    def _do(self, act: Callable[[float], None]) -> None:
        with self._lock:
            act(self._clock())
            self._act()

    def _act(self) -> None:
        for effect in self._session.effects():
            if isinstance(effect, Send):
                link = self._links.get(effect.stream)
                if link is not None and not link.rung:
                    link.rung = True
                    link.bell.put(True)
            elif isinstance(effect, (Finish, TellQueued)):
                self._tell(effect)
            elif isinstance(effect, Open):
                self._to_open.append(effect)
            elif isinstance(effect, Close):
                self._close_link(effect)
            elif isinstance(effect, TellLost):
                self._told(effect.lease, lambda holder: holder.lost_now())
            elif isinstance(effect, TellYield):
                request = effect.request
                self._told(effect.lease, lambda holder: holder.asked(request))
        if self._closing and self._session.idle:
            self._settled.set()
        if self._to_open or self._to_drop or self._session.wake_at < self._sleeps_until:
            self._begin()
            self._woken.notify()

    @staticmethod
    def _told(lease: LeaseState, tell: Callable[[Holding], None]) -> None:
        # None: its caller has not got it yet, and will look.
        if lease.waiter is not None:
            tell(cast(Holding, lease.waiter))

    @staticmethod
    def _tell(effect: Any) -> None:
        # The op forgets its waiter as it finishes; the effect was made before.
        waiter = effect.waiter
        if isinstance(waiter, Waiter):
            waiter.news.put(effect)

    def _close_link(self, effect: Close) -> None:
        link = self._links.get(effect.stream)
        if link is None:
            return
        if effect.cut:
            self._to_drop.append(link)
        else:
            link.bell.put(False)

    def _begin(self) -> None:
        if self._thread is None:
            self._sleeps_until = 0.0
            self._thread = threading.Thread(target=self._drive, name="holdfast-client", daemon=True)
            self._thread.start()

    # -- the thread that keeps time ------------------------------------------------------------------------------

    def _drive(self) -> None:
        while True:
            with self._lock:
                if self._over:
                    links, self._links = list(self._links.values()), {}
                    break
                now = self._clock()
                self._session.tick(now)
                self._act()
                opens, self._to_open = self._to_open, []
                drops, self._to_drop = self._to_drop, []
                if not opens and not drops:
                    self._sleeps_until = min(self._session.wake_at, now + LOOK)
                    self._woken.wait(max(0.0, self._sleeps_until - now))
                    self._sleeps_until = 0.0
                    continue
            for link in drops:
                self._drop(link)
            for effect in opens:
                self._open(effect)
        for link in links:
            self._drop(link)

    def _open(self, effect: Open) -> None:
        link = Link(effect.stream)
        with self._lock:
            self._links[link.number] = link
            link.rung = True
            link.bell.put(True)
        address = self._settings.addresses[effect.address]
        link.call = self._transport.session(address, self._requests(link))
        reader = threading.Thread(target=self._read, args=(link,), name="holdfast-session", daemon=True)
        reader.start()

    def _requests(self, link: Link) -> Iterator[lock_pb2.SessionRequest]:
        """What gRPC asks for when it has room: everything that was asked for since goes out in one message."""
        while link.bell.get():
            with self._lock:
                link.rung = False
                message = self._session.take(link.number, self._clock())
                self._act()
            if message is not None:
                yield message

    def _read(self, link: Link) -> None:
        failure: Optional[errors.HoldfastError] = None
        try:
            for message in link.call or ():
                self._do(lambda now: self._session.heard(link.number, message, now))
        except errors.HoldfastError as error:
            failure = error
        except BaseException:
            log.exception("the session's reader failed")
            failure = errors.HoldfastError("the session's reader failed", code="INTERNAL")
        with self._lock:
            self._links.pop(link.number, None)
            if not self._over:
                self._session.ended(link.number, failure, self._clock())
                self._act()
        self._drop(link)

    @staticmethod
    def _drop(link: Link) -> None:
        link.bell.put(False)
        if link.call is not None:
            link.call.close()
