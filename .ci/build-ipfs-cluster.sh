#!/bin/sh
# Builds IPFS Cluster, which the tests run over three Kubo daemons, once, and prints the path of `ipfs-cluster-service` as
# the only line on stdout; `ipfs-cluster-ctl` lies beside it. Needs Go and its module proxy. The version is the one that
# .ci/ipfs-cluster/go.mod pins: a module that only wraps the two commands.
set -eu

module=$(CDPATH= cd -- "$(dirname -- "$0")/ipfs-cluster" && pwd)
version=$(sed -n 's|^[[:space:]]*\(require \)\{0,1\}github.com/ipfs-cluster/ipfs-cluster v\([^ ]*\).*|\2|p' "$module/go.mod")
[ -n "$version" ] || { echo "no version of IPFS Cluster in $module/go.mod" >&2; exit 1; }

folder=${EMRCHAIN_CACHE:-$HOME/.cache/emrchain}/ipfs-cluster-$version
service=$folder/ipfs-cluster-service

for command in ipfs-cluster-ctl ipfs-cluster-service; do
  [ ! -x "$folder/$command" ] || continue
  mkdir -p "$folder"
  unfinished=$folder/$command.$$
  trap 'rm -f "$unfinished"' EXIT
  CGO_ENABLED=0 go build -C "$module" -mod=readonly -trimpath -buildvcs=false -o "$unfinished" \
    "github.com/ipfs-cluster/ipfs-cluster/cmd/$command" >&2
  "$unfinished" --version >&2
  mv "$unfinished" "$folder/$command"
done

echo "$service"
