"""How the asyncio client makes calls: by grpc.aio, or by a bridge in a process forked off after gRPC was used."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Dict, Optional, Protocol, Tuple

import grpc
import grpc.aio

from . import _fork
from ._bridge import CUT, HALF, MESSAGE
from ._options import Settings
from ._proto import lock_pb2
from ._transport import Bridged, refuse_credentials
from ._wire import ANSWERS, SESSION, channel_options, failure_of, failure_of_parts


class Stream(Protocol):
    """An open Session. `read` answers None at its end and raises HoldfastError where it failed."""

    async def write(self, message: lock_pb2.SessionRequest) -> None: ...

    async def read(self) -> Optional[lock_pb2.SessionResponse]: ...

    async def done_writing(self) -> None: ...

    def cancel(self) -> None: ...

    async def close(self) -> None: ...


class Transport(Protocol):
    """What both ways can do."""

    def session(self, address: str) -> Stream: ...

    async def unary(self, address: str, method: str, request: Any, timeout: float) -> Any: ...

    async def close(self) -> None: ...

    def forked(self) -> None:
        """In a child of this process: lets go of what only this process may use."""


def transport(settings: Settings) -> Transport:
    if not _fork.grpc_is_foreign():
        return Direct(settings)
    refuse_credentials(settings)
    return ByBridge(settings)


class Direct:
    """gRPC in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._channels: Dict[str, grpc.aio.Channel] = {}

    def session(self, address: str) -> Stream:
        return DirectStream(self._open(address), self._settings.metadata())

    async def unary(self, address: str, method: str, request: Any, timeout: float) -> Any:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = self._open(address)
        ask = channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=ANSWERS[method].FromString,
        )
        try:
            return await ask(request, timeout=timeout, metadata=self._settings.metadata())
        except grpc.aio.AioRpcError as error:
            raise failure_of(error) from None

    async def close(self) -> None:
        channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            await channel.close()

    def forked(self) -> None:
        """Its channels are never closed or collected here: either would wait for threads that are not there."""

    def _open(self, address: str) -> grpc.aio.Channel:
        _fork.uses_grpc()
        options = channel_options(self._settings.keepalive)
        if self._settings.credentials is not None:
            return grpc.aio.secure_channel(address, self._settings.credentials, options)
        return grpc.aio.insecure_channel(address, options)


class DirectStream:
    """A Session by grpc.aio, on a channel of its own."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Tuple[Tuple[str, str], ...]) -> None:
        self._channel = channel
        self._call: Any = channel.stream_stream(
            SESSION,
            request_serializer=lock_pb2.SessionRequest.SerializeToString,
            response_deserializer=lock_pb2.SessionResponse.FromString,
        )(metadata=metadata)

    async def write(self, message: lock_pb2.SessionRequest) -> None:
        try:
            await self._call.write(message)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            pass  # whoever reads hears of it, too

    async def read(self) -> Optional[lock_pb2.SessionResponse]:
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise failure_of(error) from None
        return message if isinstance(message, lock_pb2.SessionResponse) else None

    async def done_writing(self) -> None:
        try:
            await self._call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            pass

    def cancel(self) -> None:
        self._call.cancel()

    async def close(self) -> None:
        self._call.cancel()
        await self._channel.close()


class ByBridge:
    """gRPC in another process."""

    def __init__(self, settings: Settings) -> None:
        self._bridge = Bridged(settings)

    def session(self, address: str) -> Stream:
        return BridgedStream(self._bridge, address)

    async def unary(self, address: str, method: str, request: Any, timeout: float) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self._bridge.unary, address, method, request, timeout)

    async def close(self) -> None:
        self._bridge.close()

    def forked(self) -> None:
        self._bridge.forked()


class Inbox:
    """What a thread brings and the loop takes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.frames: "asyncio.Queue[Tuple[bytes, bytes]]" = asyncio.Queue()

    def put(self, frame: Tuple[bytes, bytes]) -> None:
        try:
            self._loop.call_soon_threadsafe(self.frames.put_nowait, frame)
        except RuntimeError:
            pass  # the loop is closed, and nobody takes anything


class BridgedStream:
    """A Session by the bridge."""

    def __init__(self, bridge: Bridged, address: str) -> None:
        self._bridge = bridge
        self._inbox = Inbox()
        wanted = {"stream": True, "address": address, "method": SESSION}
        self._pipe, self._number = bridge.begin(wanted, self._inbox)

    async def write(self, message: lock_pb2.SessionRequest) -> None:
        self._pipe.send(MESSAGE, self._number, message.SerializeToString())

    async def read(self) -> Optional[lock_pb2.SessionResponse]:
        kind, payload = await self._inbox.frames.get()
        if kind == MESSAGE:
            return lock_pb2.SessionResponse.FromString(payload)
        self._bridge.over(self._number)
        said = json.loads(payload)
        if not said:
            return None
        trailer = bytes.fromhex(said["trailer"]) if said["trailer"] else None
        raise failure_of_parts(said["code"], said["message"], trailer)

    async def done_writing(self) -> None:
        self._pipe.send(HALF, self._number)

    def cancel(self) -> None:
        self._pipe.send(CUT, self._number)

    async def close(self) -> None:
        self.cancel()
