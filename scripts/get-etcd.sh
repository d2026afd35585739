#!/bin/sh
# Prints the path of an etcd: the one on the PATH, or else Debian's, unpacked into a cache without installing it.
# Only `make bench` wants it, to compare with; no root is needed.
set -eu

say() { echo "get-etcd: $*" >&2; }

if command -v etcd; then
  exit 0
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/etcd
if [ -x "$cache/usr/bin/etcd" ]; then
  echo "$cache/usr/bin/etcd"
  exit 0
fi

for tool in apt-get dpkg; do
  if ! command -v "$tool" >/dev/null; then
    say "there is no $tool here to get etcd with; put an etcd 3.4 or later on the PATH"
    exit 1
  fi
done

# Unpacked beside the cache and moved there in one step, so that a half of it is never taken for etcd.
mkdir -p "$(dirname -- "$cache")"
work=$(mktemp -d "$cache.XXXXXX")
trap 'rm -rf "$work"' EXIT
fetch() { (cd "$work" && apt-get download -q etcd-server) >"$work/log" 2>&1; }

say "Debian's etcd-server into $cache ..."
# A machine that has never listed its packages knows none; only root may list them.
if ! fetch && ! { [ "$(id -u)" -eq 0 ] && apt-get update -q >"$work/log" 2>&1 && fetch; }; then
  tail -n 5 "$work/log" >&2
  say "apt-get could not download etcd-server"
  exit 1
fi
dpkg -x "$work"/etcd-server_*.deb "$work/unpacked"
rm -rf "$cache"
mv "$work/unpacked" "$cache"
echo "$cache/usr/bin/etcd"
