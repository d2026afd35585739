"""What goes wrong at a fence. They stand apart from HoldfastError: a protected resource needs no client."""

from __future__ import annotations

from typing import Optional

# Tokens are uint64 on the wire; 0 is never one.
LARGEST_TOKEN = 2**64 - 1


class FencingError(Exception):
    """The base of all errors of this package."""


class StaleTokenError(FencingError):
    """A later lease has been here: nothing was written, and nothing that this token sends will be.

    ``token`` is the one that came too late, ``current`` the newest that the resource has seen.
    """

    def __init__(self, what: str, token: int, current: int) -> None:
        super().__init__(f"{what} has seen token {current}: token {token} is stale and changes nothing any more")
        self.token = token
        self.current = current


class PublishError(FencingError):
    """A file could not be written or published: nothing of it is left; ``__cause__`` is the system's error."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} could not be published: {why}")
        self.path = path


class VersionConflictError(FencingError):
    """Somebody changed it since it was read: nothing was written.

    The token was good: read again and decide anew.
    """

    def __init__(self, what: str, expected: int, current: int) -> None:
        super().__init__(f"{what} is at version {current}, not {expected} as when it was read: nothing was changed")
        self.expected = expected
        self.current = current


class MissingTargetError(FencingError):
    """There is nothing to write to."""


def check_token(token: int, largest: Optional[int] = None) -> None:
    """Raises unless it can be a fencing token: 1 to 2**64 - 1, or ``largest`` where the resource holds less."""
    limit = LARGEST_TOKEN if largest is None else largest
    if isinstance(token, bool) or not isinstance(token, int):
        raise TypeError(f"token: an int is needed, not {type(token).__name__}")
    if not 1 <= token <= limit:
        raise ValueError(f"token: 1 to {limit}, not {token}")
