"""Fenced files on a real disk: late, equal and newer tokens, what is left behind, and a disk that is full."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import resource
import shutil
from typing import Iterator, List

import pytest
from holdfast_client.fencing import FencedFile, PublishError, StaleTokenError, published_file
from holdfast_client.fencing._files import settled_file


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "weights.npy"


def written(path: pathlib.Path, token: int, text: str) -> FencedFile:
    file = FencedFile.claim(path, token)
    pathlib.Path(file.temporary_path).write_text(text)
    return file


def kept(path: pathlib.Path) -> List[str]:
    return sorted(os.listdir(path.parent / ".weights.npy.fence"))


def test_it_is_published_whole_tells_its_token_and_leaves_one_fence_behind(path: pathlib.Path) -> None:
    file = written(path, 7, "seven")
    assert not path.exists()
    assert file.temporary_path.endswith(".npy")
    assert file.publish() is True
    assert path.read_text() == "seven"
    assert published_file(path) == (str(path), 7)
    assert kept(path) == ["7"]
    assert path.stat().st_nlink == 1


def test_it_is_not_overwritten_by_a_late_one_which_could_do_so_without_its_fence(path: pathlib.Path) -> None:
    late = written(path, 5, "late")
    written(path, 6, "next").publish(replace=True)
    with pytest.raises(StaleTokenError) as refused:
        late.publish(replace=True)
    assert (refused.value.token, refused.value.current) == (5, 6)
    with pytest.raises(StaleTokenError):
        FencedFile.claim(path, 5)
    assert path.read_text() == "next"
    # Off: the fence is taken away, and the same late writer gets through.
    shutil.rmtree(path.parent / ".weights.npy.fence")
    written(path, 5, "late").publish(replace=True)
    assert path.read_text() == "late"


def test_a_late_writer_that_makes_its_temporary_file_anew_publishes_nothing(path: pathlib.Path) -> None:
    late = FencedFile.claim(path, 5)
    later = FencedFile.claim(path, 6)
    assert not os.path.exists(late.temporary_path)
    pathlib.Path(late.temporary_path).write_text("late")
    with pytest.raises(StaleTokenError):
        late.publish()
    assert not path.exists()
    assert later.publish() is True
    assert kept(path) == ["6"]


def test_the_same_token_may_come_again_and_what_is_there_is_kept_unless_replaced(path: pathlib.Path) -> None:
    written(path, 7, "first").publish()
    assert written(path, 7, "again").publish() is False
    assert path.read_text() == "first"
    assert written(path, 7, "again").publish(replace=True) is True
    assert path.read_text() == "again"
    assert published_file(path) == (str(path), 7)
    assert kept(path) == ["7"]


def test_it_has_no_token_if_it_came_in_another_way_or_was_changed(path: pathlib.Path) -> None:
    path.write_text("by hand")
    assert published_file(path) == (str(path), None)
    written(path, 7, "seven").publish(replace=True)
    path.write_text("changed by hand")
    assert published_file(path) == (str(path), None)
    path.unlink()
    assert published_file(path) is None


def test_it_is_cleared_of_what_killed_writers_have_left(path: pathlib.Path) -> None:
    written(path, 3, "killed in mid-write")
    written(path, 4, "claims after it")
    assert len(kept(path)) == 2
    written(path, 5, "five").publish()
    # As if it had been killed between the link and the removal.
    os.link(path, path.parent / ".weights.npy.fence/5.abc.ready")
    (path.parent / ".weights.npy.fence/4.abc.part.tmp").mkdir()
    assert settled_file(path) == (str(path), 5)
    assert kept(path) == ["5"]


def test_it_leaves_nothing_when_it_is_discarded_and_older_ones_stay_shut_out(path: pathlib.Path) -> None:
    written(path, 7, "seven").discard()
    assert kept(path) == ["7"]
    with pytest.raises(StaleTokenError):
        FencedFile.claim(path, 6)


@pytest.mark.parametrize(
    ("token", "kind"), [(0, ValueError), (2**64, ValueError), (True, TypeError), ("7", TypeError)]
)
def test_what_cannot_be_a_token_is_refused(path: pathlib.Path, token: int, kind: type) -> None:
    with pytest.raises(kind, match="token"):
        FencedFile.claim(path, token)
    assert os.listdir(path.parent) == []


def test_a_disk_that_refuses_is_a_publish_error_with_its_cause(path: pathlib.Path) -> None:
    with pytest.raises(PublishError) as refused:
        FencedFile.claim(path.parent / "no" / "such", 7)
    assert isinstance(refused.value.__cause__, FileNotFoundError)
    file = FencedFile.claim(path, 7)
    os.unlink(file.temporary_path)
    with pytest.raises(PublishError, match="vanished"):
        file.publish()


@contextlib.contextmanager
def no_bytes() -> Iterator[None]:
    """Files may not grow: each write fails, as on a full disk; pytest's own output, too, where it goes to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_publication_that_cannot_write_its_record_publishes_nothing(path: pathlib.Path) -> None:
    file = written(path, 7, "seven")
    with no_bytes(), pytest.raises(PublishError, match="larger than a file may be") as refused:
        file.publish()
    assert isinstance(refused.value.__cause__, OSError)
    assert refused.value.__cause__.errno == errno.EFBIG
    assert not path.exists()
    assert kept(path) == ["7"]
