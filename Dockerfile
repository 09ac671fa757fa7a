# Builds the same image from the same commit, on any machine: the compiler writes
# neither paths, build ids nor times, and SOURCE_DATE_EPOCH (see `make image`)
# settles the times of layers.
#
# Base images are pinned by tag here. A release asks the registries for the digests
# of these tags, builds from those, and names them in its notes.
ARG GO_IMAGE=golang:1.26.8-bookworm
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
ENV CGO_ENABLED=0 GOFLAGS=-mod=readonly GOCACHE=/cache/build GOMODCACHE=/cache/mod
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/cache/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN --mount=type=cache,target=/cache/mod --mount=type=cache,target=/cache/build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -tags grpcnotrace -ldflags "-s -w -buildid= -X main.version=$VERSION" \
      -o /dora-controller ./cmd/dora-controller
# The texts of the licences of what is linked, as these ask for.
RUN --mount=type=cache,target=/cache/mod --mount=type=cache,target=/cache/build \
    go -C hack/tools/licences build -o /usr/local/bin/licences . && \
    licences -texts ./cmd/dora-controller >/third-party-licences.txt

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.source=https://github.com/dora-controller/dora-controller \
      org.opencontainers.image.licenses=Apache-2.0
COPY LICENSE THIRD_PARTY_LICENSES.md /licenses/
COPY --from=build /third-party-licences.txt /licenses/
COPY --from=build /dora-controller /usr/local/bin/dora-controller
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/dora-controller"]
CMD ["run"]
