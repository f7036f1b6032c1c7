# Every target makes its own environment in .venv on first use, from pyproject.toml at the versions of constraints.txt.
# Needs make and a Python >= 3.11 with its venv module; name another one with `make PYTHON=/path/to/python test`.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# Two workers of one thread each: on two cores this is faster than one process with two threads, and it is repeatable.
WORKERS ?= 2
# Neither tool has to tell about its newer versions.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export NO_MKDOCS_2_WARNING := 1

.PHONY: install demo test lint types pytest bench bench-peers docs clean
.DEFAULT_GOAL := test

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no Python >= 3.11 with venv found; name one with PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@echo "installing the pinned environment into .venv; the first time takes a few minutes"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install
	$(BIN)/widenet demo

test: lint types pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/pyright

pytest: install
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1 CI=1 $(BIN)/python -m pytest -q --numprocesses=$(WORKERS)

bench: install
	$(BIN)/python benchmarks/run.py

# The peers need older versions of what .venv holds, so they live in an environment of their own.
bench-peers: install
	$(BIN)/python benchmarks/bench_peers.py

docs: install
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv .venv-peers site build dist .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
