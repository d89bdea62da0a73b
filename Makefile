# One environment for users, tests and CI: .venv, holding exactly what requirements.lock and requirements-torch.lock name.
PYTHON ?= python3
VENV ?= .venv
# Extra options for the benchmark, as in: make water ARGS="--seeds 4 --jobs 1"
ARGS ?=
IMAGE ?= nnp-pretrain-bench
# What the image computes on: cpu, or a CUDA version that torch is built for, as cu130.
DEVICE ?= cpu
# Releases that `make lock` holds fixed, so that a new lock does not change numbers (torch) or the types of tables
# (pandas) unasked; everything else is resolved to the newest that fits pyproject.toml.
PINS ?= torch==2.13.0 pandas==3.1.0

BIN := $(VENV)/bin/python
LOCK_VENV := build/lock-venv
DIST_VENV := build/dist-venv
CHECK_PYTHON = $(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and \
	f"Python 3.11 or newer is needed, but $(PYTHON) is {v}. Name another one: make PYTHON=python3.11 ...")'

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env water bench check test soak cluster-test mutants lint format docs dist lock hashes docker docker-test clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

env: $(VENV)/.project ## create .venv with the locked dependencies and the project

water: env ## run the water benchmark at scale quick (more options: ARGS="...")
	$(BIN) -m benchmark run --suite water $(ARGS)

bench: env ## time the project against plain ways of doing the same, on a machine that does nothing else (ARGS="--rows ...")
	$(BIN) -m performance $(ARGS)

check: lint ## check style and types, and run the quick tests
	$(BIN) -m pytest -m "not slow" $(ARGS)

test: env ## run all tests
	$(BIN) -m pytest $(ARGS)

soak: env ## kill runs, damage run folders, feed parsers with noise (ARGS="--kills 20 --seconds 120")
	$(BIN) -m tools.soak $(ARGS)

# Slurm is no Python package: `apt-get install slurm-wlm munge`. Without it those tests skip, and say so.
cluster-test: env ## test runs on Parsl's workers: on this machine, and on a Slurm of one node where it is installed (as root)
	$(BIN) -m pytest -n 0 -rs tests/benchmark/executors $(ARGS)

mutants: env ## put small faults into the code one at a time and see whether tests notice (ARGS="--share 0.1 --files ...")
	$(BIN) -m tools.mutants $(ARGS)

lint: env ## check style and types
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m mypy

format: env ## put the code into the project's format
	$(BIN) -m ruff check --fix .
	$(BIN) -m ruff format .

docs: env ## build the documentation into site/; any warning, broken link or anchor is an error
	$(BIN) -m tools.reference
	$(BIN) -m zensical build --clean --strict

# The environment of the trial has the locked dependencies, borrowed from .venv, and of the project the wheel alone.
dist: env ## build dist/, and run the wheel's command in an empty folder
	rm -rf dist $(DIST_VENV)
	$(BIN) -m build --no-isolation
	$(BIN) -m venv $(DIST_VENV)
	$(BIN) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $(DIST_VENV)/locked.pth
	mv $(DIST_VENV)/locked.pth $(DIST_VENV)/lib/python*/site-packages/
	$(DIST_VENV)/bin/python -m pip install --no-deps dist/*.whl
	mkdir $(DIST_VENV)/empty
	cd $(DIST_VENV)/empty && ../bin/python -c 'import benchmark, reports, sys, tasks; \
		assert all(m.__file__.startswith(sys.prefix) for m in (benchmark, reports, tasks))'
	cd $(DIST_VENV)/empty && ../bin/nnp-bench run --suite water --scale smoke --data-dir data
	test -s $(DIST_VENV)/empty/runs/water-smoke/report/index.html

# A stamp is written only when all before it succeeded; an interrupted installation starts over.
$(VENV)/.locked: requirements.lock requirements-build.lock requirements-torch.lock
	@$(CHECK_PYTHON)
	@test ! -e $(VENV) || test -e $(VENV)/pyvenv.cfg || \
		{ echo "$(VENV) exists and is no virtual environment: choose another VENV=, or move it away" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN) -m pip install --no-deps -r requirements-build.lock
	$(BIN) -m pip install --no-deps --no-build-isolation -r requirements.lock
	$(BIN) -m pip install -r requirements-torch.lock
	@touch $@

# Without build isolation: the locked setuptools builds the project.
$(VENV)/.project: $(VENV)/.locked pyproject.toml
	$(BIN) -m pip install --no-deps --no-build-isolation -e .
	@touch $@

# From the pins, torch apart: its builds for the CPU and for each CUDA version differ in hash and not in version. The
# others with the hashes of all their files, for whichever platform.
define WRITE_LOCKS
$(LOCK_VENV)/bin/python -m pip install uv
@grep -v '^torch==' $(LOCK_VENV)/pins > $(LOCK_VENV)/hashed.in
$(LOCK_VENV)/bin/python -m uv pip compile --quiet --no-deps --no-header --no-annotate --generate-hashes \
	$(LOCK_VENV)/hashed.in > $(LOCK_VENV)/hashed
@{ sed '/^[^#]/,$$d' requirements.lock; cat $(LOCK_VENV)/hashed; } > $(LOCK_VENV)/requirements.lock
@mv $(LOCK_VENV)/requirements.lock requirements.lock
@{ sed '/^[^#]/,$$d' requirements-torch.lock; grep '^torch==' $(LOCK_VENV)/pins; } > $(LOCK_VENV)/torch.lock
@mv $(LOCK_VENV)/torch.lock requirements-torch.lock
@$(KNOWS) -m tools.lock_parts
@rm -rf $(LOCK_VENV)
endef

lock: KNOWS = $(LOCK_VENV)/bin/python
lock: ## resolve the dependencies anew and write the locks
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv --clear $(LOCK_VENV)
	$(LOCK_VENV)/bin/python -m pip install $(PINS)
	$(LOCK_VENV)/bin/python -m pip install -e .[dev,docs]
	$(LOCK_VENV)/bin/python -m pip check
	@$(LOCK_VENV)/bin/python -m pip freeze --all --exclude-editable --exclude pip > $(LOCK_VENV)/frozen
	@sed -E '/^(nvidia-|cuda-|triton==)/d; s/\+[a-z0-9.]+$$//' $(LOCK_VENV)/frozen > $(LOCK_VENV)/pins
	$(WRITE_LOCKS)

hashes: KNOWS = $(BIN)
hashes: $(VENV)/.project ## write the hashes of the locks anew, for pins that were changed or added by hand
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv --clear $(LOCK_VENV)
	@sed -nE 's/^([A-Za-z0-9][^ ]*==[^ ]+).*/\1/p' requirements.lock requirements-torch.lock \
		| LC_ALL=C sort -u > $(LOCK_VENV)/pins
	$(WRITE_LOCKS)

# The commit and version that the image says it has.
BUILD_ARGUMENTS = --build-arg DEVICE=$(DEVICE) --build-arg COMMIT="$$(git rev-parse --short=12 HEAD 2> /dev/null)" \
	--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)"

docker: ## build the container image (IMAGE=nnp-pretrain-bench DEVICE=cpu)
	docker build --tag $(IMAGE) $(BUILD_ARGUMENTS) .

# As a user of no name, on a read-only root, without capabilities and network.
docker-test: ## build the image and run suite water at scale smoke in it, where there is an engine (docker, podman)
	@engine=; for found in docker podman; do if $$found info > /dev/null 2>&1; then engine=$$found; break; fi; done; \
	if [ -z "$$engine" ]; then echo "no container engine answers here (docker, podman): the image is not tested"; exit 0; fi; \
	set -e; place="$$(mktemp -d)"; mkdir "$$place/runs" "$$place/data"; chmod 777 "$$place"/*; \
	$$engine build --tag $(IMAGE) $(BUILD_ARGUMENTS) .; \
	$$engine run --rm $(IMAGE) --version; \
	$$engine run --rm --user 12345:12345 --read-only --tmpfs /tmp --cap-drop ALL --network none \
		-v "$$place/runs:/runs" -v "$$place/data:/data" $(IMAGE) run --suite water --scale smoke; \
	test -s "$$place/runs/water-smoke/report/index.html"; \
	$$engine image inspect $(IMAGE) --format 'size of the image: {{.Size}} bytes'

clean: ## remove the environment, builds and caches; runs and data stay
	test ! -e $(VENV)/pyvenv.cfg || rm -rf $(VENV)
	rm -rf build dist site docs/reference *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find benchmark tasks reports performance tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
