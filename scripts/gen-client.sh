#!/bin/sh
# Writes what the TypeScript client knows of proto/ into clients/typescript/src/gen, or into the folder given as the
# first argument. The same input gives the same bytes.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
PATH=$root/node_modules/.bin:$PATH # the pinned Node first

if [ ! -d node_modules/protobufjs ]; then
  echo "gen-client: dependencies are not installed; run: npm ci" >&2
  exit 2
fi

node scripts/gen-client.mjs "${1:-clients/typescript/src/gen}"
