"""What must not be shared with a process that is forked off: each process makes its own, and leaves the parent's be."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from typing import Any, Callable, Generic, List, Optional, Protocol, TypeVar

# gRPC's own handlers start its threads again in the child, and that one crashes at random; they also stop the parent at
# every fork. gRPC reads this when it is first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

#: The parent's channels, in a child: never closed or collected there, because either would wait for threads that
#: the child does not have.
_parents: List[object] = []


class _Grpc:
    """Whether this process has used gRPC, and whether one that it was forked off from had."""

    used = False
    foreign = False


def uses_grpc() -> None:
    """This process is about to."""
    _Grpc.used = True


def grpc_is_foreign() -> bool:
    """This process has gRPC's state of its parent, but none of the threads: it must leave gRPC alone."""
    return _Grpc.foreign


class Forks(Protocol):
    """What is kept for one process."""

    def forked(self) -> None:
        """In the child: lets go of what only the parent may use."""


T = TypeVar("T", bound=Forks)


class Kept(Generic[T]):
    """Makes a value when it is first asked for, and another one in each process."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._value: Optional[T] = None
        tell(self)

    def get(self) -> T:
        value = self._value
        if value is not None:
            return value
        with self._lock:
            if self._value is None:
                self._value = self._make()
            return self._value

    def peek(self) -> Optional[T]:
        """What this process has made so far."""
        return self._value

    def drop(self) -> None:
        """The next one who asks makes a new one."""
        self._value = None

    def forked(self) -> None:
        """In the child. The lock may have been held by a thread that is not there."""
        self._lock = threading.Lock()
        if self._value is not None:
            _parents.append(self._value)
            self._value.forked()
            self._value = None


_all: "weakref.WeakSet[Any]" = weakref.WeakSet()


def tell(one: Forks) -> None:
    """It wants to hear of forks for as long as it lives."""
    _all.add(one)


class _Collector:
    """Whether the garbage collector ran before the fork that is under way."""

    ran = False


def _before() -> None:
    """What the parent has dropped and not collected must not be collected in the child: some of it is gRPC's."""
    _Collector.ran = gc.isenabled()
    if _Grpc.used:
        gc.disable()


def _resume_collection() -> None:
    if _Collector.ran:
        gc.enable()


def _after_in_child() -> None:
    if _Grpc.used:
        gc.freeze()
    _resume_collection()
    _Grpc.foreign = _Grpc.foreign or _Grpc.used
    _Grpc.used = False
    for one in list(_all):
        one.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_resume_collection, after_in_child=_after_in_child)
