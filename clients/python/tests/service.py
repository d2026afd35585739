"""Real services for the tests: replicas by bin/holdfast and redis-servers, each ended by whoever started it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, TypeVar

ROOT = Path(__file__).resolve().parents[3]
BIN = ROOT / "bin" / "holdfast"
#: Long, because the machine may be busy; nothing waits for so long that goes well.
PATIENCE = 60.0
LOOK = 0.01

USUAL = {
    "HOLDFAST_LISTEN": "127.0.0.1:0",
    "HOLDFAST_HTTP_LISTEN": "127.0.0.1:0",
    "HOLDFAST_MIN_TTL": "50ms",
    "HOLDFAST_DEFAULT_TTL": "30s",
    "HOLDFAST_MAX_TTL": "60s",
    "HOLDFAST_NODE_TIMEOUT": "1s",
    "HOLDFAST_CLOCK_SKEW": "50ms",
    "HOLDFAST_LOG_LEVEL": "info",
    # Many replicas would all write to one file.
    "HOLDFAST_ARCHIVE": "off",
    "HOLDFAST_JANITOR": "0",
}

T = TypeVar("T")


def until(what: str, look: Callable[[], T], within: float = PATIENCE) -> T:
    """What `look` answers, once that is true."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"never: {what}")
        time.sleep(LOOK)


def killed_with_us() -> List[str]:
    """What makes the kernel kill a process with the one that started it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


class Replica:
    """A replica that a signal can reach."""

    def __init__(self, nodes: str = "", **env: str) -> None:
        path = f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        wanted = {"HOLDFAST_REDIS_NODES": nodes} if nodes else {}
        self.process = subprocess.Popen(
            [*killed_with_us(), str(BIN), "serve"],
            env={"PATH": path, "HOME": os.environ.get("HOME", "/"), **USUAL, **wanted, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output: List[str] = []
        self._serving: Dict[str, List[str]] = {}
        threading.Thread(target=self._read, daemon=True).start()

        def serves() -> bool:
            if self.process.poll() is not None:
                raise AssertionError("the replica ended:\n" + "".join(self.output))
            return bool(self._serving)

        until("the replica serves", serves)
        self.address = self._serving["addresses"][0]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            if '"serving"' in line:
                self._serving = json.loads(line)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Redis:
    """A redis-server on a unix socket."""

    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="holdfast-redis-")
        self.socket = os.path.join(self.directory, "redis.sock")
        options = ["--port", "0", "--unixsocket", self.socket, "--dir", self.directory, "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [*killed_with_us(), "redis-server", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until("redis-server answers", self._answers)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as caller:
            try:
                caller.connect(self.socket)
                caller.sendall(b"PING\r\n")
                return caller.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Cluster:
    """Three nodes, bootstrapped, and as many replicas as a test asks for."""

    def __init__(self) -> None:
        self.nodes = [Redis() for _ in range(3)]
        self.list = ",".join(f"unix://{node.socket}" for node in self.nodes)
        self.replicas: List[Replica] = []
        path = f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        done = subprocess.run(
            [str(BIN), "config", "bootstrap"],
            env={"PATH": path, **USUAL, "HOLDFAST_REDIS_NODES": self.list},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def replica(self, **env: str) -> Replica:
        replica = Replica(self.list, **env)
        self.replicas.append(replica)
        return replica

    def stop(self) -> None:
        for replica in self.replicas:
            replica.stop()
        for node in self.nodes:
            node.stop()


_numbers = itertools.count(1)


def unique(prefix: str = "test") -> str:
    """A name that no other test uses."""
    return f"{prefix}/{os.getpid()}/{next(_numbers)}"


__all__ = ["Cluster", "Redis", "Replica", "unique", "until"]
