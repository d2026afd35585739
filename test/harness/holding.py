"""A client process in Python that takes one lock by a Hold and keeps it until it is killed: ADDRESS RESOURCE."""

import json
import sys

import grpc
from google.protobuf.json_format import MessageToDict
from holdfast.v1 import lock_pb2, lock_pb2_grpc


def main() -> int:
    address, resource = sys.argv[1:]
    acquire = lock_pb2.AcquireRequest(resources=[resource], owner="python")
    with grpc.insecure_channel(address) as channel:
        for event in lock_pb2_grpc.LockServiceStub(channel).Hold(lock_pb2.HoldRequest(acquire=acquire)):
            if event.HasField("granted"):
                lease = MessageToDict(event.granted, preserving_proto_field_name=True)
                print(json.dumps({"atMs": 0, "kind": "granted", "leases": [lease]}), flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
