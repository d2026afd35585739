"""How a file is fenced: claims, publications and clean-ups as sequences of single file operations.

Pure, so that a test can run every interleaving of them. No step waits for anybody, whoever is paused where.

Why it holds. A claim makes its fence and THEN lists and removes the files of older tokens. A publication makes its
``ready`` file and THEN lists the fences. Whoever comes second sees the first: either the publication finds the newer
fence and stops, or the claim removes the ``ready`` file and the publication finds it gone. Listing a folder is not
atomic, it only shows for certain what was there all the time; therefore a fence is removed only after a newer one was
seen and after that all older files were removed: a publication that misses both fences has no file any more.
"""

from __future__ import annotations

from typing import Generator, NamedTuple, Optional, Sequence, TypeVar, Union, cast

from ._names import fence_of, fences_in, file_of, newest_in, ready_name


class Step(NamedTuple):
    """One file operation, by ``do``; names are those in the folder.

    - ``fence``: makes the folder and the fence of ``token``, where they are missing.
    - ``list``: the names in the folder; none if there is no folder.
    - ``create``: makes an empty file ``name`` that was not there.
    - ``remove``: removes ``name``; it may be gone.
    - ``settle``: the mark of ``name`` once it is on the disk; None if it is gone.
    - ``identify``: the mark of the published file, or of ``name``; None if there is none.
    - ``record``: adds ``mark`` to the fence of ``token``; False if that is gone.
    - ``marks``: those of the fence of ``token``; none if it is gone.
    - ``move``: renames ``name`` to ``to``; False if it is gone.
    - ``link``: gives ``name`` the published name too: ``done``, ``exists`` or ``gone``.
    - ``replace``: moves ``name`` there over what was there: ``done`` or ``gone``.

    A mark tells one published file from every other.
    """

    do: str
    name: str = ""
    to: str = ""
    token: int = 0
    mark: str = ""


Answer = Union[None, bool, str, Sequence[str]]
Result = TypeVar("Result")
Steps = Generator[Step, Answer, Result]


class Draft(NamedTuple):
    """A file under way. ``part`` is the name of what the writer fills."""

    token: int
    nonce: str
    part: str


class Verdict(NamedTuple):
    """``published``; ``exists`` (another file was there before, and is kept); ``stale`` (``current`` is newer);
    ``gone`` (its file has vanished, and no newer claim has removed it)."""

    kind: str
    current: int = 0


class Found(NamedTuple):
    """``token`` is None if the file was not published through a fence."""

    mark: str
    token: Optional[int]


def claiming(draft: Draft) -> Steps[Optional[int]]:
    """Claims the path: from the end of this on, no older token can publish. None if done, else the newer token."""
    yield Step("fence", token=draft.token)
    newest = newest_in((yield from _list()))
    if newest > draft.token:
        yield from _tidying(newest)
        return newest
    yield from _tidying(draft.token)
    yield Step("create", draft.part)
    return None


def publishing(draft: Draft, replace: bool) -> Steps[Verdict]:
    """Publishes what the writer has filled, unless a newer token has claimed the path."""
    ready = ready_name(draft.token, draft.nonce)
    mark = cast("Optional[str]", (yield Step("settle", draft.part)))
    if mark is None:
        return (yield from _vanished(draft))
    # Before it is published: so whoever can see the file can tell its token.
    if not (yield Step("record", token=draft.token, mark=mark)):
        return (yield from _vanished(draft))
    if not (yield Step("move", draft.part, ready)):
        return (yield from _vanished(draft))
    if newest_in((yield from _list())) > draft.token:
        return (yield from _vanished(draft))
    placed = yield Step("replace" if replace else "link", ready)
    if placed == "gone":
        return (yield from _vanished(draft))
    return Verdict("published" if placed == "done" else "exists")


def clearing(draft: Draft) -> Steps[None]:
    """What is left to do once it is decided: removes the second name of a link, and what older tokens have left."""
    yield Step("remove", ready_name(draft.token, draft.nonce))
    yield from _tidying(draft.token)


def discarding(draft: Draft) -> Steps[None]:
    """Removes what a writer has made so far."""
    yield Step("remove", draft.part)
    yield Step("remove", ready_name(draft.token, draft.nonce))


def finding() -> Steps[Optional[Found]]:
    """Which token has published the file; None if there is no file."""
    while True:
        mark = yield from _identify()
        if mark is None:
            return None
        for token in fences_in((yield from _list())):
            if mark in (yield from _marks(token)):
                return Found(mark, token)
        # Replaced while we looked: its fence may have gone with it.
        if (yield from _identify()) == mark:
            return Found(mark, None)


def sweeping(found: Found) -> Steps[None]:
    """Removes what killed writers have left beside a published file. Nobody who may still publish is disturbed."""
    names = yield from _list()
    newest = newest_in(names)
    if any(_is_old(name, newest) and fence_of(name) != found.token for name in names):
        yield from _tidying(newest)
    # Killed between its link and the removal: the published file under a second name.
    for name in names:
        if found.token is not None and file_of(name) == found.token:
            if (yield from _identify(name)) == found.mark:
                yield Step("remove", name)


def _tidying(newest: int) -> Steps[None]:
    """Removes the files of tokens older than ``newest``, then their fences.

    Keeps that of the published file, which tells its token. Whoever has seen the fence of ``newest`` may do this in
    its place.
    """
    # A list of its own: it has to begin after that fence was seen.
    names = yield from _list()
    for name in names:
        if fence_of(name) is None and _is_old(name, newest):
            yield Step("remove", name)
    old = [token for token in fences_in(names) if token < newest]
    if not old:
        return
    mark = yield from _identify()
    for token in old:
        if mark is None or mark not in (yield from _marks(token)):
            yield Step("remove", str(token))


def _vanished(draft: Draft) -> Steps[Verdict]:
    yield from discarding(draft)
    current = newest_in((yield from _list()))
    if current <= draft.token:
        return Verdict("gone")
    yield from _tidying(current)
    return Verdict("stale", current)


def _is_old(name: str, newest: int) -> bool:
    token = file_of(name) or fence_of(name)
    return token is not None and token < newest


def _list() -> Steps[Sequence[str]]:
    return cast("Sequence[str]", (yield Step("list")))


def _identify(name: str = "") -> Steps[Optional[str]]:
    return cast("Optional[str]", (yield Step("identify", name)))


def _marks(token: int) -> Steps[Sequence[str]]:
    return cast("Sequence[str]", (yield Step("marks", token=token)))
