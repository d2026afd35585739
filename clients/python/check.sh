#!/bin/sh
# Types (mypy --strict) and tests of the Python client, fresh generated messages among them. Arguments go to pytest.
set -eu

cd "$(dirname -- "$0")"
bin=../../.venv/bin

"$bin/python" -m mypy
"$bin/python" -m pytest -q "$@"
