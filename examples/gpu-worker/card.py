"""Stands for a GPU, so that the example runs anywhere: a folder with a log that every process appends to.

Files in the folder make it misbehave: `hang` (a step lasts until it is gone), `fault` (a step fails), `stuck` (its memory
cannot be wiped).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


class CardError(Exception):
    """The device has failed."""


class Card:
    """The card with this name. Tokens are written down with every act, and an older one than the last is refused."""

    def __init__(self, name: str) -> None:
        self._folder = Path(os.environ.get("CARDS", "cards")) / name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log = self._folder / "log"

    def begin(self, token: int) -> None:
        newest = max((line["token"] for line in self.acts()), default=0)
        if token < newest:
            raise CardError(f"token {token} is older than {newest}")
        self._write("begin", token)

    def step(self, token: int, number: int) -> None:
        self._write(f"step {number}", token)
        while self._is("hang"):
            time.sleep(0.02)
        if self._is("fault"):
            raise CardError("the device has fallen off the bus")

    def end(self, token: int) -> None:
        self._write("end", token)

    def wipe(self, token: int) -> None:
        if self._is("stuck"):
            raise CardError("its memory could not be wiped")
        self._write("wipe", token)

    def acts(self) -> list[dict[str, int]]:
        """Everything that was done with it, in order."""
        try:
            return [json.loads(line) for line in self._log.read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _is(self, state: str) -> bool:
        return (self._folder / state).exists()

    def _write(self, act: str, token: int) -> None:
        line = json.dumps({"act": act, "token": token, "pid": os.getpid()})
        # One write to a file that is only appended to: lines of several processes do not mix.
        file = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)
