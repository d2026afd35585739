#!/bin/sh
# What `make start` prints before it serves.
set -eu

cat <<'TEXT'

Holdfast is about to serve on 127.0.0.1:7420 (gRPC) and 127.0.0.1:7421 (HTTP), with its locks in the
memory of this one process. Stop it with Ctrl-C. In another terminal, try:

  bin/holdfast acquire gpu/0 --ttl 30s        take a lease; prints its secret id and its fencing token
  bin/holdfast inspect gpu/0                  who holds it, and since when
  bin/holdfast acquire gpu/0                  busy: exit code 75
  bin/holdfast release LEASE_ID               give it back
  bin/holdfast --help                         all commands

  grpcurl -plaintext 127.0.0.1:7420 list
  grpcurl -plaintext -d '{"resources":["gpu/1"],"owner":"me","ttl":"30s"}' \
    127.0.0.1:7420 holdfast.v1.LockService/Acquire

  curl http://127.0.0.1:7421/readyz
  curl http://127.0.0.1:7421/metrics

README.md goes on from here; docs/operations.md has a cluster of real nodes.

TEXT
