"""Knows when everything that the fake has said has arrived at its clients, so that a test need not wait for a time."""

from __future__ import annotations

import time
from typing import Callable, List

from ._clients import ON_LOOP, Known
from ._clock import ManualClock
from ._desk import Desk

#: A client that comes back may pause between its attempts: the clock goes on by so many seconds at most for that.
COMING_BACK = 0.1
#: How often one looks at what tells nobody that it has changed. Nothing depends on it but how soon that is seen.
LOOK = 0.002


class Echoes:
    """What all clients were asked, and whether they have heard."""

    def __init__(self, desk: Desk, clients: List[Known]) -> None:
        self._desk = desk
        self._left = len(clients)
        for client in clients:
            client.echo(self._done)

    @property
    def heard(self) -> bool:
        return self._left == 0

    def _done(self) -> None:
        with self._desk.lock:
            self._left -= 1
            self._desk.lock.notify_all()


class Settling:
    """The clients of one fake, as a follower of its clock."""

    def __init__(self, desk: Desk, clock: ManualClock) -> None:
        self._desk = desk
        self._clock = clock
        self._clients: List[Known] = []
        self._settled_at = 0

    def add(self, client: Known) -> None:
        self._clients.append(client)

    def due(self) -> float:
        return min([client.due() for client in self._clients], default=float("inf"))

    def tick(self) -> None:
        for client in self._clients:
            if client.due() <= self._clock.now():
                client.tick()

    def settle(self) -> None:
        """Everything that was told has arrived.

        Each client asks for something and hears of it on the stream on which it hears of its leases: what was told
        before has arrived by then. What it asks because of that has arrived when the next round is over, and so on,
        until nothing new was asked or told.
        """
        with self._desk.lock:
            if self._desk.pulse == self._settled_at:
                return
        self.refuse_on_loop("advance(...), lose(...) and the like")
        quiet, last = 0, self._desk.pulse
        while quiet < 2 and self._reachable():
            echoes = Echoes(self._desk, self._clients)
            with self._desk.lock:
                self._desk.lock.wait_for(lambda: echoes.heard or not self._reachable())
                quiet = quiet + 1 if self._desk.pulse == last else 0
                last = self._desk.pulse
        self._settled_at = last

    def noticed(self, end: Callable[[], None]) -> None:
        """What the clients do because of something that ends their streams, up to that they know of it."""
        self._settled_at = -1
        self.settle()
        before = [(client, client.streams()) for client in self._clients]
        with self._desk.lock:
            end()
        while not all(client.streams().get(number, True) for client, old in before for number in old):
            time.sleep(LOOK)

    def come_back(self) -> None:
        """As `settle`, for clients that have no stream now: their pauses between attempts go by on the clock."""
        until = self._clock.now() + COMING_BACK
        echoes = Echoes(self._desk, self._clients)
        while not echoes.heard:
            time.sleep(LOOK)
            if not self._desk.streams:
                self._clock.step(until - self._clock.now())
        self._settled_at = -1
        self.settle()

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def refuse_on_loop(self, what: str) -> None:
        """Whoever waits here for an event loop that waits for this waits for ever."""
        if any(client.here() for client in self._clients):
            raise RuntimeError(ON_LOOP.format(what))

    def _reachable(self) -> bool:
        desk = self._desk
        return bool(desk.streams) and not (desk.stalled or desk.unreachable or desk.drained)
