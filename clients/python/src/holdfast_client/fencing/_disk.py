"""Carries the steps of a fence out on the disk."""

from __future__ import annotations

import errno
import os
import shutil
from typing import Callable, TypeVar

from ._names import Places
from ._steps import Answer, Step, Steps

Result = TypeVar("Result")


def carry_out(places: Places, steps: Steps[Result]) -> Result:
    """Runs them to their end. Raises the OSError of the operating system."""
    answer: Answer = None
    try:
        while True:
            answer = _act(places, steps.send(answer))
    except StopIteration as end:
        result: Result = end.value
        return result


def _act(places: Places, step: Step) -> Answer:
    name = os.path.join(places.folder, step.name)
    fence = os.path.join(places.folder, str(step.token))
    if step.do == "fence":
        _make_fence(places, fence)
        return None
    if step.do == "create":
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        return None
    if step.do == "list":
        return _unless_gone(lambda: os.listdir(places.folder), [])
    if step.do == "remove":
        return _unless_gone(lambda: _remove(name), None)
    if step.do == "settle":
        return _unless_gone(lambda: _settle(name), None)
    if step.do == "identify":
        return _unless_gone(lambda: _mark_of(name if step.name else places.path), None)
    if step.do == "record":
        return _unless_gone(lambda: _record(fence, step.mark), False)
    if step.do == "marks":
        return _unless_gone(lambda: _read(fence).split("\n"), [])
    if step.do == "move":
        return _unless_gone(lambda: _move(name, os.path.join(places.folder, step.to)), False)
    placed = _place(name, places.path, step.do)
    _sync(places.parent)
    return placed


def _make_fence(places: Places, fence: str) -> None:
    try:
        os.mkdir(places.folder)
        _sync(places.parent)
    except FileExistsError:
        pass
    os.close(os.open(fence, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666))
    # A fence that a power cut takes back would let an older token pass.
    _sync(places.folder)


def _mark_of(file: str) -> str:
    """The inode, size and time of change: links and renames keep them, and no two published files share them."""
    seen = os.stat(file)
    return f"{seen.st_ino} {seen.st_size} {seen.st_mtime_ns}"


def _settle(file: str) -> str:
    _sync(file)
    return _mark_of(file)


def _record(fence: str, mark: str) -> bool:
    # Without O_CREAT: a fence that a newer claim has removed must not come back.
    with open(os.open(fence, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), "w", encoding="ascii") as file:
        file.write(f"\n{mark}\n")
        file.flush()
        os.fsync(file.fileno())
    return True


def _read(fence: str) -> str:
    with open(fence, encoding="ascii", errors="replace") as file:
        return file.read()


def _move(name: str, to: str) -> bool:
    os.rename(name, to)
    return True


def _remove(name: str) -> None:
    try:
        os.unlink(name)
    except (IsADirectoryError, PermissionError):
        # A folder that a writer's tools have made; Linux and macOS name it differently.
        if not os.path.isdir(name):
            raise
        shutil.rmtree(name)


def _place(ready: str, path: str, how: str) -> str:
    try:
        if how == "link":
            os.link(ready, path)
        else:
            os.replace(ready, path)
    except FileNotFoundError:
        return "gone"
    except FileExistsError:
        # A network file system may answer so to its own repeat of a link that was made.
        mine = _unless_gone(lambda: _mark_of(ready), None)
        there = _unless_gone(lambda: _mark_of(path), None)
        return "done" if mine is not None and mine == there else "exists"
    return "done"


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unless_gone(work: Callable[[], Answer], otherwise: Answer) -> Answer:
    try:
        return work()
    except FileNotFoundError:
        return otherwise


DISK_FULL = {
    errno.ENOSPC: "no space is left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "it is larger than a file may be",
}
