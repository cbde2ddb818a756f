# One percent: everything a reader runs. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCENES := $(wildcard ../shared/data)
export HSILIB_DATA ?= $(if $(SCENES),$(abspath $(SCENES)))
QUICK := --scene indian-pines --split percent:0.01 --seed 0

.DEFAULT_GOAL := help
.PHONY: help env book fresh build test lint unit check-notebooks portable notebooks reproduce bench address readme clean

help:            ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

env: $(VENV)/.ready  ## create .venv from constraints.txt

$(VENV)/.ready: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is %s. Try make PYTHON=python3.12" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[book,quantum,geo,dask,dev]'
	@touch $@

book: env fresh build  ## measure one percent of Indian Pines here, then build the report into _build/html
	@echo "The report: _build/html/index.html"

fresh: env
	$(BIN)/hsilib run quick $(QUICK) --records results/fresh --map

build: env       ## build the book from the records there are, warnings are errors
	$(BIN)/jupyter-book build . --all -W -n --keep-going --quiet
	$(BIN)/python book/_ext/check_built.py _build/html

test: lint unit check-notebooks build  ## lint, types, unit tests, notebooks against their stored outputs, book

lint: env        ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: env        ## the test suite
	$(BIN)/pytest -n 2 --dist worksteal

# The full training is checked with two epochs of everything; its stored outputs are of a whole run.
SHORT := settings: [fit.epochs=2, pretrain.epochs=1, tta=8]
check-notebooks: env  ## every notebook against its stored outputs
	mkdir -p _build/check
	$(BIN)/papermill --prepare-only -y "$(SHORT)" -p workspace _build/check/work \
	  notebooks/10_full_training.ipynb _build/check/10_full_training.ipynb
	OMP_NUM_THREADS=1 $(BIN)/pytest --nbval-lax --nbval-cell-timeout=600 -p no:cacheprovider -n 2 --dist loadscope \
	  --ignore notebooks/10_full_training.ipynb notebooks _build/check/10_full_training.ipynb

portable: env    ## the computing tests under other instruction sets and numbers of threads
	.ci/portable

notebooks: env   ## run every notebook again and store its outputs
	@for notebook in notebooks/*.ipynb; do \
	  $(BIN)/papermill --cwd notebooks $$notebook $$notebook && $(BIN)/python book/_ext/clean_notebooks.py $$notebook || exit 1; \
	done

reproduce: env   ## run every campaign that has runs without a record (resumes), then build the book
	@for campaign in results/campaigns/*.yaml; do $(BIN)/hsilib sweep $$campaign || exit 1; done
	$(MAKE) build

# Each benchmark is a process of its own, so that the peak memory of one is not that of another.
bench: env       ## run every benchmark on this machine; the reports go to results/bench
	@for name in $$($(BIN)/python -c 'from onepercent.bench.registry import runnable; print(*runnable())'); do \
	  $(BIN)/hsilib bench $$name --write || exit 1; \
	done

address: env     ## write the repository's address (pyproject.toml) into every file that shows it
	$(BIN)/python book/_ext/address.py

readme: env      ## write the result table of README.md from the records
	$(BIN)/python book/_ext/readme_table.py

clean:           ## remove what was built; .venv and committed results stay
	rm -rf _build results/fresh .pytest_cache .mypy_cache .ruff_cache .hypothesis
