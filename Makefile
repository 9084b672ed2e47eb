# make demo    install gradcli into .venv and differentiate the first model of the guide
# make test    install what the tests need, too, and run them
# make check   what a change must pass: linter, formatter, types, generated pages, tests
# make mutants plant faults in every derivative rule, and count who notices (minutes)
# make bench   compare with JAX, PyTorch, autograd and CasADi, and write docs/performance.md (installs them into .venv-bench)
# make docs    write the generated pages of docs/ and the sessions shown in README.md and docs/ again
# make tables  write the parser's tables again after a change of grammar.lark
#
# Needs Python 3.11 or newer with its venv module; `make demo PYTHON=/path/to/python3` names one.

.DEFAULT_GOAL := help
.PHONY: help demo test check lint mutants bench docs tables clean

VENV := .venv
BIN := $(VENV)/bin
NEW_ENOUGH := import sys, venv; sys.exit(sys.version_info < (3, 11))
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
PYTHON ?= $(shell for each in $(CANDIDATES); do $$each -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $$each && break; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'gradcli needs Python 3.11 or newer: none of "$(CANDIDATES)" is one.' \
	  'Name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo '$(PYTHON) is older than 3.11, or lacks venv.' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'On Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }

# One stamp for each set of requirements: a second run installs nothing.
$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/installed

# The engines that it is compared with are large: they have an environment of their own.
$(VENV)-bench/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

# Each command is shown as one would type it, then run.
demo: $(VENV)/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH"; set -e; \
	run() { printf '\n$$ %s\n' "$$1"; eval "$$1"; }; \
	run "cat models/guide/matmul.net"; \
	run "gradcli grad models/guide/matmul.net --get-all --sens models/guide/s.npy"; \
	run "gradcli grad -e 'x**2 * y' -i x=4 -i y=5 --get-all --order 2"; \
	printf '\nThe commands are in .venv/bin; the README goes on from here.\n'

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -q -n auto --dist worksteal

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/make_docs.py --check

check: lint test

mutants: $(VENV)/installed-dev
	$(BIN)/python -m tools.mutants

bench: $(VENV)-bench/installed
	$(VENV)-bench/bin/python benchmarks/routes.py
	$(VENV)-bench/bin/python benchmarks/tracing.py
	$(VENV)-bench/bin/python -m benchmarks --publish

docs: $(VENV)/installed-dev
	$(BIN)/python tools/make_docs.py
	$(BIN)/python tools/make_combinations.py
	$(BIN)/python tools/transcripts.py --update

tables: $(VENV)/installed-dev
	$(BIN)/python tools/make_tables.py

clean:
	rm -rf $(VENV) $(VENV)-bench build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
