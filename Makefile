# `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# Everything a training run prints must also be right where no hub can be reached.
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo search test lint types format bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable ".[demo]"
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@ $(VENV)/.demo

install: $(VENV)/.dev  ## .venv with everything that developers need

demo: $(VENV)/.demo  ## train one model for German, Ukrainian and Finnish and show what it gained (under 10 minutes)
	$(BIN)/clearir train recipes/demo.yaml

search: $(VENV)/.demo  ## after the demo: index 40,000 package descriptions (10 minutes, once) and serve the search page
	$(PIP) install --quiet --constraint constraints.txt --editable ".[demo,ui]"
	$(BIN)/clearir index runs/demo/model runs/demo/debian --source debian --out runs/demo/index
	$(BIN)/clearir serve runs/demo/index

bench: $(VENV)/.dev  ## time and memory of training (needs CLEARIR_DATA or ../shared/data; about 15 minutes)
	$(BIN)/python benchmarks/training.py

test: $(VENV)/.dev  ## the whole test suite, offline
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/.dev  ## ruff: lint and format check
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev  ## mypy, strict on src
	$(BIN)/mypy

format: $(VENV)/.dev  ## rewrite the code as ruff formats it
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean:  ## remove the environment and all outputs
	rm -rf $(VENV) runs artifacts .pytest_cache .mypy_cache .ruff_cache .hypothesis
