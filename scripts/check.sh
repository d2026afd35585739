#!/bin/bash
# Everything that can be judged without running the service. Runs all of it, then says what failed.
set -euo pipefail

cd "$(dirname -- "$0")/.."
PATH=$PWD/.venv/bin:$PATH

failed=()
skipped=()

# step NAME COMMAND...: its output only when it fails.
step() {
  local name=$1 log
  shift
  log=$(mktemp)
  if "$@" >"$log" 2>&1; then
    echo "ok    $name"
  else
    echo "FAIL  $name: $*"
    cat "$log"
    failed+=("$name")
  fi
  rm -f "$log"
}

# tool NAME PROGRAM COMMAND...: a step that is skipped, aloud, where PROGRAM is not installed.
tool() {
  local name=$1 program=$2
  shift 2
  if command -v "$program" >/dev/null; then
    step "$name" "$@"
  else
    echo "SKIP  $name: no $program here (make tools installs it)"
    skipped+=("$name")
  fi
}

step types npm run --silent typecheck
step style npm run --silent lint
step contract npm run --silent proto
step settings node_modules/.bin/node scripts/gen-configuration.mjs --check
tool shell shellcheck shellcheck --severity=style bin/holdfast .ci/run scripts/*.sh
tool dockerfile hadolint hadolint Dockerfile
tool 'alert rules' promtool promtool check rules deploy/prometheus/alerts.yaml
tool 'alert rules, tested' promtool promtool test rules deploy/prometheus/alerts.test.yaml
tool 'prometheus.yml' promtool promtool check config deploy/prometheus/prometheus.yml
if docker compose version >/dev/null 2>&1; then
  step compose docker compose --file docker-compose.yml config --quiet
else
  tool 'compose (schema only: no docker compose here)' check-jsonschema \
    check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
fi

tool 'Helm chart' helm scripts/render-manifests.sh --check
if [ -d .venv/share/kubernetes-1.34.0 ]; then
  tool 'Kubernetes manifests' kubeconform scripts/render-manifests.sh --validate
else
  echo 'SKIP  Kubernetes manifests: no schemas here (make tools installs them where Go and PyPI can be reached)'
  skipped+=('Kubernetes manifests')
fi

if [ ${#skipped[@]} -gt 0 ]; then
  printf 'check: skipped: %s\n' "${skipped[@]}"
fi
if [ ${#failed[@]} -gt 0 ]; then
  printf 'check: FAILED: %s\n' "${failed[@]}"
  exit 1
fi
echo "check: all passed"
