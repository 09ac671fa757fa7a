#!/usr/bin/env bash
# Copies the CRDs of Argo CD's Application and Argo Rollouts' Rollout into
# bin/crds, out of the very modules that go.mod requires, so that tests meet the
# schemas of the versions we build with and none of their files are kept here.
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

copy() {
  local module=$1 dir
  shift
  dir=$(go list -m -f '{{.Dir}}' "$module")
  if [[ -z $dir ]]; then
    say "downloading $module for its CRDs (once)"
    watched "$module" go mod download "$module"
    dir=$(go list -m -f '{{.Dir}}' "$module")
  fi
  (cd "$dir/manifests/crds" && install -m 644 "$@" "$crds/")
}

crds=$PWD/bin/crds
mkdir -p "$crds"
copy github.com/argoproj/argo-cd/v2 application-crd.yaml
copy github.com/argoproj/argo-rollouts rollout-crd.yaml
