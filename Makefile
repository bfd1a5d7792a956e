# `make` lists what there is. Needs Python 3.11 or newer with pip and venv; everything else is
# installed into $(VENV), once: the stamps make repeated calls instant.

PYTHON ?= $(firstword $(shell command -v python3.11 python3 python 2>/dev/null))
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint format bench docs clean

help: ## list the commands
	@echo "make COMMAND; add ARGS='...' to pass arguments on"
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.stamp-dev ## install everything for development, and the git hooks

demo: $(VENV)/.stamp ## train on classic books and print the nearest to War and Peace
	@$(BIN)/python -m sk_entity_embed $(ARGS)

test: $(VENV)/.stamp-dev ## run the tests, doctests and README blocks (ARGS='-k name')
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: lint ## what must pass: style, types, floors, spelling, docstrings, tests
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term $(ARGS)

lint: $(VENV)/.stamp-dev ## the quick part of check: everything but the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check --python-interpreter-path $(BIN)/python
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

format: $(VENV)/.stamp-dev ## put the code into the one format, mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.stamp-dev ## quick versions of all benchmarks
	@set -e; for script in $(wildcard benchmarks/bench_*.py); do \
		echo "== $$script --quick"; $(BIN)/python $$script --quick $(ARGS); done

docs: $(VENV)/.stamp-dev ## build the documentation into docs/_build/html, warnings are errors
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html $(ARGS)

clean: ## remove what was built, but not the environment
	rm -rf build dist docs/_build docs/auto_examples docs/api/generated .coverage* htmlcov \
		.pytest_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

# What running needs, quickly: most files of torch are never imported, so none is compiled ahead.
$(VENV)/.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV), once; this takes a minute or two"
	$(INSTALL) --no-compile -e '.[progress]'
	@touch $@

# What development needs includes it, hence both stamps.
$(VENV)/.stamp-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV), once; this takes a minute or two"
	$(INSTALL) -e '.[dev]'
	@if [ -z "$$CI" ] && [ -e .git ]; then $(BIN)/pre-commit install; fi
	@touch $(VENV)/.stamp $@
