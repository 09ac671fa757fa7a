#!/usr/bin/env bash
# Lists what is in the binaries of bin/, as their build information tells, in the
# forms of CycloneDX and SPDX: hack/sbom.sh FOLDER VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

out=$1 version=$2
hack/tool.sh syft
mkdir -p "$out"
for command in dora-controller kubectl-dora; do
  SYFT_CHECK_FOR_APP_UPDATE=false bin/syft scan "file:bin/$command" --quiet --source-name "$command" --source-version "$version" \
    -o "cyclonedx-json=$out/$command.cdx.json" -o "spdx-json=$out/$command.spdx.json"
  linked=$(go version -m "bin/$command" | grep -c '^[[:space:]]dep')
  listed=$(grep -o '"purl":"pkg:golang/[^"]*"' "$out/$command.cdx.json" | sort -u | wc -l)
  if ((listed < linked)); then
    say "$out/$command.cdx.json lists $listed modules, and $linked are linked" >&2
    exit 1
  fi
  say "$out/$command.cdx.json, .spdx.json: $listed modules"
done
