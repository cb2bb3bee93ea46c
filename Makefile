# Postroad. The two commands to know: `make run` and `make test`.

GO      ?= go
BIN     := bin
TOOLS   := $(BIN)/tools
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -X main.version=$(VERSION)

# Static binaries; and one build cache for building, testing and vetting alike.
export CGO_ENABLED = 0

# The end-to-end folders start real processes; the race run covers the rest.
UNIT = $(shell $(GO) list ./... | grep -v -e /deploy/e2e -e /deploy/bench)

.PHONY: all build run test unit race lint vuln proto proto-check proto-release bench cover fuzz nightly clean deb image

all: build

build: ## bin/postroad and bin/postroadctl, static
	$(GO) build -ldflags "$(LDFLAGS)" -o $(BIN)/ ./cmd/postroad ./cmd/postroadctl

run: build ## a cluster on this machine, until Ctrl-C; data in ./data
	$(BIN)/postroad up --data data

test: build $(TOOLS)/grpcurl ## every test; installs the Debian peers that the end-to-end folders need
	deploy/e2e/peers.sh
	$(GO) test -timeout 20m ./...

unit: ## tests that need no other program
	$(GO) test -timeout 10m $(UNIT)

race: ## the unit tests under the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 20m $(UNIT)

lint: $(TOOLS)/staticcheck proto-check ## gofmt, vet, staticcheck, schemas
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-clean:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(TOOLS)/staticcheck ./...

vuln: $(TOOLS)/govulncheck ## known vulnerabilities; needs the vulnerability database, so not part of lint
	$(TOOLS)/govulncheck ./...

proto: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc ## regenerate the code of the schemas
	PATH=$(CURDIR)/$(TOOLS):$$PATH $(TOOLS)/buf generate

proto-check: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc ## schemas clean, compatible, generated code current
	$(TOOLS)/buf lint
	$(TOOLS)/buf breaking --against proto/released.binpb
	PATH=$(CURDIR)/$(TOOLS):$$PATH $(TOOLS)/buf generate -o $(TOOLS)/_generated
	@diff -r -x '*.proto' -x tools -x released.binpb proto $(TOOLS)/_generated/proto || \
		{ echo "generated code is stale: run 'make proto' and commit"; exit 1; }

proto-release: $(TOOLS)/buf ## freeze the schemas of a release, the base of the breaking check
	$(TOOLS)/buf build -o proto/released.binpb

$(TOOLS)/%: proto/tools/go.mod proto/tools/go.sum
	cd proto/tools && $(GO) build -o $(CURDIR)/$(TOOLS)/ $$($(GO) list tool | grep '/$*$$')

deb: build ## bin/postroad_VERSION_ARCH.deb, with units for systemd
	deploy/debian/build.sh $(VERSION) $(BIN)

IMAGE ?= postroad:$(VERSION)
ROOTS ?= /etc/ssl/certs/ca-certificates.crt
image: build ## a container image of the static binary; needs a container engine
	install -D -t $(BIN)/image $(BIN)/postroad $(BIN)/postroadctl
	install -m 644 $(ROOTS) $(BIN)/image/ca-certificates.crt
	docker build -f deploy/docker/Dockerfile -t $(IMAGE) $(BIN)/image

bench: build ## one node beside Postfix, in one run, with ratios; some ten minutes, see docs/benchmarks.md
	deploy/e2e/peers.sh
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 40m ./deploy/bench

cover: ## statement coverage of the unit tests
	$(GO) test -coverprofile $(BIN)/cover.out $(UNIT)
	$(GO) tool cover -func $(BIN)/cover.out | tail -1

SEEDS ?= 50000
KILLS ?= 5000
nightly: ## random worlds, and processes that are killed, many more than in test; a failing seed is in the text
	$(GO) test ./linkstate/sim ./node/topo/mailsim -timeout 0 -seeds $(SEEDS)
	$(GO) test ./store/spool -run TestKilledAgainAndAgain -timeout 0 -v -args -kills $(KILLS)
	$(GO) test ./store/spool -run 'EveryOperation' -timeout 0 -args -each

FUZZTIME ?= 20s
fuzz: ## every fuzz target for FUZZTIME each
	@for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; \
	done

clean:
	rm -rf $(BIN)
