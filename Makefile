# SPDX-License-Identifier: Apache-2.0
# Every target does its own set-up; a second run does no set-up work twice.
.PHONY: demo test check bench fuzz soak sel4 wheel docs clean
PY := .venv/bin/python

demo:
	@scripts/setup demo
	@$(PY) -m qemu.demo

test:
	@scripts/setup test
	@$(PY) -m pytest -q

check:
	@scripts/setup test
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m scripts.tidy
	@$(PY) -m pytest -q -m 'not system'

bench:
	@scripts/setup bench
	@$(PY) -m bench
	@$(PY) -m bench.boot
	@$(PY) -m bench.deploy
	@$(PY) -m bench.roundtrip
	@$(PY) -m bench.compiler
	@$(PY) -m bench.device --write

# The engine, against libFuzzer and wasmtime, for so many seconds each; goes on from what the last run learned.
SECONDS ?= 600
fuzz:
	@scripts/setup fuzz
	@$(PY) -m tests.fuzz --seconds $(SECONDS)

# Long runs, SEED of everything random and SCALE of everything counted: make soak SEED=7 SCALE=0.1
SEED ?= 0
SCALE ?= 1
soak:
	@scripts/setup test
	@$(PY) -m soak --seed $(SEED) --scale $(SCALE)

sel4:
	@scripts/setup demo
	@$(PY) -m qemu.demo --kernel sel4

# A wheel and a source archive in dist/; the wheel brings library, simulator and image ready-made.
wheel:
	@scripts/setup test
	@$(PY) -m hatchling build

# The documentation as a site, in build/site.
docs:
	@scripts/setup test
	@$(PY) -m mkdocs build --strict

clean:
	rm -rf build
