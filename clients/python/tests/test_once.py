"""`once` over a real service, sync and asyncio: who makes the file, who gets it, and what becomes of failures."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import pathlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import List

import pytest
from holdfast_client import BusyError, Holdfast, Lease, LeaseLostError, aio
from holdfast_client.fencing import FencedFile, PublishError, StaleTokenError
from holdfast_client.once import OnceResult, aonce, once

from .service import Replica

NUMBERS = itertools.count()


@pytest.fixture
def address(replica: Replica) -> str:
    return replica.address


@pytest.fixture
def key() -> str:
    return f"once/{next(NUMBERS)}"


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "file.bin"


def left(path: pathlib.Path) -> List[str]:
    """What lies about, fences aside."""
    folder = path.parent / ".file.bin.fence"
    inside = os.listdir(folder) if folder.exists() else []
    outside = [name for name in os.listdir(path.parent) if name != folder.name]
    return outside + [name for name in inside if "." in name]


def take_away(hf: Holdfast, key: str) -> None:
    """Ends the lease of whoever makes it, as an operator would."""
    (holder,) = hf.inspect(key).holders
    hf.force_release(key, reason="a test", lease_ref=holder.lease_ref)


def write(path: str, text: str) -> None:
    pathlib.Path(path).write_text(text)


def test_one_makes_the_file_and_all_get_it(hf: Holdfast, key: str, path: pathlib.Path) -> None:
    def wants(text: str) -> OnceResult:
        return once(hf, key, path, lambda file, _: write(file, text))

    texts = ["one", "two", "three", "four"]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(wants, texts))
    (maker,) = [result for result in results if result.made]
    assert {result.token for result in results} == {maker.token}
    assert path.read_text() == texts[results.index(maker)]
    assert left(path) == ["file.bin"]
    assert not hf.inspect(key).holders


def test_no_lock_is_asked_for_where_the_file_is_there(hf: Holdfast, key: str, path: pathlib.Path) -> None:
    first = once(hf, key, path, lambda file, _: write(file, "once"))
    nowhere = Holdfast("127.0.0.1:1")
    assert once(nowhere, key, path, lambda file, _: write(file, "twice")) == (str(path), first.token, False)
    nowhere.close()


def test_the_makers_own_error_is_raised_and_the_next_one_tries(hf: Holdfast, key: str, path: pathlib.Path) -> None:
    def fails(file: str, _: Lease) -> None:
        write(file, "half")
        raise KeyError("no such model")

    with pytest.raises(KeyError):
        once(hf, key, path, fails)
    assert left(path) == []
    assert "failed: KeyError" in [event.reason for event in hf.inspect(key, history=10).history]
    assert once(hf, key, path, lambda file, _: write(file, "second")).made


def test_what_verify_refuses_is_not_published(hf: Holdfast, key: str, path: pathlib.Path) -> None:
    def whole(file: str) -> bool:
        return pathlib.Path(file).read_text() == "whole"

    with pytest.raises(PublishError, match="verify"):
        once(hf, key, path, lambda file, _: write(file, "broken"), verify=whole)
    assert left(path) == []
    assert once(hf, key, path, lambda file, _: write(file, "whole"), verify=whole).made


def test_nothing_is_published_under_a_lease_that_was_lost(hf: Holdfast, key: str, path: pathlib.Path) -> None:
    def loses(file: str, lease: Lease) -> None:
        write(file, "late")
        take_away(hf, key)
        assert lease.lost_event.wait(60)

    with pytest.raises(LeaseLostError):
        once(hf, key, path, loses)
    assert left(path) == []


def test_it_gets_the_file_of_its_successor(hf: Holdfast, key: str, path: pathlib.Path) -> None:
    results: List[OnceResult] = []

    def overtaken(file: str, _: Lease) -> None:
        take_away(hf, key)
        make = threading.Thread(
            target=lambda: results.append(once(hf, key, path, lambda own, _: write(own, "successor")))
        )
        make.start()
        make.join()
        write(file, "late")

    assert once(hf, key, path, overtaken) == (str(path), results[0].token, False)
    assert path.read_text() == "successor"
    assert left(path) == ["file.bin"]


def test_a_newer_claim_shuts_it_out_though_its_lease_seems_good(hf: Holdfast, key: str, path: pathlib.Path) -> None:
    def overtaken(file: str, lease: Lease) -> None:
        write(file, "late")
        FencedFile.claim(path, lease.token + 1)

    with pytest.raises(StaleTokenError):
        once(hf, key, path, overtaken)
    assert not path.exists()


def test_it_gives_up_when_its_wait_is_over(hf: Holdfast, key: str, path: pathlib.Path) -> None:
    with hf.lock(key, owner="another"):
        with pytest.raises(BusyError):
            once(hf, key, path, lambda file, _: write(file, "never"), wait=0.05)
    assert os.listdir(path.parent) == []


def test_a_full_disk_is_a_clear_error_and_leaves_no_half_file(address: str, key: str, path: pathlib.Path) -> None:
    child = os.path.join(os.path.dirname(__file__), "once_full_disk.py")
    # A mount of its own, in a namespace that ends with the program.
    small = 'mount -t tmpfs -o size=64k none "$1" && exec "$0" "$2" "$3" "$4" "$1/file.bin"'
    command = ["unshare", "--mount", "sh", "-c", small, sys.executable, str(path.parent), child, address, key]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert said.stdout.splitlines() == [
        f"PublishError: {path} could not be published: no space is left on the device",
        f"caused by errno {errno.ENOSPC}",
        "['.file.bin.fence']",
        "then made: True",
    ], said.stderr


def test_with_asyncio_one_makes_it_and_all_get_it(address: str, key: str, path: pathlib.Path) -> None:
    async def wants(hf: aio.Holdfast, text: str) -> OnceResult:
        async def make(file: str, _: aio.Lease) -> None:
            await asyncio.to_thread(write, file, text)

        return await aonce(hf, key, path, make, verify=os.path.exists)

    async def all_of_them() -> List[OnceResult]:
        async with aio.Holdfast(address) as hf:
            return await asyncio.gather(*(wants(hf, text) for text in ("one", "two", "three")))

    results = asyncio.run(all_of_them())
    (maker,) = [result for result in results if result.made]
    assert {result.token for result in results} == {maker.token}
    assert path.read_text() == ("one", "two", "three")[results.index(maker)]
    assert left(path) == ["file.bin"]


def test_with_asyncio_the_loss_of_the_lease_cancels_the_maker(
    hf: Holdfast, address: str, key: str, path: pathlib.Path
) -> None:
    ended: List[str] = []

    async def loses(file: str, _: aio.Lease) -> None:
        write(file, "late")
        await asyncio.to_thread(take_away, hf, key)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def main() -> None:
        async with aio.Holdfast(address) as client:
            await aonce(client, key, path, loses)

    with pytest.raises(LeaseLostError):
        asyncio.run(main())
    assert ended == ["cancelled"]
    assert left(path) == []


def test_with_asyncio_a_cancelled_caller_leaves_nothing_and_lets_the_next_one_try(
    hf: Holdfast, address: str, key: str, path: pathlib.Path
) -> None:
    async def main() -> None:
        making = asyncio.Event()

        async def endless(file: str, _: aio.Lease) -> None:
            write(file, "half")
            making.set()
            await asyncio.Event().wait()

        async with aio.Holdfast(address) as client:
            task = asyncio.ensure_future(aonce(client, key, path, endless))
            await making.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert left(path) == []
    assert once(hf, key, path, lambda file, _: write(file, "second")).made
