"""The fake's door: a gRPC server on a free port of this machine, in threads of its own."""

from __future__ import annotations

import queue
import threading
from concurrent import futures
from typing import Any, Callable, Dict, Iterator, Optional, TypeVar, Union

import grpc
from google.protobuf.message import Message

from .._proto import admin_pb2, lock_pb2
from . import _decode, _encode
from ._desk import Desk
from ._hold import Hold
from ._session import Session
from ._words import DRAINING, UNREACHABLE, Busy, Lease, Queued, Refusal, Refused, refusal

#: Each stream takes a thread.
STREAMS = 256
STATUS = {code.value[0]: code for code in grpc.StatusCode}

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


def abort(context: grpc.ServicerContext, said: Refusal) -> None:
    """Ends the call, by raising."""
    if said.reason:
        context.set_trailing_metadata((("grpc-status-details-bin", _encode.details(said)),))
    message = f"{said.reason}: {said.message}" if said.reason else said.message
    context.abort(STATUS[said.code], message)


def reachable(desk: Desk, context: grpc.ServicerContext) -> None:
    if desk.unreachable:
        abort(context, UNREACHABLE)


class Door:
    """The server; `address` is where it listens."""

    def __init__(self, desk: Desk, path: Optional[str] = None) -> None:
        self._desk = desk
        pool = futures.ThreadPoolExecutor(max_workers=STREAMS, thread_name_prefix="holdfast-fake")
        self._server = grpc.server(pool, options=(("grpc.so_reuseport", 0),))
        locks: "Dict[str, grpc.RpcMethodHandler[Any, Any]]" = {
            "Acquire": self._unary(lock_pb2.AcquireRequest, self._acquire),
            "Heartbeat": self._answering(lock_pb2.HeartbeatRequest, desk.heartbeat),
            "Release": self._answering(lock_pb2.ReleaseRequest, desk.release),
            "Inspect": self._answering(lock_pb2.InspectRequest, desk.inspect),
            "List": self._answering(lock_pb2.ListRequest, desk.list),
            "CheckToken": self._answering(lock_pb2.CheckTokenRequest, desk.check_token),
            "Hold": grpc.unary_stream_rpc_method_handler(
                self._hold, lock_pb2.HoldRequest.FromString, lock_pb2.HoldResponse.SerializeToString
            ),
            "Session": grpc.stream_stream_rpc_method_handler(
                self._session, lock_pb2.SessionRequest.FromString, lock_pb2.SessionResponse.SerializeToString
            ),
            "Watch": self._not_served("Watch"),
        }
        admin: "Dict[str, grpc.RpcMethodHandler[Any, Any]]" = {
            "ForceRelease": self._answering(admin_pb2.ForceReleaseRequest, desk.force_release),
            "Status": self._answering(admin_pb2.StatusRequest, desk.status),
            "Reload": self._not_served("Reload"),
        }
        for service, methods in (("LockService", locks), ("AdminService", admin)):
            handler = grpc.method_handlers_generic_handler(f"holdfast.v1.{service}", methods)
            self._server.add_generic_rpc_handlers((handler,))
        self.address = f"unix:{path}" if path is not None else "127.0.0.1:0"
        port = self._server.add_insecure_port(self.address)
        if path is None:
            self.address = f"127.0.0.1:{port}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(None).wait()

    def _answering(self, kind: Callable[[], Request], answer: Callable[[Request], Message]) -> "grpc.RpcMethodHandler[Request, Message]":
        def serve(request: Request, context: grpc.ServicerContext) -> Message:
            with self._desk.lock:
                self._desk.lock.wait_for(lambda: not self._desk.stalled)
                reachable(self._desk, context)
                try:
                    return answer(request)
                except Refused as error:
                    said = error.refusal
            abort(context, said)
            raise AssertionError("abort raises")

        return self._unary(kind, serve)

    @staticmethod
    def _unary(
        kind: Callable[[], Request], serve: Callable[[Request, grpc.ServicerContext], Message]
    ) -> "grpc.RpcMethodHandler[Request, Message]":
        read = kind.FromString  # type: ignore[attr-defined]
        return grpc.unary_unary_rpc_method_handler(serve, read, lambda message: message.SerializeToString())

    @staticmethod
    def _not_served(what: str) -> "grpc.RpcMethodHandler[bytes, bytes]":
        def serve(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            abort(context, refusal("NOT_SERVED", f"the fake does not serve {what}"))
            yield b""

        return grpc.unary_stream_rpc_method_handler(serve)

    def _acquire(self, request: lock_pb2.AcquireRequest, context: grpc.ServicerContext) -> lock_pb2.AcquireResponse:
        alone = Alone()
        with self._desk.lock:
            self._desk.lock.wait_for(lambda: not self._desk.stalled)
            reachable(self._desk, context)
            try:
                ask = _decode.acquire_ask(request, self._desk.ttl)
                self._desk.log_acquire(ask)
                self._desk.admit("acquire")
                give_up = self._desk.locks.acquire(ask, alone)
            except Refused as error:
                alone.refused(error.refusal)
        context.add_callback(lambda: alone.answer.put(None))
        answer = alone.answer.get()
        if isinstance(answer, Refusal):
            abort(context, answer)
        elif answer is None:
            with self._desk.lock:
                give_up(False)
                # It may have been granted meanwhile, and nobody hears of it.
                if alone.lease_id:
                    self._desk.locks.release(alone.lease_id)
        return answer if isinstance(answer, lock_pb2.AcquireResponse) else lock_pb2.AcquireResponse()

    def _session(
        self, requests: Iterator[lock_pb2.SessionRequest], context: grpc.ServicerContext
    ) -> Iterator[lock_pb2.SessionResponse]:
        desk = self._desk
        with desk.lock:
            reachable(desk, context)
            refused = desk.drained
            session = None if refused else Session(desk)
        if session is None:
            abort(context, DRAINING)
            return
        standing = session

        def read() -> None:
            try:
                for request in requests:
                    desk.hold_back(lambda one=request: standing.read(one))  # type: ignore[misc]
                desk.hold_back(standing.half_close)
            except Exception:
                # The connection is gone, which the callback tells, too.
                self._gone(standing)

        context.add_callback(lambda: self._gone(standing))
        threading.Thread(target=read, name="holdfast-fake-session", daemon=True).start()
        while True:
            item = standing.out.get()
            if isinstance(item, lock_pb2.SessionResponse):
                yield item
            else:
                if item is not None:
                    abort(context, item)
                return

    def _hold(self, request: lock_pb2.HoldRequest, context: grpc.ServicerContext) -> Iterator[lock_pb2.HoldResponse]:
        with self._desk.lock:
            self._desk.lock.wait_for(lambda: not self._desk.stalled)
            reachable(self._desk, context)
            hold = Hold(self._desk, request)
        context.add_callback(lambda: self._gone(hold))
        while True:
            item = hold.out.get()
            if isinstance(item, lock_pb2.HoldResponse):
                yield item
            else:
                if item is not None:
                    abort(context, item)
                return

    def _gone(self, stream: Union[Session, Hold]) -> None:
        with self._desk.lock:
            stream.end()
        stream.out.end(None)


class Alone:
    """Who asks by a lone Acquire."""

    def __init__(self) -> None:
        self.lease_id = ""
        self.answer: "queue.SimpleQueue[Union[lock_pb2.AcquireResponse, Optional[Refusal]]]" = queue.SimpleQueue()

    def granted(self, lease: Lease, replayed: bool) -> None:
        self.lease_id = "" if replayed else lease.lease_id
        self.answer.put(lock_pb2.AcquireResponse(lease=_encode.lease(lease, replayed)))

    def busy(self, busy: Busy) -> None:
        self.answer.put(lock_pb2.AcquireResponse(busy=_encode.busy(busy)))

    def refused(self, refusal: Refusal) -> None:
        self.answer.put(refusal)

    def queued(self, queued: Queued) -> None:
        """Nothing tells the caller of a lone Acquire."""
