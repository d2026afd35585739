#!/bin/sh
# Fails if src/edge/gen, or what the TypeScript client has of it, is not what proto/ generates.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$root/scripts/gen-types.sh" "$work/fresh"
cd "$root"
if ! diff -ru src/edge/gen "$work/fresh" >"$work/diff" 2>&1; then
  head -n 40 "$work/diff" >&2
  echo "check-gen: src/edge/gen is not what proto/ generates; run: scripts/gen-types.sh" >&2
  exit 1
fi
"$root/scripts/gen-client.sh" "$work/client"
client=clients/typescript/src/gen
if ! diff -ru "$client" "$work/client" >"$work/diff" 2>&1; then
  head -n 40 "$work/diff" >&2
  echo "check-gen: $client is not what proto/ generates; run: scripts/gen-client.sh" >&2
  exit 1
fi
echo "check-gen: src/edge/gen and $client are fresh"
