"""The real things that the guards are tried on, each a process of its own that ends with its block."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from typing import Iterator, List, Optional

from .service import killed_with_us, until


class Server:
    """A process and all that it has written."""

    def __init__(self, command: List[str]) -> None:
        self.output = ""
        self._process = subprocess.Popen(
            [*killed_with_us(), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line

    def says(self, pattern: str) -> str:
        """The first group of the pattern, once it is there."""

        def look() -> Optional[str]:
            found = re.search(pattern, self.output)
            if found is None and self._process.poll() is not None:
                raise RuntimeError(f"it ended with {self._process.returncode}:\n{self.output}")
            return found.group(1) if found else None

        found = until(pattern, look)
        assert found is not None
        return found

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def _running(server: Server, directory: str) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Its unix socket."""
    directory = tempfile.mkdtemp(prefix="holdfast-redis-")
    socket = os.path.join(directory, "redis.sock")
    command = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory]
    with _running(Server(command), directory) as server:
        server.says("([Rr]eady to accept connections|now ready to accept)")
        yield socket


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """How to connect to it."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [os.path.dirname(shutil.which("initdb") or "")]
    directory = tempfile.mkdtemp(prefix="holdfast-postgres-")
    other: List[str] = []
    if os.geteuid() == 0:
        # It refuses to run as root. The signal once more: a change of user takes it away.
        shutil.chown(directory, "postgres", "postgres")
        other = ["setpriv", "--pdeathsig=KILL", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = os.path.join(directory, "data")
    made = [os.path.join(programs[-1], "initdb"), "-D", data, "-U", "holdfast", "-A", "trust", "--no-sync"]
    subprocess.run([*other, *made], check=True, capture_output=True, cwd=directory)
    serve = [os.path.join(programs[-1], "postgres"), "-D", data, "-k", directory, "-c", "listen_addresses="]
    with _running(Server([*other, *serve]), directory) as server:
        server.says("(ready to accept connections)")
        yield f"host={directory} user=holdfast dbname=postgres"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The URL of a server that emulates S3."""
    directory = tempfile.mkdtemp(prefix="holdfast-s3-")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with _running(Server(command), directory) as server:
        yield server.says(r"(http://127\.0\.0\.1:[1-9]\d*)")
