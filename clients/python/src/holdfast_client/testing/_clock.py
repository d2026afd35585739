"""A clock that stands still until a test moves it; the fake and its clients share it."""

from __future__ import annotations

import itertools
import math
import threading
import time
from typing import Callable, List, Optional, Protocol

#: 2027-01-15: some day, so that times of day are plausible.
START = 1_800_000_000.0
#: Not 0, which might pass for nothing.
BEGIN = 1000.0
#: How finely time goes by when it goes by itself.
TICK = 0.005
#: What is due at one instant and asks for that instant again is heard so often.
AGAIN = 16


class Timer:
    """Something that falls due."""

    def __init__(self, due: float, number: int, act: Callable[[], None]) -> None:
        self.due = due
        self.number = number
        self.act = act
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Time(Protocol):
    """Time as the locks see it."""

    def now(self) -> float: ...

    def wall(self) -> float: ...

    def after(self, delay: float, act: Callable[[], None]) -> Timer: ...


class Follower(Protocol):
    """What lives by the clock and keeps its own time."""

    def due(self) -> float: ...

    def tick(self) -> None: ...

    def settle(self) -> None: ...


class Running:
    """While it stands, time goes by itself, too."""

    def __init__(self, clock: "ManualClock") -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(clock,), name="holdfast-fake-clock", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, clock: "ManualClock") -> None:
        last = time.monotonic()
        while not self._over.wait(TICK):
            now = time.monotonic()
            clock.jump(now - last)
            last = now


class ManualClock:
    """Time for tests, in seconds: moved by `advance` and `jump`, never by itself."""

    def __init__(self) -> None:
        self._now = BEGIN
        #: Held for moments only: while time goes by, others ask what time it is and set timers.
        self._lock = threading.Lock()
        self._moving = threading.RLock()
        self._timers: List[Timer] = []
        self._numbers = itertools.count()
        self._followers: List[Follower] = []

    def now(self) -> float:
        """Seconds that only ever grow."""
        return self._now

    def wall(self) -> float:
        """The time of day, in seconds since 1970."""
        return START + self._now - BEGIN

    def after(self, delay: float, act: Callable[[], None]) -> Timer:
        """Runs `act` once when the clock has gone on by `delay` seconds, in the thread that moves it."""
        with self._lock:
            timer = Timer(self._now + max(0.0, delay), next(self._numbers), act)
            self._timers.append(timer)
            return timer

    def advance(self, seconds: float) -> None:
        """Time goes by, and all goes well.

        Whatever falls due on the way happens in its order, and is heard of by everybody before the clock goes on. So
        a lease that is kept is renewed all along, however far the clock goes.
        """
        self._move(seconds, settled=True)

    def jump(self, seconds: float) -> None:
        """Time goes by at once, as for a process that was stopped.

        What falls due happens, but nobody hears of it before all of it has gone: leases end by their holder's own
        count.
        """
        self._move(seconds, settled=False)

    def run(self) -> Running:
        """From now on time goes by itself, too, until `stop` of the result. For work in other processes."""
        return Running(self)

    def follow(self, follower: Follower) -> None:
        with self._lock:
            self._followers.append(follower)

    def unfollow(self, follower: Follower) -> None:
        with self._lock:
            if follower in self._followers:
                self._followers.remove(follower)

    def step(self, within: float) -> bool:
        """The next thing that falls due within so many seconds, at once; False if there is none."""
        with self._moving:
            due = self._next_due()
            if due > self._now + within:
                return False
            self._reach(max(due, self._now))
            return True

    def _move(self, seconds: float, *, settled: bool) -> None:
        if not seconds >= 0:
            raise ValueError(f"time goes forward, not by {seconds!r} seconds")
        with self._moving:
            until = self._now + seconds
            again, last = 0, math.nan
            if settled:
                self._settle()
            while True:
                due = max(self._next_due(), self._now)
                again = again + 1 if due == last else 0
                last = due
                if due > until or again > AGAIN:
                    break
                self._reach(due)
                if settled:
                    self._settle()
            self._reach(until)
            if settled:
                self._settle()

    def _reach(self, at: float) -> None:
        self._now = at
        while True:
            timer = self._take(at)
            if timer is None:
                break
            timer.act()
        for follower in list(self._followers):
            if follower.due() <= at:
                follower.tick()

    def _take(self, at: float) -> Optional[Timer]:
        with self._lock:
            timer = self._first()
            if timer is None or timer.due > at:
                return None
            self._timers.remove(timer)
            return timer

    def _first(self) -> Optional[Timer]:
        self._timers = [one for one in self._timers if not one.cancelled]
        return min(self._timers, key=lambda one: (one.due, one.number), default=None)

    def _next_due(self) -> float:
        with self._lock:
            timer = self._first()
        dues = [one.due() for one in list(self._followers)]
        return min([math.inf if timer is None else timer.due, *dues])

    def _settle(self) -> None:
        for follower in list(self._followers):
            follower.settle()
