#!/bin/bash
# The checks, then every test, in three lanes side by side: the faults and the models, the Python client's own tests, and all the rest.
# Goes on after a failure, and ends with what failed and a count. With arguments (vitest's) only what they name runs.
set -euo pipefail

cd "$(dirname -- "$0")/.."

report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT

checks=0
scripts/check.sh || checks=$?

# Examples and users import it by its name, built.
scripts/build-client.sh

# The results as JSON besides, so that the end of a long log can name each failure again.
lane() {
  local name=$1
  shift
  PATH=$PWD/node_modules/.bin:$PATH vitest run \
    --reporter=default --reporter=json --outputFile.json="$report/$name.json" "$@"
}

# Beside the others, for all of them mostly wait for processes; their output comes after the others'.
clients/python/check.sh --junitxml="$report/python.xml" >"$report/python.log" 2>&1 &
checking=$!
faulting=
if [ $# -eq 0 ]; then
  lane faults --project real test/fault test/model >"$report/faults.log" 2>&1 &
  faulting=$!
  set -- --exclude 'test/fault/**' --exclude 'test/model/**'
fi

tests=0 python=0
lane rest "$@" || tests=$?
wait "$checking" || python=$?
cat "$report/python.log"
if [ -n "$faulting" ]; then
  wait "$faulting" || tests=$?
  cat "$report/faults.log"
fi

node_modules/.bin/node scripts/test-summary.mjs "$report" "$checks" "$tests" "$python"
