#!/usr/bin/env bash
# Runs every fuzz target for a while, each from the corpus that is kept for it:
#
#   hack/fuzz.sh 10s          one after the other, guided by what code an input reaches
#   hack/fuzz.sh short 1000x  as many at once as there are cores, without that
#
# The guided round needs binaries that count what they reach, for which every
# library is compiled once more: some minutes on two cores, once. The short round
# uses what the tests were compiled from. What a target finds stays under its
# package's testdata/fuzz, where go test picks it up from then on.
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

short=
if [[ ${1:-} == short ]]; then
  short=short
  shift
fi
fuzztime=${1:-10s}
targets=$(grep -rnoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' --exclude-dir=drift api cmd controllers internal test |
  sed -E 's,^(.*)/[^/]*:[0-9]+:func (Fuzz.*)$,\1 \2,' | LC_ALL=C sort || true)
if [[ -z $targets ]]; then
  say "there are no fuzz targets"
  exit 0
fi
packages=$(cut -d ' ' -f 1 <<<"$targets" | uniq)

# binary PACKAGE names the test binary of a package.
binary() {
  echo "$PWD/bin/fuzz/${short:-guided}/${1//\//.}.test"
}

# fuzz PACKAGE TARGET runs one target, says in a line how it went, and shows what it printed if it failed.
fuzz() {
  local package=$1 target=$2 binary log status=0 start=$SECONDS
  binary=$(binary "$package")
  log=$(mktemp)
  mkdir -p bin/fuzz/cache
  local cache=$PWD/bin/fuzz/cache/${package//\//.}
  local flags=(-test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$fuzztime" -test.fuzzminimizetime 10x -test.fuzzcachedir "$cache")
  if [[ -n $short ]]; then
    flags+=(-test.parallel 1)
  fi
  (cd "$package" && "$binary" "${flags[@]}") </dev/null >"$log" 2>&1 || status=$?
  # When its time is up, Go now and then takes that for a failure of the target: https://go.dev/issue/75804.
  if grep -q '^    context deadline exceeded$' "$log" && ! grep -q 'Failing input' "$log"; then
    status=0
  fi
  printf '    %-28s %-24s %9s inputs in %d s: %s\n' "$package" "$target" \
    "$(grep -oE 'execs: [0-9]+' "$log" | tail -n 1 | cut -d ' ' -f 2)" $((SECONDS - start)) \
    "$( ((status == 0)) && echo ok || echo FAILED)"
  if ((status != 0)); then
    tail -n 60 "$log"
  fi
  rm -f "$log"
  return "$status"
}

# compile_all builds the binaries of all packages. One command makes as many as have different last names, and is as fast as it would be for one.
compile_all() {
  local rest=$packages batch package made=bin/fuzz/made
  while [[ -n $rest ]]; do
    batch=$(awk -F/ '!seen[$NF]++' <<<"$rest")
    rest=$(awk -F/ 'seen[$NF]++' <<<"$rest")
    # shellcheck disable=SC2046,SC2086  # one word for each package
    go test -c -vet=off -ldflags '-s -w' -o "$made/" $(printf './%s ' $batch)
    while read -r package; do
      mv "$made/$(basename "$package").test" "$(binary "$package")"
    done <<<"$batch"
  done
}

mkdir -p "bin/fuzz/${short:-guided}"
if [[ -n $short ]]; then
  say "compiling the fuzz targets"
  compile_all
fi

failed=0
if [[ -n $short ]]; then
  export short fuzztime
  export -f fuzz binary
  cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
  say "each fuzz target for $fuzztime"
  # xargs goes on after a target that failed, and fails in the end.
  xargs -P "$cores" -n 2 bash -c 'fuzz "$1" "$2"' fuzz <<<"$targets" || failed=1
else
  last=
  while read -r package target; do
    if [[ $package != "$last" ]]; then
      say "compiling $package"
      watched "$package" go test -c -vet=off -fuzz=. -o "$(binary "$package")" "./$package"
      last=$package
    fi
    fuzz "$package" "$target" || failed=1
  done <<<"$targets"
fi
echo "$(wc -l <<<"$targets" | tr -d ' ') fuzz targets$( ((failed == 0)) && echo ", none failed" || echo ": some FAILED")"
((failed == 0))
