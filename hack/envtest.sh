#!/usr/bin/env bash
# Puts a real control plane for tests into bin/envtest: kube-apiserver, etcd and
# kubectl. Where the releases of setup-envtest can be reached they are the fast
# way; everywhere else the same programs are built from their Go modules.
#
#   ENVTEST_FROM=auto|release|modules   which way to take (default: auto)
#   ENVTEST_INDEX=URL                   another index of releases than the public one
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

from=${ENVTEST_FROM:-auto}
index=${ENVTEST_INDEX:-https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml}
stamp=bin/envtest/.stamp
want=$(cat hack/tools/kubernetes/go.mod hack/tools/etcd/go.mod | git hash-object --stdin)

ready() {
  [[ -x bin/envtest/kube-apiserver && -x bin/envtest/etcd && -x bin/envtest/kubectl && -f $stamp && $(<"$stamp") == "$want" ]]
}

# reachable tells within three seconds whether the index's host answers.
reachable() {
  local host=${index#*://}
  host=${host%%/*}
  local port=443
  [[ $index == http://* ]] && port=80
  [[ $host == *:* ]] && port=${host##*:} host=${host%%:*}
  within 3 bash -c "exec 3<>/dev/tcp/$host/$port" 2>/dev/null
}

# release downloads the newest patch of the minor version that the Go modules
# are pinned to; setup-envtest checks it against the index's checksum.
release() {
  local minor dir
  minor=$(sed -nE 's,^[[:space:]]*k8s.io/kubernetes v([0-9]+\.[0-9]+)\..*,\1,p' hack/tools/kubernetes/go.mod)
  hack/tool.sh setup-envtest
  say "downloading the Kubernetes $minor control plane (at most 3 minutes)"
  dir=$(watched download within 180 bin/setup-envtest use "$minor.x" --index "$index" --bin-dir "$PWD/bin/envtest-releases" --print path) || return 1
  mkdir -p bin/envtest
  install -m 755 "$dir/kube-apiserver" "$dir/etcd" "$dir/kubectl" bin/envtest/
}

if ready; then
  exit 0
fi
if [[ $from != modules ]] && { [[ $from == release ]] || reachable; } && release; then
  say "control plane downloaded to bin/envtest"
elif [[ $from == release ]]; then
  say "cannot download the control plane" >&2
  exit 1
else
  say "releases are out of reach: building the control plane from Go modules (about 5 minutes on two cores, once)"
  hack/tool.sh etcd kube-apiserver kubectl
fi
echo "$want" >"$stamp"
say "control plane ready in bin/envtest"
