# Everything that people and CI run. `make help` lists it.

CARGO      ?= cargo
TOOLS      := $(CURDIR)/.cache/tools
DENY       := $(TOOLS)/bin/cargo-deny
DENY_VERSION := 0.20.2
FUZZ         := $(TOOLS)/bin/cargo-fuzz
FUZZ_VERSION := 0.13.2
# How long `make fuzz` runs each target.
FUZZ_SECONDS ?= 60
# How many seeds `make simulate` runs.
SIM_SEEDS    ?= 100000
# How often `make bench` goes through all servers: by default four times with 1,000 receivers, three times with 10,000.
BENCH_ROUNDS ?=
# `make run ARGS='--gateway-listen 0.0.0.0:8081'`
ARGS       ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run cluster test check lint fmt deny advisories fuzz simulate bench clients tracer servers grpcurl clean

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build and start everything with the demo data, in ./starling-data (needs Rust and a C compiler)
	$(CARGO) run --release --locked -p starling -- --demo $(ARGS)

cluster: servers ## build and start a whole cluster with the demo data, in CLUSTER_DIR (./starling-cluster); Ctrl-C ends it
	$(CARGO) build --release --locked -p starling -p testkit --bin starling --bin starling-cluster
	@"$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release/starling-cluster"

test: ## install what the tests need into ignored folders, then lint and run every test
	@CARGO="$(CARGO)" scripts/install-while-building
	@$(MAKE) --no-print-directory lint check

# The tests that start the program use the one that cargo builds with them.
check: ## every test of the workspace, nothing else, several programs at a time
	STARLING_BIN="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/debug/starling" scripts/run-tests

lint: ## formatting, clippy without a warning, licences and forbidden dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(MAKE) --no-print-directory deny

fmt: ## format the code
	$(CARGO) fmt --all

deny: $(DENY) ## licences, bans and sources of all dependencies (the first time builds cargo-deny, two minutes)
	$(DENY) --log-level error --workspace --locked check --hide-inclusion-graph licenses bans sources

advisories: $(DENY) ## known vulnerabilities; fetches the RustSec database from github.com
	$(DENY) --workspace --locked check advisories

fuzz: $(FUZZ) ## every fuzz target for FUZZ_SECONDS, 60 by default (needs a C++ compiler)
	@CARGO_FUZZ=$(FUZZ) FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz

simulate: ## SIM_SEEDS runs of several gateways under faults, 100,000 by default, in virtual time on all cores
	@CARGO=$(CARGO) SIM_SEEDS=$(SIM_SEEDS) scripts/simulate

bench: ## Starling beside other servers, with a report in bench/report.html; BENCH_ROUNDS=1 for a quick one (needs Node.js with npm)
	@CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-$(CURDIR)/target}" BENCH_ROUNDS=$(BENCH_ROUNDS) loadtest/peers/measure

clients: ## the foreign client libraries that the tests drive (needs Node.js with npm, and Python)
	@scripts/install-clients

tracer: ## strace, for two tests of durability (as root or with sudo, on Debian)
	@scripts/install-strace

servers: ## the servers that the tests start: NATS and Cassandra in .cache/tools (needs Python; Java 17 and Maven), Redis (as root or with sudo, on Debian)
	@scripts/install-servers
	@scripts/install-redis

grpcurl: ## grpcurl, for the examples of docs/grpc.md, in .cache/tools (needs Go)
	@scripts/install-grpcurl

clean: ## remove builds and installed tools, but no data
	$(CARGO) clean
	rm -rf .cache

# Without its default features cargo-deny needs no TLS library; unoptimised it builds in half the time and checks in a second.
$(DENY):
	@echo 'building cargo-deny $(DENY_VERSION), about two minutes on two cores'
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --debug \
		--no-default-features --quiet --root $(TOOLS) --target-dir $(TOOLS)/build
	rm -rf $(TOOLS)/build
	touch $@

$(FUZZ):
	@echo 'building cargo-fuzz $(FUZZ_VERSION), about a minute on two cores'
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install cargo-fuzz --version $(FUZZ_VERSION) --locked --debug \
		--quiet --root $(TOOLS) --target-dir $(TOOLS)/build
	rm -rf $(TOOLS)/build
	touch $@
