# What a person types. `make help` lists it; everything else is in scripts/ and package.json.
# npm scripts run on the pinned Node 24: npm puts node_modules/.bin first in PATH.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help start test sim soak bench check fix deps tools

# npm writes this file last, so it says which lock file is installed.
INSTALLED := node_modules/.package-lock.json

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

start: $(INSTALLED) ## install what is missing and serve on the embedded store; says first what to try
	@scripts/try-next.sh
	@exec bin/holdfast serve

test: $(INSTALLED) tools ## install all that the tests need, then check and run every test
	@scripts/test.sh

SIM_SECONDS ?= 30
SOAK_SECONDS ?= 3600

sim: $(INSTALLED) ## simulate clusters under faults for SIM_SECONDS and judge what they did
	@node_modules/.bin/node test/sim/run.ts --seconds $(SIM_SECONDS)

soak: $(INSTALLED) ## the same for SOAK_SECONDS, with seeds that nobody has tried
	@node_modules/.bin/node test/sim/run.ts --seconds $(SOAK_SECONDS) --from $$(date +%s)

bench: $(INSTALLED) ## run the benchmarks
	@PATH="$(CURDIR)/node_modules/.bin:$$PATH" node bench/main.ts

check: $(INSTALLED) ## types, style, contract, shell scripts and container files; no tests
	@scripts/check.sh

fix: $(INSTALLED) ## format, and mend what the linter can mend
	@npm run --silent fix

deps: $(INSTALLED) ## install the npm dependencies exactly as locked

tools: ## install what the tests and checks need besides npm packages
	@scripts/install-tools.sh

$(INSTALLED): package-lock.json package.json
	@scripts/install-deps.sh
	@touch $@
