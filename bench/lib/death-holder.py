"""One process that takes one lock over a Hold and keeps it until it is killed, as a worker in Python would.

Arguments: address, lock, ttl in seconds. Says "granted" once; ends with whoever started it.
"""

import os
import sys
import threading

import grpc
from holdfast.v1 import lock_pb2, lock_pb2_grpc


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> int:
    address, lock, ttl = sys.argv[1:]
    threading.Thread(target=end_with_parent, daemon=True).start()
    acquire = lock_pb2.AcquireRequest(resources=[lock], owner=f"holder-{lock}")
    acquire.ttl.FromSeconds(int(ttl))
    with grpc.insecure_channel(address) as channel:
        for event in lock_pb2_grpc.LockServiceStub(channel).Hold(lock_pb2.HoldRequest(acquire=acquire)):
            if event.HasField("granted"):
                print("granted", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
