#!/usr/bin/env bash
# Runs one step of a longer run: hack/step.sh NAME COMMAND...
# It says what begins, every fifteen seconds that it still goes on, and how long it
# took.
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

name=$1
shift
say "$name"
status=0
watched "$name" "$@" || status=$?
if ((status == 0)); then
  printf '    %s: ok in %d s\n' "$name" "$SECONDS"
else
  printf '    %s: FAILED after %d s\n' "$name" "$SECONDS"
fi
exit "$status"
