"""An object that refuses a stale lease: a conditional PUT with the token in its metadata, for S3 and what is alike."""

from __future__ import annotations

from typing import Callable, Mapping, NamedTuple, Optional, Protocol, cast

from ._errors import FencingError, StaleTokenError, check_token

#: The object's metadata key: whoever reads the object finds its token there.
TOKEN_METADATA = "holdfast-token"
_TRIES = 10


class Objects(Protocol):
    """What is needed of a client: that of ``boto3.client("s3")`` has it."""

    @property
    def head_object(self) -> Callable[..., Mapping[str, object]]: ...

    @property
    def put_object(self) -> Callable[..., Mapping[str, object]]: ...


class _Seen(NamedTuple):
    etag: str
    token: int


def fenced_put(
    client: Objects,
    bucket: str,
    key: str,
    body: bytes,
    *,
    token: int,
    metadata: Optional[Mapping[str, str]] = None,
) -> str:
    """Puts an object under a lease, if no newer lease has put it, and returns its new ETag.

    Reads its ETag and token, and writes on the condition that the ETag is still that one (or that there is still no
    object). Equal tokens pass: the same lease writes again. metadata: kept beside the token. Raises StaleTokenError,
    and nothing was changed; FencingError after ten conflicts in a row.

    An ETag tells contents apart, not writes: what is put must differ from write to write, else a stale PUT cannot see
    that somebody has meanwhile put the same bytes again. Put the token into the body (a manifest that names it will
    do).
    """
    check_token(token)
    for _ in range(_TRIES):
        seen = _head(client, bucket, key)
        if seen is not None and seen.token > token:
            raise StaleTokenError(f"{bucket}/{key}", token, seen.token)
        condition = {"IfNoneMatch": "*"} if seen is None else {"IfMatch": seen.etag}
        told = {**(metadata or {}), TOKEN_METADATA: str(token)}
        try:
            answer = client.put_object(Bucket=bucket, Key=key, Body=body, Metadata=told, **condition)
            return str(answer.get("ETag", ""))
        except Exception as error:
            # 412: changed since; 409: another conditional write is under way; 404: removed since.
            if _status(error) not in (404, 409, 412):
                raise
    raise FencingError(f"{bucket}/{key} was changed by others {_TRIES} times in a row: nothing was put")


def _head(client: Objects, bucket: str, key: str) -> Optional[_Seen]:
    try:
        answer = client.head_object(Bucket=bucket, Key=key)
    except Exception as error:
        if _status(error) == 404:
            return None
        raise
    told = cast("Mapping[str, str]", answer.get("Metadata", {}))
    if "ETag" not in answer:
        raise FencingError(f"{bucket}/{key} has no ETag: it cannot be guarded")
    return _Seen(str(answer["ETag"]), int(told.get(TOKEN_METADATA, "0")))


def _status(error: Exception) -> Optional[int]:
    """The HTTP status where botocore's errors carry it."""
    answer = getattr(error, "response", None)
    if not isinstance(answer, dict):
        return None
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None
