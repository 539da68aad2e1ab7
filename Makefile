# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps

.PHONY: help demo test check peers clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(STAMPS)/demo  ## install, restore a real photo, write a before/after picture to demo/
	$(BIN)/python examples/demo.py demo

test: check  ## lint, types and all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: $(STAMPS)/dev  ## lint and types alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove the environment and what the demo wrote
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache build

# Stamps: the second run of a target starts at once unless what it depends on has changed.
$(STAMPS)/venv:
	$(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/demo: $(STAMPS)/venv pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[demo]'
	touch $@

$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@ $(STAMPS)/demo

# The networks that the paper compares with, for benchmarks/cost.py alone.
PEERS := .venv-peers

peers: $(PEERS)/.done  ## an environment with the networks that the paper compares with

$(PEERS)/.done: pyproject.toml constraints.txt benchmarks/peers/requirements.txt benchmarks/peers/no-deps.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -c constraints.txt -e . -r benchmarks/peers/requirements.txt
	$(PEERS)/bin/python -m pip install --quiet --no-deps -r benchmarks/peers/no-deps.txt
	touch $@
