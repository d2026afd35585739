#!/bin/sh
# Fails if proto/ breaks callers of what was published before: the revision given as
# the first argument, else the last release tag (v*), else origin/main, else main.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
PATH=$root/node_modules/.bin:$PATH # the pinned Node first

if [ ! -x node_modules/.bin/buf ]; then
  echo "check-breaking: dependencies are not installed; run: npm ci" >&2
  exit 2
fi

has_proto() { git cat-file -e "$1:proto/holdfast/v1/lock.proto" 2>/dev/null; }

if [ $# -gt 0 ]; then
  if ! has_proto "$1"; then
    echo "check-breaking: revision '$1' does not exist or has no proto/holdfast/v1" >&2
    exit 2
  fi
  base=$1
else
  base=
  tag=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)
  for candidate in $tag origin/main main; do
    if has_proto "$candidate"; then
      base=$candidate
      break
    fi
  done
fi

if [ -z "$base" ]; then
  echo "check-breaking: nothing to compare with: no release tag, origin/main or main has proto/holdfast/v1 yet"
  if [ "$(git rev-parse --is-shallow-repository 2>/dev/null)" = true ]; then
    echo "check-breaking: this clone is shallow and may only lack them; run: git fetch --unshallow --tags"
  fi
  exit 0
fi

# The old files are unpacked aside: that works in a linked worktree, too, where .git is
# a file, and needs no network.
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
git archive --format=tar "$base" proto | tar -x -C "$old"
cp buf.yaml "$old/buf.yaml" # today's rules judge both sides

if ! node_modules/.bin/buf breaking . --against "$old"; then
  echo "check-breaking: proto/ breaks callers of $base; docs/versioning.md says what may change" >&2
  exit 1
fi
echo "check-breaking: proto/ breaks nobody who uses $base"
