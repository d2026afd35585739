"""The pytest plugin: a fake and clients of it for each test, gone when the test is over."""

from __future__ import annotations

from typing import Iterator

import pytest

from .. import Holdfast
from ..aio import Holdfast as AioHoldfast
from . import FakeHoldfast


@pytest.fixture
def fake_holdfast() -> Iterator[FakeHoldfast]:
    """A fake of the service, with a clock of its own."""
    with FakeHoldfast() as fake:
        yield fake


@pytest.fixture
def holdfast_client(fake_holdfast: FakeHoldfast) -> Holdfast:
    """A client of the fake, on its clock."""
    return fake_holdfast.client()


@pytest.fixture
def aio_holdfast_client(fake_holdfast: FakeHoldfast) -> AioHoldfast:
    """The same for asyncio: opens what it needs in the event loop in which it is first asked."""
    return fake_holdfast.aio_client()
