#!/bin/sh
# Installs the npm dependencies exactly as locked; any Node >= 20 will do for that.
set -eu

cd "$(dirname -- "$0")/.."

if ! command -v node >/dev/null; then
  echo "holdfast needs Node.js >= 20 and its npm to install; there is no node on the PATH" >&2
  exit 1
fi
version=$(node --version)
major=${version#v}
if [ "${major%%.*}" -lt 20 ]; then
  echo "holdfast needs Node.js >= 20 to install; this one is $version ($(command -v node))" >&2
  exit 1
fi
if ! command -v npm >/dev/null; then
  echo "holdfast needs npm >= 10 to install; there is no npm on the PATH" >&2
  exit 1
fi
npm_version=$(npm --version 2>/dev/null)
if [ "${npm_version%%.*}" -lt 10 ]; then
  echo "holdfast needs npm >= 10 to install; this one is $npm_version" >&2
  exit 1
fi

echo "Installing the dependencies as locked (npm ci), the pinned Node 24 among them ..."
# Its warnings are about the Node that installs, which runs nothing of what it installs.
npm ci --loglevel=error

if [ ! -x node_modules/node/bin/node ]; then
  echo "npm left out the pinned Node: its install script did not run (is ignore-scripts set?)" >&2
  exit 1
fi

echo "Building @holdfast/client ..."
scripts/build-client.sh
