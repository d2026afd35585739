"""gRPC in a process of its own, for a client that was forked off from one that uses gRPC.

gRPC's threads and locks do not survive a fork: in the child a call may hang, and using what is shared may end the
parent. So the child leaves gRPC alone and talks to this program through a socket pair, which ends when either does:
a child that dies is a stream that ends. Frames: length, kind, number of the call, and what belongs to the kind.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import struct
import sys
import threading
from typing import Any, Dict, Iterator, List, Optional, Tuple

HEAD = struct.Struct(">IcI")
#: Child to bridge: begin a stream or make a call (JSON), a message of a stream, no more of them, give it up.
BEGIN, MESSAGE, HALF, CUT = b"B", b"M", b"H", b"X"
#: Bridge to child: a message or the answer, and the end (JSON: none, or code, message and trailer).
END = b"E"

Frame = Tuple[bytes, int, bytes]


class Pipe:
    """Frames over a socket; any thread may send, one receives."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._lock = threading.Lock()
        self._file = end.makefile("rb")

    def send(self, kind: bytes, number: int, payload: bytes = b"") -> None:
        """Quietly does nothing once the other side is gone: whoever receives finds out."""
        try:
            with self._lock:
                self._end.sendall(HEAD.pack(len(payload), kind, number) + payload)
        except OSError:
            pass

    def receive(self) -> Optional[Frame]:
        """None once the other side is gone."""
        try:
            head = self._file.read(HEAD.size)
            if len(head) < HEAD.size:
                return None
            length, kind, number = HEAD.unpack(head)
            return kind, number, self._file.read(length)
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        try:
            self._end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._end.close()

    def let_go(self) -> None:
        """In a child of the child: the socket is its parent's, which goes on using it."""
        os.close(self._end.detach())


class Server:
    """Makes the calls that the other side asks for."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._requests: Dict[int, "queue.SimpleQueue[Optional[bytes]]"] = {}
        self._calls: Dict[int, Any] = {}
        self._channels: Dict[str, Any] = {}

    def serve(self) -> None:
        while True:
            frame = self._pipe.receive()
            if frame is None:
                return
            kind, number, payload = frame
            if kind == BEGIN:
                wanted = json.loads(payload)
                self._requests[number] = queue.SimpleQueue()
                target = self._stream if wanted["stream"] else self._unary
                threading.Thread(target=target, args=(number, wanted), daemon=True).start()
            elif kind == MESSAGE and number in self._requests:
                self._requests[number].put(payload)
            elif kind == HALF and number in self._requests:
                self._requests[number].put(None)
            elif kind == CUT:
                call = self._calls.get(number)
                if call is not None:
                    call.cancel()

    def _channel(self, wanted: Dict[str, Any]) -> Any:
        import grpc

        return grpc.insecure_channel(wanted["address"], [tuple(one) for one in wanted["options"]])

    def _stream(self, number: int, wanted: Dict[str, Any]) -> None:
        import grpc

        channel = self._channel(wanted)
        requests = self._requests[number]

        def messages() -> Iterator[bytes]:
            while True:
                message = requests.get()
                if message is None:
                    return
                yield message

        call = self._calls[number] = channel.stream_stream(wanted["method"])(messages(), metadata=metadata_of(wanted))
        try:
            for answer in call:
                self._pipe.send(MESSAGE, number, answer)
            self._pipe.send(END, number, b"{}")
        except grpc.RpcError as error:
            self._pipe.send(END, number, json.dumps(told(error)).encode())
        finally:
            requests.put(None)
            del self._calls[number], self._requests[number]
            channel.close()

    def _unary(self, number: int, wanted: Dict[str, Any]) -> None:
        import grpc

        request = self._requests[number].get()
        # One is kept for each address; two at once are no harm.
        channel = self._channels.get(wanted["address"]) or self._channel(wanted)
        self._channels[wanted["address"]] = channel
        try:
            ask = channel.unary_unary(wanted["method"])
            answer = ask(request, timeout=wanted["timeout"], metadata=metadata_of(wanted))
            self._pipe.send(MESSAGE, number, answer)
            self._pipe.send(END, number, b"{}")
        except grpc.RpcError as error:
            self._pipe.send(END, number, json.dumps(told(error)).encode())
        finally:
            del self._requests[number]


def metadata_of(wanted: Dict[str, Any]) -> List[Tuple[str, str]]:
    return [(key, value) for key, value in wanted["metadata"]]


def told(error: Any) -> Dict[str, Any]:
    """A failed call, as the other side reads it."""
    trailer = [value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
    code = error.code()
    return {
        "code": code.value[0] if code is not None else 2,
        "message": error.details() or "",
        "trailer": trailer[0].hex() if trailer else None,
    }


def main() -> None:
    """Serves the socket that is its standard input, until the other side is gone; modules are found as there."""
    sys.path[:] = json.loads(sys.argv[1])
    Server(Pipe(socket.socket(fileno=0))).serve()
    # Nothing is to be waited for: the end of the process ends its streams.
    os._exit(0)


if __name__ == "__main__":
    main()
