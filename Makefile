# Two commands do all the set-up on a fresh machine: `make serve` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
WEIGHTS ?=
PORT ?= 8000
DATA ?=
PHOTOS ?= tests/golden/_images

.PHONY: help install serve test test-api test-golden test-golden-training test-masks-slow test-asan test-cuda-emulation page-test test-gpu overfit demo-weights bench-train bench-serve test-chaos fuzz-images image-test release-check sbom test-lowest test-newest k8s-test labelling-test watch-test rollout-test docs lint format clean

help: ## Show the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed ## Create the environment with the tested set of packages

# torch comes first and the build is not isolated: csrc/ is compiled against that very torch.
# Without a compiler the installation goes through too, and the plain references are used.
$(VENV)/.installed: pyproject.toml constraints.txt setup.py $(wildcard csrc/*/*)
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; say make PYTHON=python3.12, for example") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP) setuptools torch
	$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

serve: install ## Start the server (WEIGHTS=file or released name, PORT=8000)
	$(BIN)/python -m service --port $(PORT) $(if $(WEIGHTS),--weights $(WEIGHTS))

test: lint ## Linters, types, import contracts, and the ordinary tests
	$(BIN)/python -m pytest

test-golden: install ## Every configuration on every photo (BLENDMASK_GOLDEN=folder for other numbers)
	$(BIN)/python -m pytest $(if $(BLENDMASK_GOLDEN),-o empty_parameter_set_mark=skip) -m 'not gpu' tests/model/prediction/test_golden_photos.py tests/model/prediction/test_golden_network.py tests/model/prediction/test_golden_variants.py

test-golden-training: install ## Training steps against the original's numbers, all of them (many minutes)
	$(BIN)/python -m pytest -m 'not gpu' tests/model/train/losses/test_golden_training.py tests/model/train/samples/test_golden_mapper.py tests/model/train/starting_weights/test_initialise.py

test-masks-slow: install ## Compiled masks against the reference and pycocotools, 100,000 cases
	$(BIN)/python -m pytest -m masks_slow

# A copy of the package with sanitized libraries; their runtimes must be in the process from the
# start. Python itself never frees all it has, so leaks are watched by a test of their own.
test-asan: install ## The CPU operations under the Address and UndefinedBehavior sanitizers
	rm -rf build/asan
	BLENDMASK_SANITIZE=1 $(BIN)/python setup.py --quiet build_ext --build-temp build/asan/temp --build-lib build/asan
	tar -C model --exclude='*.so' -cf - . | tar -C build/asan/model -xf -
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		LD_PRELOAD="$(foreach name,asan ubsan stdc++,$(shell c++ -print-file-name=lib$(name).so))" \
		$(BIN)/pytest -o pythonpath='build/asan tests' -k 'not leave_no_memory' tests/csrc/loaded_library.py tests/model/operations/test_ops.py tests/model/operations/test_ops_blend.py tests/model/operations/test_ops_panoptic.py tests/model/operations/test_arguments.py tests/model/prediction/test_paste.py

# The tests of the kernels' emulation are in `make test`, too: fewer cases, no sanitizers.
test-cuda-emulation: install ## The CUDA kernels as plain C++, sanitized, 100,000 cases
	BLENDMASK_SANITIZE=1 BLENDMASK_EMULATED_CASES=12500 ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		LD_PRELOAD="$(foreach name,asan ubsan stdc++,$(shell c++ -print-file-name=lib$(name).so))" \
		$(BIN)/python -m pytest tests/model/operations/test_cuda_kernels.py

test-api: install ## The server against its own OpenAPI document, thousands of requests (schemathesis)
	$(BIN)/python tests/service/check_api.py 300

# Chromium itself comes from the system: Debian's package chromium, for example.
page-test: install ## The page at / in a browser (Chromium): pixels, keys, downloads, accessibility
	$(BIN)/python -m pytest -m 'page or not page' tests/service/page

test-gpu: install ## What needs a CUDA device
	$(BIN)/python -m pytest -m gpu

overfit: install ## Whether training learns: 8 pictures of DATA (a COCO folder or file) to mask AP > 0.9
	$(BIN)/python bench/overfit.py $(DATA)

demo-weights: install ## Make the bundled model: DATA=folder STUFF=folder (scripts/demo_weights.py)
	$(BIN)/python scripts/demo_weights.py $(DATA) $(STUFF)

bench-train: install ## Speed and memory of a training step (TRAIN_BENCH="--batch-size 4", say)
	$(BIN)/python bench/train_step.py $(TRAIN_BENCH)

bench-serve: install ## The server under load, from outside (PHOTOS=folder, WEIGHTS=file)
	$(BIN)/python bench/serve.py generator capacity sweep overhead same-bytes memory --photos $(PHOTOS) $(if $(WEIGHTS),--weights $(WEIGHTS))

fuzz-images: install ## Spoilt pictures at the decoder's door and at a server's, 100,000 and 5,000
	$(BIN)/python bench/fuzz_images.py
	$(BIN)/python bench/fuzz_images.py --http --cases 5000

test-chaos: install ## A server under load while its workers die, hang and run out of memory; minutes
	$(BIN)/python tests/chaos/chaos.py

# As root, with buildah, podman, runc and, where no registry of images answers, debootstrap.
# IMAGE_BUILD_FLAGS, IMAGE_RUN_FLAGS and IMAGE_TORCH_INDEX fit it to a machine.
image-test: install ## Build the CPU image, run it locked up, stop it under load (IMAGE_TAG=name)
	IMAGE_REPORT=bench/results/image.md $(BIN)/python -m pytest -m image tests/image

RELEASE_TOOLS := build/release-tools
$(RELEASE_TOOLS)/.installed:
	$(PYTHON) -m venv $(RELEASE_TOOLS)
	$(RELEASE_TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check build twine cyclonedx-bom uv
	@touch $@

release-check: install $(RELEASE_TOOLS)/.installed ## Build dist/ and try wheel and sdist in a clean environment; gigabytes
	$(BIN)/python scripts/release_check.py --tools $(CURDIR)/$(RELEASE_TOOLS)/bin/python

sbom: install $(RELEASE_TOOLS)/.installed ## What the server is made of, as dist/sbom.json (CycloneDX)
	$(BIN)/python scripts/sbom.py --cyclonedx $(RELEASE_TOOLS)/bin/cyclonedx-py

constraints-lowest.txt: pyproject.toml | $(RELEASE_TOOLS)/.installed
	$(RELEASE_TOOLS)/bin/uv pip compile --quiet --no-annotate --no-header --resolution lowest-direct \
		--python-version 3.11 --extra otel --output-file $@ pyproject.toml

# The tests' own tools are not held down; what old packages warn of is not an error.
test-lowest: constraints-lowest.txt | $(RELEASE_TOOLS)/.installed ## The tests with the oldest packages that pyproject.toml allows; gigabytes
	rm -rf build/lowest build/lowest-dist
	$(RELEASE_TOOLS)/bin/python -m build --sdist --outdir build/lowest-dist . >/dev/null
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints-lowest.txt
	build/lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --constraint constraints-lowest.txt "$$(ls build/lowest-dist/*.tar.gz)[test,otel]"
	cp build/lowest/lib/python*/site-packages/model/operations/*.so model/operations/
	build/lowest/bin/pytest -o filterwarnings= --ignore tests/service/test_api.py --ignore tests/service/test_chaos_short.py tests/service tests/model

# Whatever constraints.txt says. If they fail, the packages that differ from the tested set are named.
test-newest: | $(RELEASE_TOOLS)/.installed ## The tests with the newest packages that pyproject.toml allows; gigabytes
	rm -rf build/newest build/newest-dist
	$(RELEASE_TOOLS)/bin/python -m build --sdist --outdir build/newest-dist . >/dev/null
	$(PYTHON) -m venv build/newest
	build/newest/bin/python -m pip install --quiet --disable-pip-version-check setuptools torch
	build/newest/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation "$$(ls build/newest-dist/*.tar.gz)[test,otel]"
	cp build/newest/lib/python*/site-packages/model/operations/*.so model/operations/
	build/newest/bin/pytest || { build/newest/bin/python scripts/untested_packages.py; exit 1; }

# kustomize or kubectl must be there; the rest is installed apart from the project's environment.
# K8S_IMAGE=localhost/blendmask-server:TAG also runs the CPU overlay's pod, under podman.
K8S_TOOLS := build/k8s-tools
$(K8S_TOOLS)/.installed: $(wildcard tests/k8s/requirements*.txt)
	$(PYTHON) -m venv $(K8S_TOOLS)
	$(K8S_TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/k8s/requirements.txt
	$(K8S_TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement tests/k8s/requirements-no-deps.txt
	@touch $@

k8s-test: install $(K8S_TOOLS)/.installed ## Render, validate and scan k8s/ (K8S_IMAGE=image: and run a pod)
	K8S_TOOLS=$(CURDIR)/$(K8S_TOOLS) $(BIN)/python -m pytest -m 'k8s or not k8s' tests/k8s

watch-test: install ## Alerts, dashboard and scalers against a real Prometheus and servers under load; minutes
	$(BIN)/python -m pytest tests/watch/test_watch_files.py tests/watch/live_queries.py

rollout-test: install ## Two servers behind nginx, replaced one after the other under load; nothing is lost
	$(BIN)/python tests/rollout/rehearse.py

# The tools' packages are large and apart from the project's environment.
LABELLING_TOOLS := build/labelling-tools
$(LABELLING_TOOLS)/.installed: tests/labelling/requirements.txt
	$(PYTHON) -m venv $(LABELLING_TOOLS)
	$(LABELLING_TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/labelling/requirements.txt
	@touch $@

labelling-test: install $(LABELLING_TOOLS)/.installed ## Answers and backends by Label Studio's, CVAT's and FiftyOne's own packages
	LABELLING_TOOLS=$(CURDIR)/$(LABELLING_TOOLS) $(BIN)/python -m pytest tests/labelling

docs: install ## The pages of docs/ as a site, in build/site
	@$(BIN)/python -c 'import material' 2>/dev/null || $(PIP) --no-build-isolation --editable '.[docs]'
	$(BIN)/python -m mkdocs build --strict

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
