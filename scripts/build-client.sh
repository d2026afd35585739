#!/bin/sh
# Builds the TypeScript client into clients/typescript/dist, from which the workspace resolves it.
set -eu

cd "$(dirname -- "$0")/.."
PATH=$PWD/node_modules/.bin:$PATH

# Build aside and swap, so that a failure leaves the old one, and a file that is gone leaves nothing.
new=$(mktemp -d clients/typescript/.build-XXXXXX)
trap 'rm -rf "$new"' EXIT
tsc -p clients/typescript/tsconfig.build.json --outDir "$new"
rm -rf clients/typescript/dist
mv "$new" clients/typescript/dist
chmod 755 clients/typescript/dist
