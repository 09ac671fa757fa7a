# Shared by the scripts in this folder; sourced, never run.
# shellcheck shell=bash

# say prints one line that stands out from what tools print.
say() { printf '==> %s\n' "$*"; }

# watched NAME COMMAND... runs a command and says every fifteen seconds that it
# still goes on.
watched() {
  local name=$1 start=$SECONDS ticker status=0
  shift
  while sleep 15 >/dev/null 2>&1; do printf '    %s: %d s\n' "$name" $((SECONDS - start)) >&2; done &
  ticker=$!
  "$@" || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  return "$status"
}

# compile OUTPUT PACKAGE LDFLAGS builds one static binary out of the module in
# the current directory. A cold build takes minutes, so it says every fifteen
# seconds how far it has come. What the compiler printed is shown on failure.
compile() {
  local output=$1 package=$2 ldflags=$3 name log fresh pid start next status=0
  name=$(basename "$output")
  log=$(mktemp)
  start=$SECONDS next=15
  mkdir -p "$(dirname "$output")"
  # Beside the output and moved into place, so that an interrupted build leaves
  # nothing that looks finished, nor do two at once.
  fresh=$output.$$.new
  CGO_ENABLED=0 go build -v -trimpath -ldflags "-s -w $ldflags" -o "$fresh" "$package" >"$log" 2>&1 &
  pid=$!
  # shellcheck disable=SC2064  # expand the process id now
  trap "kill $pid 2>/dev/null; rm -f '$log' '$fresh'; exit 130" INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - start >= next)); then
      printf '    %s: %d s, %d modules downloaded, %d packages compiled\n' "$name" $((SECONDS - start)) \
        "$(grep -c '^go: downloading' "$log")" "$(grep -vc '^go: ' "$log")"
      next=$((next + 15))
    fi
  done
  wait "$pid" || status=$?
  trap - INT TERM
  if ((status != 0)); then
    grep -v '^go: downloading' "$log" | tail -n 40 >&2
    say "$name did not build" >&2
    rm -f "$log"
    return "$status"
  fi
  mv -f "$fresh" "$output"
  rm -f "$log"
  printf '    %s: done in %d s\n' "$name" $((SECONDS - start))
}

# within SECONDS COMMAND... runs a command and ends it when the time is up.
# timeout(1) is not on every machine.
within() {
  local limit=$1 pid watchdog status=0
  shift
  "$@" &
  pid=$!
  (sleep "$limit" && kill "$pid") >/dev/null 2>&1 &
  watchdog=$!
  wait "$pid" 2>/dev/null || status=$?
  kill "$watchdog" 2>/dev/null || true
  wait "$watchdog" 2>/dev/null || true
  return "$status"
}
