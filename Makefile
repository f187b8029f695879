# make demo    set up, then train, evaluate, predict and report on the embedded set
# make test    set up, then run the suite            (make test ARGS="-k stair")
# make check   set up, then format, lint, types, the stair, links in the docs
# make setup   the common part: a virtual environment with everything in it
#
# PYTHON=python3.12      the Python that makes the environment
# VENV=.venv             where it lies
# TORCH_INDEX=URL        take torch from this package index (the CPU build: see README.md)

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
ARGS ?=

pip := $(VENV)/bin/python -m pip --disable-pip-version-check
ready := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check clean
.DELETE_ON_ERROR:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: $(ready)
	@:

demo: setup
	$(VENV)/bin/atrous demo $(ARGS)

test: setup
	VENV=$(VENV) scripts/test $(ARGS)

check: setup
	VENV=$(VENV) scripts/check

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find src tests scripts -name __pycache__ -prune -exec rm -rf {} +

# Written last, so that an installation that broke off is taken up again.
$(ready): pyproject.toml | $(VENV)/bin/python
	$(pip) install --quiet --upgrade 'pip>=25.1'
	$(if $(TORCH_INDEX),$(pip) install --index-url $(TORCH_INDEX) torch torchvision)
	$(pip) install --editable '.[all]' --group dev --group parity
	@touch $@

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "setup: $(PYTHON) is not found, but Python 3.11 or newer is needed." \
	       "Install it, or name yours: make setup PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "setup: $(PYTHON) is $$($(PYTHON) --version 2>&1), but 3.11 or newer is needed." \
	       "Install a newer one and name it: make setup PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "setup: $(PYTHON) lacks the module venv or ensurepip, but they make the environment." \
	       "On Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }
