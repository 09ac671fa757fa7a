#!/usr/bin/env bash
# Builds what a release has of binaries into a folder: hack/dist.sh FOLDER VERSION
#
#   dora-controller_OS_ARCH.tar.gz   linux and darwin, amd64 and arm64
#   kubectl-dora_OS_ARCH.tar.gz      the same, and a .zip for windows
#   third-party-licences.txt         the texts that have to go with them, in each archive too
#   dora.yaml                        the plugin's manifest for krew-index
#   checksums.txt                    SHA-256 of all of them
#
# The same commit gives the same bytes on any machine: nothing in an archive tells
# who made it, where or when. (GNU tar and zip are needed.)
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

if [[ -z $(type -P zip) ]]; then
  say "zip is missing, which makes the archive for windows: install it" >&2
  exit 1
fi
out=$1 version=$2
modified=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# archive COMMAND OS ARCH builds a command and packs it with the licences.
archive() {
  local command=$1 os=$2 arch=$3 folder=$work/$1_$2_$3 binary=$1
  [[ $os == windows ]] && binary+=.exe
  mkdir -p "$folder"
  GOOS=$os GOARCH=$arch CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace \
    -ldflags "-s -w -buildid= -X main.version=$version" -o "$folder/$binary" "./cmd/$command"
  cp LICENSE THIRD_PARTY_LICENSES.md "$out/third-party-licences.txt" "$folder/"
  chmod 644 "$folder"/*
  chmod 755 "$folder/$binary"
  TZ=UTC touch -d "@$modified" "$folder"/*
  if [[ $os == windows ]]; then
    (cd "$folder" && TZ=UTC zip -X -q - LICENSE THIRD_PARTY_LICENSES.md third-party-licences.txt "$binary") >"$out/$(basename "$folder").zip"
    return
  fi
  tar -C "$folder" --sort=name --mtime="@$modified" --owner=0 --group=0 --numeric-owner --format=ustar -cf - . |
    gzip -n -9 >"$out/$(basename "$folder").tar.gz"
}

hack/tool.sh licences
bin/licences -texts ./cmd/... >"$out/third-party-licences.txt"

for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
  for command in dora-controller kubectl-dora; do
    archive "$command" "${platform%/*}" "${platform#*/}"
  done
done
archive kubectl-dora windows amd64

# manifest fills the version and the sums of the archives into the plugin's manifest.
manifest() {
  local text file name
  text=$(<hack/krew/dora.yaml)
  text=${text//VERSION/$version}
  for file in "$out"/kubectl-dora_*; do
    name=$(basename "${file%%.*}")
    name=SHA256_${name#kubectl-dora_}
    text=${text//${name^^}/$(sha256sum "$file" | cut -d ' ' -f 1)}
  done
  grep -v '^#' <<<"$text"
}
manifest >"$out/dora.yaml"
if grep -E 'VERSION|SHA256_' "$out/dora.yaml" >&2; then
  say "the plugin's manifest has a place that nothing was put in, see above" >&2
  exit 1
fi

(cd "$out" && sha256sum -- * >"$work/checksums.txt" && mv "$work/checksums.txt" .)
