"""The Redis guard against a real redis-server, through redis-py."""

from __future__ import annotations

import asyncio
from typing import Iterator

import pytest
import redis
import redis.asyncio
from holdfast_client.fencing import StaleTokenError, afenced_set, fenced_set, token_key_of

from .fencing_servers import redis_server


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    with redis_server() as path:
        yield path


@pytest.fixture
def client(socket: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=socket) as opened:
        opened.flushall()
        yield opened


def test_a_stale_write_is_refused_and_gets_through_without_the_guard(client: redis.Redis) -> None:
    fenced_set(client, "job", "new", token=34)
    with pytest.raises(StaleTokenError) as refused:
        fenced_set(client, "job", "late", token=33)
    assert (refused.value.token, refused.value.current) == (33, 34)
    assert client.get("job") == b"new"
    client.set("job", "late")
    assert client.get("job") == b"late"


def test_equal_and_newer_tokens_pass(client: redis.Redis) -> None:
    for token, value in ((34, b"one"), (34, b"two"), (35, b"\xff\x00")):
        fenced_set(client, "job", value, token=token)
        assert client.get("job") == value
    assert client.get(token_key_of("job")) == b"35"


def test_tokens_are_compared_exactly_where_doubles_cannot(client: redis.Redis) -> None:
    token = 2**63 + 1
    fenced_set(client, "job", "new", token=token)
    for stale in (token - 1, 9):
        with pytest.raises(StaleTokenError):
            fenced_set(client, "job", "late", token=stale)
    fenced_set(client, "job", "newer", token=2**64 - 1)
    assert client.get("job") == b"newer"


def test_the_value_is_forgotten_after_its_ttl_and_the_token_never(client: redis.Redis) -> None:
    fenced_set(client, "job", "new", token=34, ttl=5)
    assert 0 < int(client.pttl("job")) <= 5000
    assert client.pttl(token_key_of("job")) == -1
    with pytest.raises(ValueError, match="ttl"):
        fenced_set(client, "job", "new", token=34, ttl=0)
    with pytest.raises(ValueError, match="token"):
        fenced_set(client, "job", "new", token=0)


def test_the_guard_is_the_same_for_asyncio(client: redis.Redis, socket: str) -> None:
    async def writes() -> None:
        async with redis.asyncio.Redis(unix_socket_path=socket, decode_responses=True) as other:
            await afenced_set(other, "job", "new", token=34)
            with pytest.raises(StaleTokenError):
                await afenced_set(other, "job", "late", token=33)

    asyncio.run(writes())
    assert client.get("job") == b"new"
