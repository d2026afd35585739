#!/bin/sh
# The client's own tests against the oldest and the newest grpcio and protobuf that it claims, in throw-away
# environments; some minutes. Python 3.9 for the oldest where it is here: PYTHON_OLDEST=python3.9.
set -eu

cd "$(dirname -- "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

try() { # NAME PYTHON REQUIREMENT...
  name=$1 python=$2
  shift 2
  "$python" -m venv "$work/$name"
  "$work/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@" pytest hypothesis
  "$work/$name/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps .
  echo "test-versions: $name: $("$work/$name/bin/python" --version), $*"
  "$work/$name/bin/python" -m pytest -q -p no:cacheprovider tests/test_core.py tests/test_sync.py tests/test_aio.py \
    tests/test_guard.py tests/test_fork.py tests/test_life.py tests/test_faults.py
}

oldest=${PYTHON_OLDEST:-python3.9}
command -v "$oldest" >/dev/null && "$oldest" --version >/dev/null 2>&1 || oldest=python3
try oldest "$oldest" grpcio==1.49.1 protobuf==4.21.6
try newest "${PYTHON_NEWEST:-python3}" grpcio==1.85.1 protobuf==7.36.2
