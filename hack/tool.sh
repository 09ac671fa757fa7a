#!/usr/bin/env bash
# Builds pinned tools from Go modules, each once per version:
#
#   hack/tool.sh golangci-lint controller-gen
#
# Every tool's version is the one its module under hack/tools requires. The
# binaries go to bin/ (the control plane's to bin/envtest/); a tool whose module
# and Go toolchain are unchanged since it was built is left alone. With --check
# nothing is built; the exit code tells whether all of them are there.
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

# place TOOL sets: module (folder under hack/tools), package, owner (the Go
# module that carries the tool's version), output and ldflags.
place() {
  ldflags='' output=bin/$1
  case $1 in
    kube-apiserver | kubectl | kube-controller-manager | kube-scheduler)
      module=kubernetes owner=k8s.io/kubernetes package=$owner/cmd/$1 output=bin/envtest/$1
      # Otherwise the server calls itself v0.0.0 and clients distrust it.
      ldflags="-X k8s.io/component-base/version.gitVersion=$(version_of)"
      ;;
    etcd) module=etcd owner=go.etcd.io/etcd/server/v3 package=$owner output=bin/envtest/$1 ;;
    kwok) module=$1 owner=sigs.k8s.io/kwok package=$owner/cmd/$1 output=bin/e2e/$1 ;;
    argo-cd)
      module=$1 owner=github.com/argoproj/argo-cd/v2 package=$owner/cmd output=bin/e2e/argocd
      # Otherwise it calls itself 99.99.99.
      ldflags="-X $owner/common.version=$(version_of)"
      ;;
    argo-rollouts)
      module=$1 owner=github.com/argoproj/argo-rollouts package=$owner/cmd/rollouts-controller output=bin/e2e/rollouts-controller
      ;;
    kubectl-argo-rollouts) module=argo-rollouts owner=github.com/argoproj/argo-rollouts package=$owner/cmd/$1 output=bin/e2e/$1 ;;
    setup-envtest) module=$1 owner=sigs.k8s.io/controller-runtime/tools/setup-envtest package=$owner ;;
    controller-gen) module=$1 owner=sigs.k8s.io/controller-tools package=$owner/cmd/controller-gen ;;
    golangci-lint) module=$1 owner=github.com/golangci/golangci-lint/v2 package=$owner/cmd/golangci-lint ;;
    helm)
      module=$1 owner=helm.sh/helm/v3 package=$owner/cmd/$1
      # Otherwise it calls itself v3.22 and takes the cluster of `helm template` for Kubernetes 1.20.
      ldflags="-X $owner/internal/version.version=$(version_of)"
      ldflags+=" -X $owner/pkg/chartutil.k8sVersionMajor=1 -X $owner/pkg/chartutil.k8sVersionMinor=$(kubernetes_minor)"
      ldflags+=" -X $owner/pkg/lint/rules.k8sVersionMajor=1 -X $owner/pkg/lint/rules.k8sVersionMinor=$(kubernetes_minor)"
      ;;
    helm-docs) module=$1 owner=github.com/norwoodj/helm-docs package=$owner/cmd/$1 ;;
    kustomize) module=$1 owner=sigs.k8s.io/kustomize/kustomize/v5 package=$owner ;;
    promrules) module=$1 owner=github.com/prometheus/prometheus package=. ;;
    dockerlint) module=$1 owner=github.com/moby/buildkit package=. ;;
    actionlint) module=$1 owner=github.com/rhysd/actionlint package=$owner/cmd/$1 ;;
    govulncheck) module=$1 owner=golang.org/x/vuln package=$owner/cmd/$1 ;;
    licences) module=$1 owner=github.com/google/licensecheck package=. ;;
    syft)
      module=$1 owner=github.com/anchore/syft package=$owner/cmd/$1
      # Otherwise its SBOMs do not say what made them.
      ldflags="-X main.version=$(version_of)"
      ;;
    *) say "hack/tool.sh knows no tool $1" >&2 && exit 2 ;;
  esac
}

version_of() { awk -v m="$owner" '{ sub(/^require /, "") } $1 == m { print $2 }' "hack/tools/$module/go.mod"; }

# kubernetes_minor is that of the tests' control plane.
kubernetes_minor() { sed -nE 's,^[[:space:]]*k8s.io/kubernetes v1\.([0-9]+)\..*,\1,p' hack/tools/kubernetes/go.mod; }

# fingerprint changes when the tool has to be built again.
fingerprint() { { go version && cat "hack/tools/$module"/*; } | git hash-object --stdin; }

check=false
if [[ ${1:-} == --check ]]; then
  check=true
  shift
fi

for tool in "$@"; do
  place "$tool"
  stamp=bin/.stamps/$tool want=$(fingerprint)
  if [[ -x $output && -f $stamp && $(<"$stamp") == "$want" ]]; then
    continue
  fi
  if $check; then
    exit 1
  fi
  say "building $tool $(version_of) from its Go module (once; it takes a while on a cold cache)"
  root=$PWD
  (cd "hack/tools/$module" && compile "$root/$output" "$package" "$ldflags")
  mkdir -p bin/.stamps
  echo "$want" >"$stamp"
done
