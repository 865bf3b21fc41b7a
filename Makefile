# The front door: people, hooks and CI use the same words. The logic is in scripts/.
.DEFAULT_GOAL := help
.PHONY: help setup demo test simulate mutants check bench load faults fuzz exhaustive fmt clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: ## make .venv, install the locked packages, build the extension; nothing outside this folder
	@scripts/setup

demo: setup ## the whole system on this machine with traffic, until Ctrl-C (DEMO="--for 20 --rate 200")
	@.venv/bin/tapswitch demo $(DEMO)

test: setup ## all tests, native and Python (TEST="tests/unit -k window" for some)
	@scripts/test $(TEST)

simulate: setup ## the whole switch in 300 seeded worlds, every fault at least once (SIMULATE="--seed 7 --trace")
	@scripts/simulate $(SIMULATE)

mutants: setup ## defects made on purpose, and which rule of the simulation notices each
	@scripts/mutants $(MUTANTS)

check: setup ## format, lint, types, stubs, layers, native lints
	@scripts/check

bench: setup ## micro-benchmarks against the committed baseline, then the switch beside its floors
	@scripts/bench

load: setup ## locust in front of a switch with simulated banks (LOAD="--headless -u 50 -r 50 -t 30s")
	@scripts/load $(LOAD)

faults: setup ## every fault on real processes at every place, ten minutes (FAULTS="-k network" for some)
	@scripts/faults $(FAULTS)

fuzz: setup ## each fuzz target for FUZZ_SECONDS (60)
	@scripts/fuzz

exhaustive: setup ## every history of up to four journal operations, cut off at every operation of the disk (the suite has one in eight of the longest)
	@scripts/exhaustive

fmt: setup ## format all sources
	@scripts/fmt

clean: ## remove everything that these targets made
	@scripts/clean
