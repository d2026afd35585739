"""Fenced files under every order of their steps: writers that are paused anywhere, killed anywhere, or too late.

A folder in memory whose listing is as weak as a real one: it shows for certain only what was there all the time.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Callable, Dict, FrozenSet, Generator, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

import pytest
from holdfast_client.fencing._names import fence_of, fences_in, file_of
from holdfast_client.fencing._steps import (
    Answer,
    Draft,
    Step,
    claiming,
    clearing,
    finding,
    publishing,
    sweeping,
)

Script = Generator[Step, Answer, str]
Files = FrozenSet[Tuple[str, str]]
Told = Tuple[Answer, ...]


class Listing(NamedTuple):
    sure: FrozenSet[str]
    maybe: FrozenSet[str]


class Folder(NamedTuple):
    """``files``: contents by name, of a fence its marks. ``listings``: those under way, by participant."""

    files: Files = frozenset()
    path: Optional[str] = None
    listings: Tuple[Optional[Listing], ...] = ()


class World(NamedTuple):
    folder: Folder
    told: Tuple[Told, ...]


def draft_of(token: int) -> Draft:
    return Draft(token, "a", f"{token}.a.part")


def writer(token: int, replace: bool) -> Script:
    draft = draft_of(token)
    if (yield from claiming(draft)) is not None:
        return "stale at its claim"
    # By name, as open(path, "w") does: it comes back if it was removed.
    yield Step("write", draft.part)
    verdict = yield from publishing(draft, replace)
    if verdict.kind in ("published", "exists"):
        yield from clearing(draft)
    return verdict.kind


@lru_cache(maxsize=None)
def standing(token: int, replace: bool, told: Told) -> Tuple[Optional[Step], str, bool]:
    """Its next step; what it returned; whether its claim has returned."""
    script = writer(token, replace)
    claimed = False
    try:
        step = next(script)
        for answer in told:
            claimed = claimed or step.do == "create"
            step = script.send(answer)
    except StopIteration as end:
        return None, end.value, claimed or end.value != "stale at its claim"
    return step, "", claimed


def changed(folder: Folder, files: Dict[str, str]) -> Folder:
    before, after = {name for name, _ in folder.files}, set(files)
    flickers = before ^ after
    listings = tuple(
        one and Listing(one.sure - flickers, one.maybe | flickers) for one in folder.listings
    )
    return folder._replace(files=frozenset(files.items()), listings=listings)


def subsets(names: FrozenSet[str]) -> Iterator[Tuple[str, ...]]:
    return itertools.chain.from_iterable(itertools.combinations(sorted(names), n) for n in range(len(names) + 1))


def listed(folder: Folder, by: int) -> List[Tuple[Folder, Optional[Answer]]]:
    """Its first half, answered by None; or its second, with all that it may show."""
    under_way = folder.listings[by]
    listings = list(folder.listings)
    if under_way is None:
        listings[by] = Listing(frozenset(name for name, _ in folder.files), frozenset())
        return [(folder._replace(listings=tuple(listings)), None)]
    listings[by] = None
    after = folder._replace(listings=tuple(listings))
    return [(after, tuple(sorted(under_way.sure.union(some)))) for some in subsets(under_way.maybe)]


def outcome(folder: Folder, step: Step) -> Tuple[Folder, Answer]:
    """What one step leads to, a listing aside."""
    files = dict(folder.files)
    fence = str(step.token)
    content = files.get(step.name)
    if step.do == "fence":
        return changed(folder, {fence: "", **files}), None
    if step.do == "create":
        assert content is None
        return changed(folder, {**files, step.name: "half"}), None
    if step.do == "write":
        return changed(folder, {**files, step.name: f"whole-{step.name}"}), None
    if step.do == "remove":
        files.pop(step.name, None)
        return changed(folder, files), None
    if step.do == "settle":
        return folder, content
    if step.do == "identify":
        return folder, content if step.name else folder.path
    if step.do == "marks":
        return folder, tuple(files.get(fence, "").split("\n"))
    if step.do == "record":
        if fence not in files:
            return folder, False
        return changed(folder, {**files, fence: f"{files[fence]}\n{step.mark}"}), True
    if content is None:
        return folder, False if step.do == "move" else "gone"
    if step.do == "link":
        return (folder, "exists") if folder.path is not None else (folder._replace(path=content), "done")
    del files[step.name]
    if step.do == "move":
        return changed(folder, {**files, step.to: content}), True
    return changed(folder, files)._replace(path=content), "done"


def alone(folder: Folder, work: Generator[Step, Answer, object]) -> Tuple[Folder, object]:
    """Runs steps on a folder at which nobody else works."""
    folder = folder._replace(listings=())
    answer: Answer = None
    try:
        while True:
            step = work.send(answer)
            if step.do == "list":
                answer = tuple(sorted(name for name, _ in folder.files))
            else:
                folder, answer = outcome(folder, step)
    except StopIteration as end:
        return folder, end.value


def settled(folder: Folder) -> Tuple[Folder, Optional[int]]:
    """As ``settled_file``: the folder after the sweep, and who has published."""
    _, found = alone(folder, finding())
    if found is None:
        return folder, None
    return alone(folder, sweeping(found))[0], found.token  # type: ignore[arg-type, attr-defined]


def token_of(content: Optional[str]) -> int:
    return int(content.split("-")[1].split(".")[0]) if content else 0


def complaint(before: World, after: World, by: int, tokens: Sequence[int], replace: bool) -> Optional[str]:
    """Late, half or nameless: what one step has broken."""
    path = after.folder.path
    if path == before.folder.path or path is None:
        return None
    for other, token in enumerate(tokens):
        if token > tokens[by] and standing(token, replace, before.told[other])[2]:
            return f"{tokens[by]} publishes after {token} has claimed"
    if token_of(before.folder.path) > tokens[by]:
        return f"{tokens[by]} takes the place of a newer file"
    return None if path.startswith("whole-") else "half a file is published"


def left_over(folder: Folder) -> Optional[str]:
    """Of one that may have been killed: after a look at the published file, or else after the next claim."""
    after, token = settled(folder)
    if folder.path is None:
        after, _ = alone(folder, claiming(draft_of(9)))
    elif token != token_of(folder.path):
        return f"{folder.path} is taken for one of token {token}"
    names = [name for name, _ in after.files]
    newest = max(fences_in(names))
    dead = [name for name, content in after.files if file_of(name) and (file_of(name) or 0) < newest]
    twice = [name for name, content in after.files if file_of(name) and content == after.path]
    extra = [name for name in names if fence_of(name) not in (None, newest, token)]
    return f"left over: {dead} {twice} {extra}" if dead or twice or extra else None


Breakage = Callable[[Step, int, Told], bool]


def search(replace: bool, breakage: Breakage = lambda step, token, told: False) -> Tuple[Optional[str], Set[str]]:
    """Visits every world of two writers; the first broken promise, and how the writers ended."""
    tokens = (1, 2)
    first = World(Folder(listings=(None, None)), ((), ()))
    seen, left = {first}, [first]
    ends: Set[str] = set()
    while left:
        world = left.pop()
        # Whoever has moved so far may be killed now, and everybody else be done: both are left as they stand.
        wrong = left_over(world.folder) if world.folder.files else None
        nexts = []
        for by, token in enumerate(tokens):
            step, _, _ = standing(token, replace, world.told[by])
            if step is None:
                continue
            if breakage(step, token, world.told[by]):
                outcomes: List[Tuple[Folder, Optional[Answer]]] = [(world.folder, ())]
            elif step.do == "list":
                outcomes = listed(world.folder, by)
            else:
                outcomes = [outcome(world.folder, step)]
            for folder, answer in outcomes:
                told = list(world.told)
                if step.do != "list" or answer is not None:
                    told[by] = (*told[by], answer)
                after = World(folder, tuple(told))
                wrong = wrong or complaint(world, after, by, tokens, replace)
                nexts.append(after)
        if wrong:
            return f"{wrong}: {world}", ends
        if not nexts:
            ends.add(", ".join(standing(t, replace, world.told[by])[1] for by, t in enumerate(tokens)))
        left.extend(world for world in nexts if world not in seen)
        seen.update(nexts)
    assert len(seen) > 1000
    return None, ends


@pytest.mark.parametrize("replace", [False, True])
def test_no_order_of_steps_publishes_late_or_half_or_leaves_anything(replace: bool) -> None:
    broken, ends = search(replace)
    assert broken is None
    both = "published, published" if replace else "published, exists"
    assert ends == {"stale, published", "stale at its claim, published", both}


def test_without_the_look_at_the_fences_a_late_one_gets_through() -> None:
    broken, _ = search(True, lambda step, token, told: step.do == "list" and token == 1 and True in told)
    assert broken is not None and "1 publishes after 2 has claimed" in broken


def test_without_the_removal_of_older_files_a_late_one_gets_through() -> None:
    broken, _ = search(True, lambda step, token, told: step.do == "remove" and step.name == "1.a.ready" and token == 2)
    assert broken is not None and "1 publishes after 2 has claimed" in broken
