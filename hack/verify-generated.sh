#!/usr/bin/env bash
# Generates everything again and fails if that changed a file: then what is
# checked in was not made from its source. The fresh files stay, to be committed.
set -euo pipefail
cd "$(dirname "$0")/.."

snapshot() {
  local files
  files=$(find THIRD_PARTY_LICENSES.md api charts config docs internal/argocd internal/rollouts -type f 2>/dev/null | LC_ALL=C sort)
  paste -d ' ' <(git hash-object --stdin-paths <<<"$files") - <<<"$files"
}

before=$(snapshot)
make --no-print-directory generate
if ! changes=$(diff <(echo "$before") <(snapshot)); then
  echo "these generated files were out of date; commit them as they are now:"
  sed -nE 's/^[<>] [0-9a-f]+ /    /p' <<<"$changes" | sort -u
  exit 1
fi
