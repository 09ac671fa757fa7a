#!/usr/bin/env bash
# Finds the programs of a PostgreSQL server, which tests start on a directory of
# their own, and prints the folder they are in:
#
#   PG_BIN=$(hack/postgres.sh) go test ./internal/sink/postgres/...
#
# It looks at PG_BIN, the folders of the distributions and PATH. Where there is
# none it installs Debian's package, if it may. No server is set up or started.
#
#   PG_BIN=DIR   where initdb, pg_ctl, postgres and psql are, instead of looking
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

programs=(initdb pg_ctl postgres psql)

complete() {
  local program
  for program in "${programs[@]}"; do
    [[ -x $1/$program ]] || return 1
  done
}

# folders lists where to look, the newest release of each place first.
folders() {
  local place initdb
  for place in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
    [[ -d $place ]] && printf '%s\n' "$place"
  done | sort -rV
  if initdb=$(command -v initdb); then
    dirname "$(readlink -f "$initdb")"
    dirname "$initdb"
  fi
}

find_programs() {
  local folder
  while read -r folder; do
    if complete "$folder"; then
      printf '%s\n' "$folder"
      return
    fi
  done < <(folders)
  return 1
}

# package takes the distribution's package. The package would set up a server of
# its own and start it, unless it is told not to before it comes.
# shellcheck disable=SC2317  # watched calls it
package() {
  local settings=/etc/postgresql-common/createcluster.conf
  if [[ ! -e $settings ]]; then
    mkdir -p "${settings%/*}"
    echo 'create_main_cluster = false' >"$settings"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql
}

if [[ -n ${PG_BIN:-} ]]; then
  if complete "$PG_BIN"; then
    printf '%s\n' "$PG_BIN"
    exit 0
  fi
  say "PG_BIN is $PG_BIN, which lacks one of: ${programs[*]}" >&2
  exit 1
fi
find_programs && exit 0
if command -v apt-get >/dev/null && ((EUID == 0)); then
  say "no PostgreSQL server on this machine: installing the distribution's package" >&2
  if watched postgresql package >&2 && find_programs; then
    exit 0
  fi
  say "the package postgresql could not be installed, or lacks one of: ${programs[*]}" >&2
else
  say "no PostgreSQL server on this machine" >&2
fi
cat >&2 <<'END'
    Install it with the system's package manager, such as
      sudo apt-get install --no-install-recommends postgresql
      sudo dnf install postgresql-server
      brew install postgresql@17
    or name the folder of its programs in PG_BIN.
END
exit 1
