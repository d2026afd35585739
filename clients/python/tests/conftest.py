"""Fixtures: one embedded service for all tests that need no fault, a cluster for those that do."""

from __future__ import annotations

from typing import Iterator

import pytest

from holdfast_client import Holdfast

from .service import Cluster, Replica


@pytest.fixture(scope="session")
def replica() -> Iterator[Replica]:
    one = Replica()
    yield one
    one.stop()


@pytest.fixture()
def hf(replica: Replica) -> Iterator[Holdfast]:
    with Holdfast(replica.address) as client:
        yield client


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    one = Cluster()
    yield one
    one.stop()
