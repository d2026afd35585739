"""A client process of a run, as client.ts, with the Python client: ORDERS; one thread for each thread of control."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import threading
import time

import holdfast_client

STEP_S = 0.02
NOTE_MS = 80
LATE_MS = 50


def now_ms() -> float:
    """CLOCK_MONOTONIC, which all processes of a machine share."""
    return time.monotonic_ns() / 1e6


class Journal:
    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._lock = threading.Lock()
        self._ids = 0

    def begin(self, entry: dict) -> int:
        with self._lock:
            self._ids += 1
            ident = self._ids
        self.put(ident, entry)
        return ident

    def put(self, ident: int, entry: dict) -> None:
        self._write({"id": ident, "entry": entry})

    def stall(self, from_ms: float, until_ms: float) -> None:
        self._write({"stall": {"fromMs": from_ms, "untilMs": until_ms, "meant": False}})

    def done(self) -> None:
        self._write({"done": True})

    def _write(self, line: dict) -> None:
        # One system call: what was written outlives a SIGKILL.
        os.write(self._file, f"{json.dumps(line)}\n".encode())


class Register:
    """The commands of register.ts, over a socket of this thread."""

    def __init__(self, path: str, scripts: dict) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._file = self._socket.makefile("rb")
        self._scripts = scripts

    def _ask(self, *words: str) -> str:
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = word.encode()
            parts.append(f"${len(data)}\r\n".encode() + data + b"\r\n")
        self._socket.sendall(b"".join(parts))
        head = self._file.readline().decode().rstrip("\r\n")
        if head[:1] == "$":
            size = int(head[1:])
            return "" if size < 0 else self._file.read(size + 2)[:-2].decode()
        if head[:1] == "-":
            raise RuntimeError(head)
        return head[1:]

    def read(self, resource: str, token: int) -> str | None:
        answer = self._ask("EVAL", self._scripts["read"], "1", resource, str(token))
        return None if answer == "-" else answer[1:]

    def write(self, resource: str, token: int, value: str) -> bool:
        return self._ask("EVAL", self._scripts["write"], "1", resource, str(token), value) == "+"

    def read_twin(self, resource: str) -> str:
        return self._ask("HGET", resource, "twin")

    def write_twin(self, resource: str, _token: int, value: str) -> bool:
        self._ask("HSET", resource, "twin", value)
        return True


class Worker:
    def __init__(self, orders: dict, journal: Journal, hf: holdfast_client.Holdfast, at: int) -> None:
        self._orders = orders
        self._journal = journal
        self._hf = hf
        self._owner = f"{orders['name']}/{at}"
        self._dice = random.Random(orders["seed"] * 1000 + at)
        self._register = Register(orders["register"], orders["scripts"])
        self._serial = 0

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(self._dice.uniform(0.001, 0.1)):
            resource = self._dice.choice(self._orders["resources"])
            mode = "shared" if not self._orders["plain"] and self._dice.random() < 0.12 else "exclusive"
            lease = self._ask(resource, mode)
            if lease is not None:
                self._hold(lease, resource, mode, stop)

    def _ask(self, resource: str, mode: str) -> holdfast_client.Lease | None:
        wait = self._dice.uniform(0.3, 3.0) if self._dice.random() < 0.65 else 0.0
        asked = {
            "kind": "acquire", "client": self._orders["name"], "owner": self._owner, "resources": [resource],
            "mode": mode, "any": 0, "priority": 0, "requestId": "", "waits": wait > 0,
            "calledMs": now_ms(), "outcome": "unknown",
        }  # fmt: skip
        ident = self._journal.begin(asked)
        queued: list[float] = []
        try:
            lease = self._hf.acquire(
                resource, owner=self._owner, mode=mode, wait=wait or None, ttl=self._orders["ttlMs"] / 1000,
                on_queued=lambda _: queued.append(now_ms()),
            )  # fmt: skip
        except holdfast_client.HoldfastError as error:
            told: dict = {"outcome": "refused", "reason": error.reason}
            if isinstance(error, holdfast_client.BusyError):
                told = {"outcome": "busy"}
            elif isinstance(error, (holdfast_client.NoQuorumError, holdfast_client.UnavailableError)):
                told["outcome"] = "unknown"
            lease = None
        else:
            grant = {"leaseRef": lease.lease_ref, "token": str(lease.token), "resources": lease.resources, "replayed": False}
            told = {"outcome": "granted", "grant": grant}
        first = {"queuedMs": queued[0]} if queued else {}
        self._journal.put(ident, {**asked, **first, "answeredMs": now_ms(), **told})
        return lease

    def _hold(self, lease: holdfast_client.Lease, resource: str, mode: str, stop: threading.Event) -> None:
        at = now_ms()
        held = {
            "kind": "held", "client": self._orders["name"], "owner": self._owner, "leaseRef": lease.lease_ref,
            "token": str(lease.token), "resources": [resource], "mode": mode,
            "fromMs": at, "untilMs": at + lease.remaining * 1000, "end": "open",
        }  # fmt: skip
        ident = self._journal.begin(held)
        noted = at

        def look() -> bool:
            nonlocal noted
            if held["end"] != "open":
                return False
            at = now_ms()
            left = lease.remaining
            if left > 0:
                held["untilMs"] = at + left * 1000
                if at - noted > NOTE_MS:
                    noted = at
                    self._journal.put(ident, held)
                return True
            held["end"] = "expired" if lease.lost is not None and lease.lost.reason == "expired" else "lost"
            held["untilMs"] = max(held["fromMs"], min(held["untilMs"], at))
            self._journal.put(ident, held)
            return False

        seen = None
        if mode == "exclusive" and look():
            seen = (self._register.read_twin(resource), self._register.read(resource, lease.token))
        longest = 2.5 if self._dice.random() < 0.15 else 0.5
        end = now_ms() + self._dice.uniform(5, longest * self._orders["ttlMs"])
        while look() and now_ms() < end and not stop.is_set():
            time.sleep(STEP_S)
        if seen is not None and look():
            twin, fenced = seen
            self._note("twin", resource, lease.token, twin, self._register.write_twin)
            if fenced is not None:
                self._note("fenced", resource, lease.token, fenced, self._register.write)
        if look():
            at = now_ms()
            held.update(end="released", untilMs=max(held["fromMs"], min(held["untilMs"], at)))
            self._journal.put(ident, held)
        self._release(lease)

    def _note(self, register: str, resource: str, token: int, read: str, write) -> None:  # type: ignore[no-untyped-def]
        self._serial += 1
        wrote = f"{self._owner}#{self._serial}"
        entry = {
            "kind": "write", "client": self._orders["name"], "resource": resource, "register": register,
            "token": str(token), "read": read, "wrote": wrote, "calledMs": now_ms(), "outcome": "unknown",
        }  # fmt: skip
        ident = self._journal.begin(entry)
        done = write(resource, token, wrote)
        self._journal.put(ident, {**entry, "answeredMs": now_ms(), "outcome": "written" if done else "stale"})

    def _release(self, lease: holdfast_client.Lease) -> None:
        entry = {
            "kind": "release", "client": self._orders["name"], "leaseRef": lease.lease_ref,
            "calledMs": now_ms(), "outcome": "unknown",
        }  # fmt: skip
        ident = self._journal.begin(entry)
        try:
            released = lease.release()
        except holdfast_client.HoldfastError:
            return
        self._journal.put(ident, {**entry, "answeredMs": now_ms(), "outcome": "released" if released else "gone"})


def watch(journal: Journal, over: threading.Event) -> None:
    """How late a thread of this process was that slept."""
    last = now_ms()
    while not over.is_set():
        time.sleep(STEP_S)
        at = now_ms()
        if at - last - STEP_S * 1000 > LATE_MS:
            journal.stall(last + STEP_S * 1000, at)
        last = at


def main() -> None:
    orders = json.loads(sys.argv[1])
    journal = Journal(orders["journal"])
    ttl = orders["ttlMs"] / 1000
    hf = holdfast_client.Holdfast(addresses=orders["places"], ttl=ttl, grace=ttl, keepalive=(2 * ttl, 2 * ttl))
    stop, over = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # It does no harm by itself: there is nothing to end.
    signal.signal(signal.SIGUSR2, lambda *_: os.write(1, b'{"event":"healed"}\n'))
    workers = [
        threading.Thread(target=Worker(orders, journal, hf, at).run, args=(stop,)) for at in range(orders["threads"])
    ]
    watcher = threading.Thread(target=watch, args=(journal, over), daemon=True)
    for thread in [*workers, watcher]:
        thread.start()
    os.write(1, b'{"event":"works"}\n')
    for thread in workers:
        thread.join()
    hf.close()
    over.set()
    journal.done()


if __name__ == "__main__":
    main()
