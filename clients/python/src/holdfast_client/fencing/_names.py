"""Where a fence keeps what: ``.NAME.fence/`` beside the file holds a fence for each token, and files under way."""

from __future__ import annotations

import os
import re
from typing import Iterable, NamedTuple, Optional

_FENCE = re.compile(r"[1-9][0-9]{0,19}")
_FILE = re.compile(r"([1-9][0-9]{0,19})\..", re.DOTALL)


class Places(NamedTuple):
    """The places that belong to one published file."""

    path: str
    parent: str
    # Beside the file, so that it lies on the same file system and a rename is atomic.
    folder: str


def places_of(path: str) -> Places:
    full = os.path.abspath(path)
    parent, name = os.path.split(full)
    return Places(full, parent, os.path.join(parent, f".{name}.fence"))


def part_name(token: int, nonce: str, path: str) -> str:
    """What the writer fills. Keeps the file's extension: some libraries add it where it is missing."""
    return f"{token}.{nonce}.part{os.path.splitext(path)[1]}"


def ready_name(token: int, nonce: str) -> str:
    """What is about to be published.

    Only our own rename makes it, so nobody can bring it back once it was removed.
    """
    return f"{token}.{nonce}.ready"


def fence_of(name: str) -> Optional[int]:
    """The token of a fence; None if the name is none."""
    return int(name) if _FENCE.fullmatch(name) else None


def file_of(name: str) -> Optional[int]:
    """The token of a file under way, or of what a writer's tools made beside it; None if the name is none."""
    found = _FILE.match(name)
    return None if found is None else int(found.group(1))


def fences_in(names: Iterable[str]) -> list[int]:
    """Newest first."""
    return sorted((int(name) for name in names if fence_of(name) is not None), reverse=True)


def newest_in(names: Iterable[str]) -> int:
    """0 where there is no fence."""
    return max(fences_in(names), default=0)
