# Every command of the project. `make` alone lists them; only Go, make, git and
# bash have to be there. All tools are built at the versions that the modules under
# hack/tools require and kept in bin/.

SHELL := bash

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE     ?= dora-controller:$(VERSION)
# What to test, and with which further flags: make test-go PKG=./internal/... TESTFLAGS=-run=Story
PKG       ?= ./...
TESTFLAGS ?=
BENCHTIME ?= 1s
FUZZTIME  ?= 10s
FUZZSHORT ?= 1000x
KILLS     ?= 1000
SEEDS     ?= 5
DURATION  ?= 30m

# The tests' control plane; envtest finds it here.
export KUBEBUILDER_ASSETS := $(CURDIR)/bin/envtest

STEP := hack/step.sh

.DEFAULT_GOAL := help
.PHONY: help build test check test-go test-race fmt fmt-check vet lint dockerlint generate verify \
        envtest crds chart chart-tools postgres demo bench fuzz fuzz-short drift image tools clean \
        e2e e2e-tools e2e-random e2e-up compare crash load chaos soak \
        actionlint vulncheck reproducible dist sbom

##@ Everyday

help: ## List these commands
	@awk 'BEGIN { FS = ":.*## "; print "make <command>" } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Without the tag gRPC has pages for debugging, which nobody can reach here: their templates would keep the linker from leaving out what is not called.
build: ## Build the static binaries into bin/
	@mkdir -p bin
	@CGO_ENABLED=0 $(STEP) build go build -trimpath -buildvcs=false -tags grpcnotrace -ldflags "-s -w -buildid= -X main.version=$(VERSION)" -o bin/ ./cmd/...

# The checks do not keep the tests from running, so that one run shows all there is.
test: ## Run everything: checks, then all tests on a real API server
	@$(MAKE) --no-print-directory --keep-going check test-go fuzz-short

demo: build envtest crds ## Watch it work, on a control plane of its own
	bin/dora-demo --crds bin/crds $(ARGS)

.PHONY: record
record: build ## Record what happens in the current cluster, for a bug report (ARGS)
	bin/dora-controller record $(ARGS)

clean: ## Remove all that was built, tools included
	rm -rf bin

##@ Tests

# With them goes a short proof beside the real Argo CD, where its programs are there: they take twenty minutes to build.
test-go: build envtest crds postgres chart-tools ## Run the Go tests (PKG, TESTFLAGS)
	@$(STEP) testreport go build -o bin/testreport ./hack/testreport
	@echo "==> go test $(PKG)"
	@set -o pipefail; { \
		go test -json -timeout 20m $(TESTFLAGS) $(PKG); \
		if [[ "$(PKG)" != ./... ]]; then :; \
		elif [[ "$(TESTFLAGS)" == *-run* ]]; then :; \
		elif ! hack/e2e.sh --ready; then \
			echo "==> NOT RUN: stories beside the real Argo CD and Argo Rollouts, whose programs are not all here (make e2e-tools)" >&2; \
		elif ! hack/e2e.sh >&2; then \
			echo "==> NOT RUN: stories beside the real Argo CD and Argo Rollouts, because of the error above" >&2; \
		else \
			echo "==> and a few stories beside the real Argo CD and Argo Rollouts" >&2; \
			go test -json -tags e2e -timeout 10m $(TESTFLAGS) -run '^TestShort$$' ./test/e2e; \
		fi; \
	} | bin/testreport

# Apart from `test`: it needs a C compiler and takes several times as long.
test-race: ## Run the Go tests with the race detector
	@$(MAKE) --no-print-directory test-go TESTFLAGS="-race $(TESTFLAGS)"

bench: envtest crds postgres ## Measure, and print the aims beside it; half an hour (BENCHTIME, ROW)
	@$(STEP) benchtable go build -o bin/benchtable ./hack/benchtable
	@bin/benchtable -benchtime $(BENCHTIME) -row "$(value ROW)"

e2e-tools: ## Get what runs beside the controller in e2e: Argo CD, Argo Rollouts, KWOK, Redis; some twenty minutes, once
	@hack/e2e.sh

# How the stories are told: so many at a time, since they mostly wait.
E2E := go test -tags e2e -count 1 -v -timeout 180m -parallel 12

e2e: build e2e-tools postgres ## Tell every story beside the real Argo CD and Argo Rollouts; half an hour (STORIES)
	@$(E2E) -run '$(or $(value STORIES),^Test(Stories|Disturbed|Fleet|TwoArgoCDs)$$)' ./test/e2e

e2e-random: build e2e-tools postgres ## Make stories up and kill what is in their way (E2E_SEED, E2E_SEEDS, E2E_STEPS, E2E_AT_ONCE)
	@$(E2E) -run '^TestRandom$$' ./test/e2e

compare: build e2e-tools postgres ## Count what Argo CD's notifications tell of the same stories, in bin/e2e/compare.md; half an hour
	@E2E_COMPARE=$(CURDIR)/bin/e2e/compare.md $(E2E) -run '^Test(Counted|Compare)$$' ./test/e2e

e2e-up: build e2e-tools ## Keep a cluster with all that up, to look around or to write stories
	@go build -o bin/e2e/up ./test/e2e/up && exec bin/e2e/up

crash: ## Kill a process that delivers, and count what is lost (KILLS)
	@DELIVERY_KILLS=$(KILLS) go test -run '^TestKilled$$' -v -count 1 -timeout 60m ./test/delivery

load: envtest ## Report five hundred times a second for a minute, and kill the controller meanwhile (RECEIVE_SECONDS)
	@RECEIVE_SECONDS=$(or $(RECEIVE_SECONDS),60) go test -run '^TestKilledWhileItReceives$$' -v -count 1 -timeout 60m ./test/receiving

chaos: envtest crds postgres ## Break what stands around the controller, and the controller, by seeds (SEEDS, CHAOS_SEED, CHAOS_ROUNDS)
	@CHAOS_SEED=$${CHAOS_SEED:-$$RANDOM} CHAOS_SEEDS=$(SEEDS) CHAOS_ROUNDS=$(or $(CHAOS_ROUNDS),7) \
		go test -run '^Test(Chaos|HandOver)$$' -v -count 1 -timeout 600m ./test/chaos

soak: envtest crds postgres ## Deploy without end, with a ledger of each kind, and look whether memory stays as it is (DURATION)
	@SOAK=$(DURATION) go test -tags soak -run '^TestSoak$$' -v -count 1 -timeout 600m ./test/chaos

fuzz: ## Run each fuzz target for a while, guided by coverage (FUZZTIME)
	@hack/fuzz.sh $(FUZZTIME)

fuzz-short: ## Run each fuzz target for a moment, all cores at once (FUZZSHORT)
	@hack/fuzz.sh short $(FUZZSHORT)

# Apart from `test`: a module of its own, whose libraries take about four minutes to build the first time.
drift: ## Compare our reading of Argo's objects with Argo's own types; not in `test`
	@$(STEP) drift go -C test/drift test ./...

##@ Checks

check: fmt-check vet lint dockerlint actionlint chart verify ## Run all checks without the tests

fmt: ## Format the code
	@hack/tool.sh golangci-lint
	@bin/golangci-lint fmt

fmt-check:
	@hack/tool.sh golangci-lint
	@$(STEP) format bin/golangci-lint fmt --diff

vet:
	@$(STEP) vet go vet ./...

lint: ## Lint the code
	@hack/tool.sh golangci-lint
	@bin/golangci-lint config verify
	@$(STEP) lint bin/golangci-lint run

dockerlint: ## Lint the Dockerfile
	@hack/tool.sh dockerlint
	@$(STEP) dockerlint bin/dockerlint Dockerfile

actionlint: ## Lint the workflows
	@hack/tool.sh actionlint
	@$(STEP) actionlint bin/actionlint -shellcheck= -pyflakes=

verify: ## Check that what is generated is up to date
	@$(STEP) verify hack/verify-generated.sh

##@ Generated code and tools

generate: ## Generate deepcopy code, CRDs, RBAC and the chart's part of them
	@hack/tool.sh controller-gen
	@bin/controller-gen object:headerFile=hack/boilerplate.go.txt crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	@bin/controller-gen object:headerFile=hack/boilerplate.go.txt paths=./internal/argocd/... paths=./internal/rollouts/...
	@bin/controller-gen rbac:roleName=dora-controller paths=./controllers/... output:rbac:artifacts:config=config/rbac
	@hack/tool.sh helm-docs
	@mkdir -p charts/dora-controller/files/crds && cp config/crd/bases/*.yaml charts/dora-controller/files/crds/
	@bin/helm-docs --chart-search-root charts --template-files README.md.gotmpl --sort-values-order file --log-level warning
	@hack/tool.sh licences
	@bin/licences ./cmd/... >bin/licences.md && cp bin/licences.md THIRD_PARTY_LICENSES.md

envtest: ## Get the tests' control plane: kube-apiserver, etcd, kubectl
	@hack/envtest.sh

crds:
	@hack/argo-crds.sh

chart-tools:
	@hack/tool.sh helm kustomize promrules

postgres: ## Find the tests' PostgreSQL server; install the system's package where that can be done
	@hack/postgres.sh >/dev/null

tools: envtest crds postgres chart-tools ## Get all tools ahead of time
	@hack/tool.sh golangci-lint controller-gen dockerlint helm-docs actionlint licences

chart: ## Lint the Helm chart and package it into bin/
	@hack/tool.sh helm
	@$(STEP) chart bin/helm lint --strict --quiet charts/dora-controller
	@bin/helm package --destination bin charts/dora-controller

##@ Releases

image: ## Build the container image, the same one from the same commit
	docker buildx build --build-arg VERSION=$(VERSION) --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		--output type=docker,name=$(IMAGE),rewrite-timestamp=true .

dist: ## Build what a release has of binaries into bin/dist, with checksums
	@$(STEP) dist hack/dist.sh bin/dist $(VERSION)

sbom: build ## List what is in the binaries, as CycloneDX and SPDX, into bin/sbom; builds syft, some minutes once
	@hack/sbom.sh bin/sbom $(VERSION)

# Apart from `test`: each takes some minutes, and the second asks vuln.go.dev.
reproducible: ## Build the binaries twice, in two places, and compare them
	@$(STEP) reproducible hack/reproducible.sh

vulncheck: ## Look for known vulnerabilities that the code reaches; needs vuln.go.dev
	@hack/vulncheck.sh
