# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps

.PHONY: help demo test check wheel docs peers clean

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

wheel: $(STAMPS)/dev  ## build wheel and sdist into dist/, try the wheel in a fresh environment
	rm -rf dist build .venv-wheel
	$(BIN)/python -m build --no-isolation
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet -c constraints.txt "$$(ls dist/*.whl)[demo]"
	cd dist && ../.venv-wheel/bin/python ../examples/demo.py demo
	rm -rf dist/demo .venv-wheel build

docs: $(STAMPS)/dev  ## build the site of the docs into site/, its page that restores by npm's runtime
	$(BIN)/python -m mkdocs build --strict --quiet
	$(BIN)/python examples/browser_page.py site/browser

clean:  ## remove the environment and what the demo wrote
	rm -rf $(VENV) .venv-wheel demo dist site .mypy_cache .pytest_cache .ruff_cache build

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
