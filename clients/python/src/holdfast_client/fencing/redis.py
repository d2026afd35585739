"""A Redis key that refuses a stale lease: value and token change in one script. For redis-py, sync and asyncio."""

from __future__ import annotations

from typing import Awaitable, List, Optional, Protocol, Union

from ._errors import StaleTokenError, check_token

Value = Union[str, bytes]


class Scripts(Protocol):
    """What is needed of a client."""

    def eval(self, script: str, numkeys: int, *keys_and_args: Value) -> object: ...


class AsyncScripts(Protocol):
    """What is needed of an asyncio client."""

    def eval(self, script: str, numkeys: int, *keys_and_args: Value) -> Awaitable[object]: ...


# Compares tokens as text, the longer one being larger: Lua's numbers are doubles, wrong above 2^53.
# The token's key has no expiry: a fence that is forgotten lets everybody pass.
_SCRIPT = """
local seen = redis.call('GET', KEYS[2]) or '0'
local token = ARGV[1]
if #token < #seen or (#token == #seen and token < seen) then return seen end
redis.call('SET', KEYS[2], token)
if ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return ''
"""


def token_key_of(key: str) -> str:
    """Beside the key and, in a cluster, in its slot.

    ``{key}:fencing-token``, or ``key:fencing-token`` where the key has a ``{tag}``. For a key with a ``}`` and no tag
    a cluster refuses that: name a ``token_key`` of its slot.
    """
    return f"{key}:fencing-token" if "}" in key else f"{{{key}}}:fencing-token"


def fenced_set(
    client: Scripts,
    key: str,
    value: Value,
    *,
    token: int,
    ttl: Optional[float] = None,
    token_key: Optional[str] = None,
) -> None:
    """Sets a key under a lease, if no newer lease has set it. Equal tokens pass: the same lease writes again.

    ttl: seconds after which the value is gone, its token stays; for ever unless set. token_key: where the token is
    kept, ``token_key_of(key)`` unless set; in a cluster both keys must be of one slot. Raises StaleTokenError, and
    nothing was changed. The guard is as durable as the Redis node: one that restarts empty, or fails over to a replica
    that lags behind, has forgotten the fence.
    """
    _judge(key, token, client.eval(_SCRIPT, 2, *_arguments(key, value, token, ttl, token_key)))


async def afenced_set(
    client: AsyncScripts,
    key: str,
    value: Value,
    *,
    token: int,
    ttl: Optional[float] = None,
    token_key: Optional[str] = None,
) -> None:
    """As ``fenced_set``, for ``redis.asyncio``."""
    _judge(key, token, await client.eval(_SCRIPT, 2, *_arguments(key, value, token, ttl, token_key)))


def _arguments(
    key: str, value: Value, token: int, ttl: Optional[float], token_key: Optional[str]
) -> List[Value]:
    check_token(token)
    milliseconds = "" if ttl is None else str(round(ttl * 1000))
    if milliseconds != "" and int(milliseconds) < 1:
        raise ValueError(f"ttl: at least a millisecond, not {ttl} s")
    return [key, token_key or token_key_of(key), str(token), value, milliseconds]


def _judge(key: str, token: int, answer: object) -> None:
    seen = answer.decode() if isinstance(answer, bytes) else str(answer)
    if seen:
        raise StaleTokenError(key, token, int(seen))
