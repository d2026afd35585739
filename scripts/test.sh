#!/bin/bash
# The checks, then every test, in three lanes side by side: the faults; the clients, of both languages, the torture and the
# models; and all the rest.
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

# A lane is as long as its tests wait: the one of the Python client is short, and goes on with what the long one had last.
python_lane() {
  local code=0
  clients/python/check.sh --junitxml="$report/python.xml" >"$report/python.log" 2>&1 || code=$?
  echo "$code" >"$report/python.exit"
  [ -z "$whole" ] || lane clients --project real clients/typescript test/conformance test/torture test/model >"$report/clients.log" 2>&1
}

# Beside the others, for all of them mostly wait for processes; their output comes after the others'.
whole=
[ $# -gt 0 ] || whole=yes
python_lane &
others=$!
if [ -n "$whole" ]; then
  lane faults --project real test/fault >"$report/faults.log" 2>&1 &
  others="$others $!"
  set -- --exclude 'test/{fault,model,conformance,torture}/**' --exclude 'clients/typescript/test/real/**'
fi

tests=0
lane rest "$@" || tests=$?
for other in $others; do wait "$other" || tests=$?; done
for log in python clients faults; do
  [ ! -f "$report/$log.log" ] || cat "$report/$log.log"
done
python=$(cat "$report/python.exit" || echo 1)

node_modules/.bin/node scripts/test-summary.mjs "$report" "$checks" "$tests" "$python"
