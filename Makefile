# The commands of this project. `make` alone lists them.

GO      ?= go
T       ?= 15s
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null)
DATE    ?= $(shell git show -s --format=%cI HEAD 2>/dev/null)

# Run from its module, so that nothing has to be installed. The first run compiles
# it (two minutes on two cores), later ones take seconds.
GOLANGCI := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := help
.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: vet lint unit ## go vet, linters, all tests that need no server

.PHONY: vet
vet: ## go vet, the tests with real servers included
	$(GO) vet ./...
	$(GO) vet -tags real,synctests,crashpoints ./...

.PHONY: lint
lint: ## golangci-lint by .golangci.yml
	$(GOLANGCI) run ./...

.PHONY: unit
unit: ## all tests that need no server
	$(GO) test -count=1 ./...

.PHONY: test-race
test-race: ## the same tests under the race detector
	$(GO) test -race -count=1 ./...

.PHONY: test-real
test-real: ## on real Apache Kafka and s2-lite (Java 17, Maven; s2 on PATH or S2_LITE_BIN)
	$(GO) test -tags real -count=1 -timeout 40m ./tests/real/... ./tests/readers
	$(GO) test -tags real -count=1 -timeout 15m ./tests/chaos -run Real

.PHONY: bench
bench: ## MiB/s and CPU seconds a GiB: reading, appending, the bridge
	$(GO) run ./tests/bench

.PHONY: demo
demo: ## watch exactly-once happen, in this terminal; nothing else needed
	$(GO) run ./cmd/bridge demo

# Proof. README, "Nobody has to believe it", says what each of these shows.

SEEDS     ?= 100000
SEED_BASE ?= 1

.PHONY: sim
sim: ## simulate the protocol: SEEDS=100000 SEED_BASE=1; SEED=n [FOCUS=x SKIP=3,17] replays one with its trace
ifdef SEED
	$(GO) test ./tests/sim -run '^TestSim$$' -count=1 -v -timeout 10m -seed=$(SEED) -focus='$(FOCUS)' -skip='$(SKIP)'
else
	$(GO) test ./tests/sim -run '^TestSim$$' -count=1 -v -timeout 6h -seeds=$(SEEDS) -seed-base=$(SEED_BASE)
endif

.PHONY: mutants
mutants: ## plant each known bug in the simulation; exits 1 if one survives
	$(GO) test ./tests/sim -run '^(TestMutants|TestEveryDefectIsPlanted)$$' -count=1 -v -timeout 30m

.PHONY: synctest
synctest: ## the real parts in fake time, 1,500 schedules, and 300 under the race detector
	$(GO) test -tags synctests -count=1 -timeout 20m ./tests/synctest
	$(GO) test -tags synctests -race -count=1 -timeout 20m ./tests/synctest -seeds=300 -seed-base=100001

.PHONY: conformance
conformance: ## the in-memory S2 and s2-lite side by side (s2 on PATH or S2_LITE_BIN)
	$(GO) test -count=1 -v -timeout 10m ./tests/conformance

.PHONY: fuzz
fuzz: ## every fuzz target for T each: make fuzz T=10m
	@set -e; \
	for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			echo "== $$(dirname $$file) $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(T) ./$$(dirname $$file); \
		done; \
	done

# go run would turn its exit codes 2 and 3 into 1.
.PHONY: chaos
chaos: ## 5 minutes of kills on real Kafka and s2-lite, with a live count and a verdict: make chaos CHAOS='-for 10m -seed 7'
	$(GO) build -o bin/chaos ./tests/chaos/cmd
	bin/chaos $(CHAOS)

.PHONY: proof
proof: ## the numbers of a release; about 7 hours on 2 cores
	$(MAKE) sim SEEDS=10000000
	$(MAKE) mutants
	$(MAKE) synctest
	$(GO) test -tags synctests -count=1 -timeout 4h ./tests/synctest -seeds=50000 -seed-base=200001
	$(MAKE) chaos CHAOS='-kills 2000 -records 10000000 -bridges 6 -rate 3500'
	$(MAKE) fuzz T=10m

.PHONY: build
build: ## bin/bridge: one static file
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)' -o bin/bridge ./cmd/bridge
