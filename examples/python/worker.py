"""A worker that takes one GPU, keeps it while it works, and gives it back.

What it shows, in the order of the file:

- how long a lease may be relied on: counted by the holder, on a clock that never steps, from BEFORE the
  request was sent, for the ttl less the drift;
- a heartbeat in a thread of its own, which tells the work at once that the lease is lost;
- errors by their reason (`grpc-status-details-bin`), not by their text;
- a request_id, so that an Acquire whose answer was lost can be repeated without taking two leases;
- the fencing token, sent with every effect and checked by the resource itself.

Exit codes: 0 done, 1 refused, 69 no answer that counts, 75 busy, 76 the lease was lost.
"""

import argparse
import os
import random
import socket
import sys
import threading
import time
import uuid
from datetime import timedelta

import grpc
from google.rpc import error_details_pb2, status_pb2
from holdfast.v1 import lock_pb2, lock_pb2_grpc

NO_ANSWER, BUSY, LOST = 69, 75, 76
CALL_TIMEOUT = 2.0


def now() -> float:
    """Seconds on a clock that never steps; where there is one, it also runs while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def say(text: str) -> None:
    print(text, flush=True)


def seconds(span) -> float:
    return span.ToTimedelta().total_seconds()


class Failure:
    """What a failed call says: its gRPC code, and the details that Holdfast puts into a trailer."""

    def __init__(self, error: grpc.RpcError):
        self.code = error.code()
        self.message = error.details()
        self.reason = ""
        self.metadata = {}
        self.fields = {}
        self.retry_after = None
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                self._read(status_pb2.Status.FromString(value))

    def _read(self, status) -> None:
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            bad = error_details_pb2.BadRequest()
            retry = error_details_pb2.RetryInfo()
            if detail.Unpack(info) and info.domain == "holdfast":
                self.reason = info.reason
                self.metadata = dict(info.metadata)
            elif detail.Unpack(bad):
                self.fields = {one.field: one.description for one in bad.field_violations}
            elif detail.Unpack(retry):
                self.retry_after = seconds(retry.retry_delay)

    @property
    def may_pass(self) -> bool:
        """Whether the same call may succeed in a moment, here or at another replica."""
        return self.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

    def __str__(self) -> str:
        facts = {**self.metadata, **self.fields}
        return " ".join([self.reason or self.code.name, *(f"{key}={value}" for key, value in facts.items())])


class LeaseLost(Exception):
    pass


class KeptLease:
    """A lease, renewed by a thread until it is released or lost."""

    def __init__(self, stub, lease, asked_at: float):
        self._stub = stub
        self._lease = lease
        self._done = threading.Event()
        self._valid_until = self._end(asked_at, lease)
        self.token = lease.fencing_token
        self.ref = lease.lease_ref
        self._thread = threading.Thread(target=self._keep, name="heartbeat", daemon=True)
        self._thread.start()

    @staticmethod
    def _end(asked_at: float, lease) -> float:
        """lock.proto: from before the request, for the ttl, less 1 % of it and 2 ms."""
        return asked_at + seconds(lease.ttl) * 0.99 - 0.002

    def left(self) -> float:
        return self._valid_until - now()

    def check(self) -> int:
        """The token to send with an effect; raises once the lease may not be relied on."""
        if self.left() <= 0:
            raise LeaseLost(f"lease {self.ref} is not valid any more")
        return self.token

    def _keep(self) -> None:
        ttl = seconds(self._lease.ttl)
        pause = ttl / 3
        while not self._done.wait(pause):
            if self.left() <= 0:
                say("heartbeat: the lease ran out")
                return
            asked_at = now()
            try:
                timeout = max(0.05, min(CALL_TIMEOUT, self.left()))
                request = lock_pb2.HeartbeatRequest(lease_id=self._lease.lease_id)
                answer = self._stub.Heartbeat(request, timeout=timeout)
            except grpc.RpcError as error:
                failure = Failure(error)
                say(f"heartbeat: {failure}")
                if not failure.may_pass:
                    self._valid_until = asked_at
                    return
                # It stands until our own count ends: ask again soon.
                pause = failure.retry_after or ttl / 20
                continue
            self._valid_until = self._end(asked_at, answer.lease)
            say(f"heartbeat: renewed, {self.left():.1f} s left")
            pause = ttl / 3

    def release(self) -> None:
        self._done.set()
        self._thread.join()
        request = lock_pb2.ReleaseRequest(lease_id=self._lease.lease_id, reason="work done")
        try:
            answer = self._stub.Release(request, timeout=CALL_TIMEOUT)
        except grpc.RpcError as error:
            # Nothing else to do: it ends by its ttl at the latest.
            say(f"release: {Failure(error)}")
            return
        say("released" if answer.released else "release: it was gone already")


def acquire(stub, resource: str, owner: str, ttl: timedelta, patience: float) -> KeptLease:
    """Asks until it has the lease or patience ends. (This release does not serve waiting in line yet.)"""
    give_up_at = now() + patience
    request = lock_pb2.AcquireRequest(
        resources=[resource], owner=owner, ttl=ttl, request_id=str(uuid.uuid4()), labels={"host": socket.gethostname()}
    )
    while True:
        asked_at = now()
        try:
            # An answer that comes after the ttl would be worth nothing.
            answer = stub.Acquire(request, timeout=min(CALL_TIMEOUT, ttl.total_seconds()))
        except grpc.RpcError as error:
            failure = Failure(error)
            say(f"acquire: {failure}")
            if not failure.may_pass or now() > give_up_at:
                sys.exit(NO_ANSWER if failure.may_pass else 1)
            # The same request_id: if the first call did take the lease, this one is answered with it.
            time.sleep(failure.retry_after or 0.2)
            continue
        if answer.HasField("lease"):
            lease = answer.lease
            if lease.replayed:
                # An earlier call of ours was granted, we do not know when: count from a heartbeat instead.
                asked_at = now()
                try:
                    beat = lock_pb2.HeartbeatRequest(lease_id=lease.lease_id)
                    lease = stub.Heartbeat(beat, timeout=CALL_TIMEOUT).lease
                except grpc.RpcError as error:
                    say(f"heartbeat: {Failure(error)}")
                    sys.exit(LOST)
            say(f"acquired {resource} as {owner}: token {lease.fencing_token}, lease_ref {lease.lease_ref}")
            return KeptLease(stub, lease, asked_at)
        for holder in answer.busy.holders:
            say(f"busy: {holder.resource} is held by {holder.owner} (token {holder.fencing_token})")
        if now() > give_up_at:
            sys.exit(BUSY)
        time.sleep(min(seconds(answer.busy.retry_after), 0.5) * random.uniform(0.5, 1))


class CheckpointStore:
    """Stands for whatever the lock protects. It, and not the lock, keeps a late writer out."""

    def __init__(self) -> None:
        self._largest = 0

    def write(self, token: int, text: str) -> bool:
        if token < self._largest:
            say(f"store: refused {text!r}: token {token} is smaller than {self._largest}")
            return False
        self._largest = token
        say(f"store: wrote {text!r} under token {token}")
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default=os.environ.get("HOLDFAST_ADDRESS", "127.0.0.1:7420"))
    parser.add_argument("--resource", default="gpu/0")
    parser.add_argument("--owner", default=f"{socket.gethostname()}/{os.getpid()}/1")
    parser.add_argument("--ttl", type=float, default=30, help="seconds without a heartbeat (default 30)")
    parser.add_argument("--steps", type=int, default=3, help="how many pieces of work (default 3)")
    parser.add_argument("--step-seconds", type=float, default=1, help="how long each takes (default 1)")
    parser.add_argument("--patience", type=float, default=0, help="seconds to ask again while busy (default 0)")
    args = parser.parse_args()

    store = CheckpointStore()
    with grpc.insecure_channel(args.address) as channel:
        stub = lock_pb2_grpc.LockServiceStub(channel)
        lease = acquire(stub, args.resource, args.owner, timedelta(seconds=args.ttl), args.patience)
        try:
            for step in range(1, args.steps + 1):
                time.sleep(args.step_seconds)
                # Asked right before the effect, and still only a courtesy: we may be paused after it.
                store.write(lease.check(), f"step {step} of {args.steps}")
        except LeaseLost as lost:
            say(f"stopped: {lost}")
            return LOST
        finally:
            lease.release()
        # What a worker would meet that had slept through the end of an older lease.
        store.write(lease.token - 1, "a late write")
    return 0


if __name__ == "__main__":
    sys.exit(main())
