"""How calls are made: by gRPC in this process, or, in one that was forked off after gRPC was used, by a bridge."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Protocol, Tuple

import grpc

from . import _bridge, _fork
from ._bridge import BEGIN, CUT, END, HALF, MESSAGE, Pipe
from ._options import Settings
from ._proto import lock_pb2
from ._wire import ANSWERS, SESSION, channel_options, failure_of, failure_of_parts
from .errors import HoldfastError

#: What the bridge runs: a file that needs gRPC alone, so that it starts soon.
PROGRAM = _bridge.__file__


if TYPE_CHECKING:
    Box = queue.SimpleQueue[Tuple[bytes, bytes]]


class Inbox(Protocol):
    """Takes frames of one call: their kind and what belongs to it."""

    def put(self, frame: Tuple[bytes, bytes]) -> None: ...


class Stream(Protocol):
    """An open Session: iterating gives its messages and raises HoldfastError where it failed."""

    def __iter__(self) -> Iterator[lock_pb2.SessionResponse]: ...

    def cancel(self) -> None: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """What both ways can do."""

    def session(self, address: str, requests: Iterable[lock_pb2.SessionRequest]) -> Stream: ...

    def unary(self, address: str, method: str, request: Any, timeout: float) -> Any: ...

    def close(self) -> None: ...

    def forked(self) -> None:
        """In a child of this process: lets go of what only this process may use."""


def transport(settings: Settings) -> Transport:
    if not _fork.grpc_is_foreign():
        return Direct(settings)
    refuse_credentials(settings)
    return Bridged(settings)


def refuse_credentials(settings: Settings) -> None:
    """gRPC's credentials cannot be handed to another process."""
    if settings.credentials is not None:
        raise HoldfastError(
            "a client with credentials cannot be used in a process that was forked after its parent had used gRPC: "
            "start the process by spawn, or fork before the client is first used",
            code="FAILED_PRECONDITION",
        )


class Direct:
    """gRPC in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._channels: Dict[str, grpc.Channel] = {}

    def session(self, address: str, requests: Iterable[lock_pb2.SessionRequest]) -> Stream:
        return DirectStream(self._open(address), requests, self._settings.metadata())

    def unary(self, address: str, method: str, request: Any, timeout: float) -> Any:
        with self._lock:
            channel = self._channels.get(address)
            if channel is None:
                channel = self._channels[address] = self._open(address)
        ask = channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=ANSWERS[method].FromString,
        )
        try:
            return ask(request, timeout=timeout, metadata=self._settings.metadata())
        except grpc.RpcError as error:
            raise failure_of(error) from None

    def close(self) -> None:
        with self._lock:
            channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            channel.close()

    def forked(self) -> None:
        """Its channels are never closed or collected here: either would wait for threads that are not there."""

    def _open(self, address: str) -> grpc.Channel:
        _fork.uses_grpc()
        options = channel_options(self._settings.keepalive)
        if self._settings.credentials is not None:
            return grpc.secure_channel(address, self._settings.credentials, options)
        return grpc.insecure_channel(address, options)


class DirectStream:
    """A Session by gRPC, on a channel of its own."""

    def __init__(
        self, channel: grpc.Channel, requests: Iterable[lock_pb2.SessionRequest], metadata: Tuple[Tuple[str, str], ...]
    ) -> None:
        self._channel = channel
        self._call: Any = channel.stream_stream(
            SESSION,
            request_serializer=lock_pb2.SessionRequest.SerializeToString,
            response_deserializer=lock_pb2.SessionResponse.FromString,
        )(iter(requests), metadata=metadata)

    def __iter__(self) -> Iterator[lock_pb2.SessionResponse]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            raise failure_of(error) from None

    def cancel(self) -> None:
        self._call.cancel()

    def close(self) -> None:
        self._call.cancel()
        self._channel.close()


class Bridged:
    """gRPC in a process that is started when it is first needed, and ends with this one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._pipe: Optional[Pipe] = None
        self._process: Optional[int] = None
        self._inboxes: Dict[int, Inbox] = {}

    def session(self, address: str, requests: Iterable[lock_pb2.SessionRequest]) -> Stream:
        inbox: "Box" = queue.SimpleQueue()
        pipe, number = self.begin({"stream": True, "address": address, "method": SESSION}, inbox)
        return BridgedStream(self, pipe, number, inbox, requests)

    def unary(self, address: str, method: str, request: Any, timeout: float) -> Any:
        wanted = {"stream": False, "address": address, "method": method, "timeout": timeout}
        inbox: "Box" = queue.SimpleQueue()
        pipe, number = self.begin(wanted, inbox)
        pipe.send(MESSAGE, number, request.SerializeToString())
        answers: List[bytes] = [payload for payload in self.frames(number, inbox)]
        return ANSWERS[method].FromString(answers[0])

    def begin(self, wanted: Dict[str, Any], inbox: "Inbox") -> Tuple[Pipe, int]:
        """Begins a call, and brings what comes for it into `inbox`."""
        metadata = self._settings.metadata()
        with self._lock:
            pipe = self._pipe or self._start()
            number = next(self._numbers)
            self._inboxes[number] = inbox
        options = channel_options(self._settings.keepalive)
        pipe.send(BEGIN, number, json.dumps({**wanted, "options": options, "metadata": metadata}).encode())
        return pipe, number

    def frames(self, number: int, inbox: "Box") -> Iterator[bytes]:
        """What comes for one call, until its end; raises what it failed with."""
        while True:
            kind, payload = inbox.get()
            if kind == MESSAGE:
                yield payload
                continue
            self.over(number)
            said = json.loads(payload)
            if said:
                trailer = bytes.fromhex(said["trailer"]) if said["trailer"] else None
                raise failure_of_parts(said["code"], said["message"], trailer)
            return

    def over(self, number: int) -> None:
        """Nothing more comes for a call."""
        self._inboxes.pop(number, None)

    def close(self) -> None:
        with self._lock:
            pipe, self._pipe = self._pipe, None
            process, self._process = self._process, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            with contextlib.suppress(ChildProcessError):  # somebody else may reap all children
                os.waitpid(process, 0)

    def forked(self) -> None:
        if self._pipe is not None:
            self._pipe.let_go()

    def _start(self) -> Pipe:
        ours, theirs = socket.socketpair()
        found = json.dumps([one for one in sys.path if isinstance(one, str)])
        with theirs:
            # Not by subprocess: where that forks, gRPC's handlers of forks run, and wait for threads that are not
            # here. In a group of its own, so that an interrupt from the terminal is left to this process.
            self._process = os.posix_spawn(
                sys.executable,
                [sys.executable, PROGRAM, found],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)],
                setpgroup=0,
            )
        pipe = self._pipe = Pipe(ours)
        threading.Thread(target=self._sort, args=(pipe,), name="holdfast-bridge", daemon=True).start()
        return pipe

    def _sort(self, pipe: Pipe) -> None:
        """Gives each call what comes for it; when the bridge is gone, all of them end."""
        while True:
            frame = pipe.receive()
            if frame is None:
                break
            kind, number, payload = frame
            inbox = self._inboxes.get(number)
            if inbox is not None:
                inbox.put((kind, payload))
        with self._lock:
            if self._pipe is pipe:
                self._pipe = None
            inboxes, self._inboxes = list(self._inboxes.values()), {}
        gone = json.dumps({"code": 14, "message": "the bridge has ended", "trailer": None}).encode()
        for inbox in inboxes:
            inbox.put((END, gone))


class BridgedStream:
    """A Session by the bridge."""

    def __init__(
        self,
        bridge: Bridged,
        pipe: Pipe,
        number: int,
        inbox: "Box",
        requests: Iterable[lock_pb2.SessionRequest],
    ) -> None:
        self._bridge, self._pipe, self._number, self._inbox = bridge, pipe, number, inbox
        threading.Thread(target=self._send, args=(requests,), name="holdfast-requests", daemon=True).start()

    def __iter__(self) -> Iterator[lock_pb2.SessionResponse]:
        for payload in self._bridge.frames(self._number, self._inbox):
            yield lock_pb2.SessionResponse.FromString(payload)

    def cancel(self) -> None:
        self._pipe.send(CUT, self._number)

    def close(self) -> None:
        self.cancel()

    def _send(self, requests: Iterable[lock_pb2.SessionRequest]) -> None:
        for message in requests:
            self._pipe.send(MESSAGE, self._number, message.SerializeToString())
        self._pipe.send(HALF, self._number)


__all__ = ["Direct", "Bridged", "Stream", "Transport", "transport"]
