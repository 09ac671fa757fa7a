#!/usr/bin/env bash
# Gets everything that a stand needs (test/e2e/stand): the control plane with the
# parts that run pods, KWOK, Argo CD, Argo Rollouts, helm and kustomize as Argo CD
# calls them, the CRDs of both, Argo CD's catalogue of notifications, and Redis.
# All but Redis and git is built from Go modules, once: some twenty minutes on two
# cores with an empty cache.
#
#   hack/e2e.sh          get what is missing
#   hack/e2e.sh --ready  only tell, by the exit code, whether all that takes long is there
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

tools=(kube-controller-manager kube-scheduler kwok argo-rollouts kubectl-argo-rollouts argo-cd helm kustomize)
crds=$PWD/bin/e2e/crds
catalog=$PWD/bin/e2e/notifications-catalog.yaml

if [[ ${1:-} == --ready ]]; then
  [[ -d $crds && -f $catalog && -x bin/envtest/kube-apiserver && -x bin/envtest/etcd && -x bin/envtest/kubectl ]] &&
    hack/tool.sh --check "${tools[@]}"
  exit
fi

hack/envtest.sh
hack/tool.sh "${tools[@]}"

# module_crds MODULE_FOLDER MODULE copies a module's CRDs out of the sources that the tool was built from.
module_crds() {
  local dir
  (cd "hack/tools/$1" && go mod download "$2")
  dir=$(cd "hack/tools/$1" && go list -m -f '{{.Dir}}' "$2")
  find "$dir/manifests/crds" -name '*-crd.yaml' -exec install -m 644 {} "$crds/" \;
}
mkdir -p "$crds"
module_crds argo-cd github.com/argoproj/argo-cd/v2
module_crds argo-rollouts github.com/argoproj/argo-rollouts
install -m 644 "$(cd hack/tools/argo-cd && go list -m -f '{{.Dir}}' github.com/argoproj/argo-cd/v2)/notifications_catalog/install.yaml" "$catalog"

if ! command -v redis-server >/dev/null; then
  if command -v apt-get >/dev/null && ((EUID == 0)); then
    say "installing the distribution's Redis"
    export DEBIAN_FRONTEND=noninteractive
    watched redis apt-get update -qq
    watched redis apt-get install -y -qq --no-install-recommends redis-server
  else
    say "no redis-server on this machine: install the system's package" >&2
    exit 1
  fi
fi
