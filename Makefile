# Two commands do all the set-up on a fresh machine: `make serve` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WEIGHTS ?=
PORT ?= 8000
DATA ?=

.PHONY: help install serve test test-golden test-gpu overfit lint format clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed ## Create the environment with the tested set of packages

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; say make PYTHON=python3.12, for example") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

serve: install ## Start the server (WEIGHTS=file or released name, PORT=8000)
	$(BIN)/python -m service --port $(PORT) $(if $(WEIGHTS),--weights $(WEIGHTS))

test: lint ## Linters, types, import contracts, and the ordinary tests
	$(BIN)/python -m pytest

test-golden: install ## Every configuration on every photo (BLENDMASK_GOLDEN=folder for other numbers)
	$(BIN)/python -m pytest -m 'not gpu' tests/model/test_golden_photos.py tests/model/test_golden_network.py tests/model/test_golden_variants.py

test-gpu: install ## What needs a CUDA device
	$(BIN)/python -m pytest -m gpu

overfit: install ## Whether training learns: 8 pictures of DATA (a COCO folder or file) to mask AP > 0.9
	$(BIN)/python bench/overfit.py $(DATA)

lint: install ## Linters, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment and caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
