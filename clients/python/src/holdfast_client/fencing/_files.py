"""A file that only the newest lease can publish: whole, or not at all, and never late."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import NamedTuple, Optional, TypeVar, Union

from ._disk import DISK_FULL, carry_out
from ._errors import PublishError, StaleTokenError, check_token
from ._names import Places, part_name, places_of
from ._steps import Draft, Steps, claiming, clearing, discarding, finding, publishing, sweeping

Result = TypeVar("Result")
Path = Union[str, "os.PathLike[str]"]


class PublishedFile(NamedTuple):
    """A file that has been published.

    ``token`` is that of the lease that published it; None if it came there in another way, or was changed since.
    """

    path: str
    token: Optional[int]


class FencedFile:
    """A claim to publish one path under a lease.

    As soon as ``claim`` has returned for a token, no older one can publish that path any more, wherever its process is
    paused; nobody waits for anybody and no file lock is held. ``temporary_path`` is where to write: an empty file, on
    the same file system, with the extension of ``path``.

    Local file systems, and others that show a new name at once to all who list a folder; one lock name for each path.
    """

    def __init__(self, places: Places, draft: Draft) -> None:
        """Not for callers: see ``claim``."""
        self.path = places.path
        self.token = draft.token
        self.temporary_path = os.path.join(places.folder, draft.part)
        self._places = places
        self._draft = draft

    @classmethod
    def claim(cls, path: Path, token: int) -> FencedFile:
        """Claims ``path`` for the lease with this token, and removes what older ones have left.

        The folder of ``path`` must exist. The same token may claim again. Raises StaleTokenError if a newer token has
        claimed it, PublishError if the disk refuses.
        """
        check_token(token)
        places = places_of(os.fspath(path))
        nonce = secrets.token_hex(6)
        file = cls(places, Draft(token, nonce, part_name(token, nonce, places.path)))
        newer = file._guarded(claiming(file._draft))
        if newer is not None:
            raise StaleTokenError(places.path, token, newer)
        return file

    def publish(self, *, replace: bool = False) -> bool:
        """Puts the temporary file, synced to the disk, at ``path``.

        True if it is there now; False if another file was there and is kept (``replace=True`` takes its place).
        Raises StaleTokenError if a newer token has claimed the path, PublishError if the disk refuses; in every case
        but success the temporary file is gone and ``path`` is as it was.
        """
        verdict = self._guarded(publishing(self._draft, replace))
        if verdict.kind == "stale":
            raise StaleTokenError(self.path, self.token, verdict.current)
        if verdict.kind == "gone":
            raise PublishError(self.path, f"{self.temporary_path} has vanished")
        # What cannot be cleared is no failure of what is published; the next one clears it.
        with contextlib.suppress(OSError):
            carry_out(self._places, clearing(self._draft))
        return verdict.kind == "published"

    def discard(self) -> None:
        """Removes the temporary file. The claim stands: older tokens stay shut out. May be called again."""
        carry_out(self._places, discarding(self._draft))

    def _guarded(self, steps: Steps[Result]) -> Result:
        try:
            return carry_out(self._places, steps)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.discard()
            raise disk_full(self.path, error) or PublishError(self.path, str(error)) from error


def published_file(path: Path) -> Optional[PublishedFile]:
    """What is published at ``path``, and by which token; None if nothing is. Changes nothing."""
    places = places_of(os.fspath(path))
    found = carry_out(places, finding())
    return None if found is None else PublishedFile(places.path, found.token)


def settled_file(path: Path) -> Optional[PublishedFile]:
    """As ``published_file``; also removes what writers that were killed have left beside it."""
    places = places_of(os.fspath(path))
    found = carry_out(places, finding())
    if found is None:
        return None
    # Who may read but not write there can still use the file.
    with contextlib.suppress(OSError):
        carry_out(places, sweeping(found))
    return PublishedFile(places.path, found.token)


def disk_full(path: str, error: BaseException) -> Optional[PublishError]:
    """The error of a disk that has no room, or None: what a writer's own failure may be."""
    why = DISK_FULL.get(error.errno or 0) if isinstance(error, OSError) else None
    return None if why is None else PublishError(path, why)
