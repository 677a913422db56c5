#!/bin/sh
# Builds the IPFS daemon Kubo that the tests run against, once, and prints the path of the binary as the
# only line on stdout. Needs Go and its module proxy. The version is the one that .ci/kubo/go.mod pins.
#
# .ci/kubo is a module that only wraps Kubo: `go install` refuses Kubo itself, because its go.mod has
# `exclude` directives, while the excludes of a dependency are ignored. Version 0.43.1 is passed over: it replaces
# go-libp2p by a fork that the module proxy does not serve.
set -eu

module=$(CDPATH= cd -- "$(dirname -- "$0")/kubo" && pwd)
version=$(sed -n 's|^[[:space:]]*\(require \)\{0,1\}github.com/ipfs/kubo v\([^ ]*\).*|\2|p' "$module/go.mod")
[ -n "$version" ] || { echo "no version of Kubo in $module/go.mod" >&2; exit 1; }

folder=${EMRCHAIN_CACHE:-$HOME/.cache/emrchain}/kubo-$version
binary=$folder/ipfs

if [ ! -x "$binary" ]; then
  mkdir -p "$folder"
  unfinished=$folder/ipfs.$$
  trap 'rm -f "$unfinished"' EXIT
  CGO_ENABLED=0 go build -C "$module" -mod=readonly -trimpath -buildvcs=false -o "$unfinished" github.com/ipfs/kubo/cmd/ipfs >&2
  "$unfinished" version >&2
  mv "$unfinished" "$binary"
fi

echo "$binary"
