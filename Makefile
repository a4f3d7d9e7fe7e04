# Two commands need nothing but make and Python >= 3.11:
#
#   make demo   stylizes a sample photo and a sample clip; results in demo-output/
#   make test   every check that CI runs
#
# Both make their own environment in .venv. PYTHON=... chooses the interpreter, EXTRA=gpu|cpu the onnxruntime.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && { echo $$python; break; }; done)
EXTRA ?= $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)

VENV := .venv
WHEEL_VENV := .venv-wheel
BIN := $(VENV)/bin
PIP_OPTIONS := --quiet --disable-pip-version-check
STYLE ?= starry_night

.PHONY: help demo test lint types layers unit wheel-test format coverage env python-is-new-enough clean

help:
	@echo "make demo    stylize a sample photo and a sample clip"
	@echo "make test    ruff, mypy, import-linter, pytest, the wheel, the runtime's tests against the wheel"
	@echo "make env     the environment for development (.venv), with everything"
	@echo "make format  let ruff mend what it can;  make coverage  lines that no test runs;  make clean"

demo: $(VENV)/runtime.stamp
	@BIN=$(BIN) STYLE=$(STYLE) sh examples/demo.sh

test: lint types layers unit wheel-test
	@echo "make test: every check passed"

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

layers: $(VENV)/dev.stamp
	$(BIN)/lint-imports

unit: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

# The built wheel in an environment without torch, from outside the source tree.
wheel-test: $(VENV)/dev.stamp
	rm -rf dist $(WHEEL_VENV)
	@mkdir -p dist
	$(BIN)/python -m build --wheel --outdir dist . >dist/build.log 2>&1 || { cat dist/build.log; exit 1; }
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install $(PIP_OPTIONS) "$$(ls dist/*.whl)[$(EXTRA)]" pytest pytest-timeout pytest-rerunfailures
	root="$(CURDIR)" && cd / && STYLETRANSFER_TEST_WHEEL=1 "$$root/$(WHEEL_VENV)/bin/python" -m pytest \
		-c "$$root/pyproject.toml" -p no:cacheprovider $(PYTEST_OPTIONS) "$$root/tests/test_wheel.py" \
		"$$root/tests/core" "$$root/tests/runtime" "$$root/tests/media" "$$root/tests/cli"

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

coverage: $(VENV)/dev.stamp
	$(BIN)/coverage run --source styletransfer -m pytest
	$(BIN)/coverage report --skip-covered

env: $(VENV)/dev.stamp

python-is-new-enough:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "error: Python 3.11 or newer is needed and '$(or $(PYTHON),python3)' is none;" \
		"install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "error: $(PYTHON) has no venv module; on Debian or Ubuntu: sudo apt install python3-venv" >&2; \
		exit 1; }

# An environment whose making was interrupted has no stamp and is made anew.
$(VENV)/made.stamp: | python-is-new-enough
	@echo "making the environment $(VENV) with $$($(PYTHON) --version)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --upgrade "pip>=25.1"
	@touch $@

$(VENV)/runtime.stamp: $(VENV)/made.stamp pyproject.toml
	@echo "installing styletransfer[$(EXTRA)] (about 150 MB; with a GPU 2 GB)"
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --editable ".[$(EXTRA)]"
	@touch $@

$(VENV)/dev.stamp: $(VENV)/made.stamp pyproject.toml
	@echo "installing styletransfer[$(EXTRA),train] and the tools (with torch: some minutes)"
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --editable ".[$(EXTRA),train]" --group dev
	@touch $@ $(VENV)/runtime.stamp

clean:
	rm -rf $(VENV) $(WHEEL_VENV) dist demo-output .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
