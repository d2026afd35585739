#!/bin/bash
# The checks, both vitest projects, the Python client's own tests; goes on after a failure, and ends with what failed
# and a count.
set -euo pipefail

cd "$(dirname -- "$0")/.."

report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT

checks=0
scripts/check.sh || checks=$?

# Examples and users import it by its name, built.
scripts/build-client.sh

# Beside the others, most of which wait for processes; its output comes after theirs.
python=0
clients/python/check.sh --junitxml="$report/python.xml" >"$report/python.log" 2>&1 &
checking=$!

tests=0
# The results as JSON besides, so that the end of a long log can name each failure again.
PATH=$PWD/node_modules/.bin:$PATH vitest run \
  --reporter=default --reporter=json --outputFile.json="$report/results.json" "$@" || tests=$?

wait "$checking" || python=$?
cat "$report/python.log"

node_modules/.bin/node scripts/test-summary.mjs "$report" "$checks" "$tests" "$python"
