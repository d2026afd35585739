"""The S3 guard through boto3 against a server that emulates S3 (moto): honest about conditions, not concurrency."""

from __future__ import annotations

import itertools
from typing import Any, Callable, Iterator, Mapping, Optional

import boto3  # type: ignore[import-untyped]
import pytest
from holdfast_client.fencing import TOKEN_METADATA, StaleTokenError, fenced_put

from .fencing_servers import s3_server

NUMBERS = itertools.count()


class Interrupted:
    """The client, with something that happens between its look and its put."""

    def __init__(self, client: Any, between: Callable[[], object]) -> None:
        self._client = client
        self._between: Optional[Callable[[], object]] = between

    def head_object(self, *, Bucket: str, Key: str) -> Mapping[str, object]:
        return dict(self._client.head_object(Bucket=Bucket, Key=Key))

    def put_object(self, **ask: object) -> Mapping[str, object]:
        between, self._between = self._between, None
        if between is not None:
            between()
        return dict(self._client.put_object(**ask))


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with s3_server() as url:
        yield boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


@pytest.fixture
def bucket(client: Any) -> str:
    name = f"bucket-{next(NUMBERS)}"
    client.create_bucket(Bucket=name)
    return name


def text(client: Any, bucket: str) -> bytes:
    body: bytes = client.get_object(Bucket=bucket, Key="model")["Body"].read()
    return body


def test_a_stale_write_is_refused_and_gets_through_without_the_guard(client: Any, bucket: str) -> None:
    fenced_put(client, bucket, "model", b"new", token=34)
    with pytest.raises(StaleTokenError) as refused:
        fenced_put(client, bucket, "model", b"late", token=33)
    assert (refused.value.token, refused.value.current) == (33, 34)
    assert text(client, bucket) == b"new"
    client.put_object(Bucket=bucket, Key="model", Body=b"late")
    assert text(client, bucket) == b"late"


def test_equal_and_newer_tokens_pass_and_readers_see_the_token(client: Any, bucket: str) -> None:
    for token, body in ((34, b"one"), (34, b"two"), (35, b"three")):
        fenced_put(client, bucket, "model", body, token=token, metadata={"kind": "weights"})
        assert text(client, bucket) == body
    told = client.head_object(Bucket=bucket, Key="model")["Metadata"]
    assert told == {TOKEN_METADATA: "35", "kind": "weights"}


@pytest.mark.parametrize("before", [True, False])
def test_a_newer_write_between_its_look_and_its_put_is_seen(client: Any, bucket: str, before: bool) -> None:
    if before:
        fenced_put(client, bucket, "model", b"old", token=32)
    interrupted = Interrupted(client, lambda: fenced_put(client, bucket, "model", b"new", token=34))
    with pytest.raises(StaleTokenError):
        fenced_put(interrupted, bucket, "model", b"late", token=33)
    assert text(client, bucket) == b"new"


def test_the_same_bytes_put_again_cannot_be_told_from_no_put_so_bodies_must_differ(
    client: Any, bucket: str
) -> None:
    fenced_put(client, bucket, "model", b"same", token=32)
    interrupted = Interrupted(client, lambda: fenced_put(client, bucket, "model", b"same", token=34))
    fenced_put(interrupted, bucket, "model", b"late", token=33)
    assert text(client, bucket) == b"late"
