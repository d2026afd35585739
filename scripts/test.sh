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

tests=0
# The results as JSON besides, so that the end of a long log can name each failure again.
PATH=$PWD/node_modules/.bin:$PATH vitest run \
  --reporter=default --reporter=json --outputFile.json="$report/results.json" "$@" || tests=$?

python=0
clients/python/check.sh --junitxml="$report/python.xml" || python=$?

node_modules/.bin/node scripts/test-summary.mjs "$report" "$checks" "$tests" "$python"
