#!/usr/bin/env bash
# Runs every fuzz target for a while, one after the other: hack/fuzz.sh 10s
# What a target finds stays under its package's testdata/fuzz, where go test picks
# it up from then on.
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

fuzztime=${1:-10s}
targets=$(grep -rnoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' --exclude-dir=drift api cmd controllers internal test |
  sed -E 's,^(.*)/[^/]*:[0-9]+:func (Fuzz.*)$,./\1 \2,' | LC_ALL=C sort || true)
if [[ -z $targets ]]; then
  say "there are no fuzz targets"
  exit 0
fi

failed=0
while read -r package target; do
  say "$target in $package for $fuzztime"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" -fuzzminimizetime 10x "$package" </dev/null || failed=$((failed + 1))
done <<<"$targets"
echo "$(wc -l <<<"$targets" | tr -d ' ') fuzz targets, $failed failed"
((failed == 0))
