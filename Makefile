# Targets first create the environment that they need in .venv, pinned by hash.

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(subst $(BIN):,,$(PATH))
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
.DEFAULT_GOAL := help

ifneq (,$(findstring :,$(CURDIR)))
  $(error The path of this folder has a colon, which PATH cannot contain: move or rename the folder)
endif

# Variables that configure Python, pip and uv are removed, except those that say how to
# reach a package index.
INDEX_SETTINGS := %INDEX %INDEX_URL %INDEX_STRATEGY UV_INDEX_% %FIND_LINKS %ENDPOINT_URL %CONFIG_FILE %CACHE %CACHE_DIR \
  %PROXY %CERT %CERTS %TLS %HOST %TIMEOUT %RETRIES %OFFLINE %KEYRING_PROVIDER %CREDENTIALS_DIR %NO_INPUT \
  %USE_FEATURE %USE_DEPRECATED %LINK_MODE UV_CONCURRENT_%
unexport $(filter-out PYTHON $(INDEX_SETTINGS),$(filter PYTHON% PIP_% UV_%,$(.VARIABLES)))

.PHONY: help setup environment environment-extra environment-hard repro test test-fast test-slow test-firefox test-results test-exports test-reproduction \
  test-processors test-hard audit check check-js verify format bench lock page screenshots clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# $(VENV)/complete records the environment's path, Python version and lock file. If one of
# them changes, for example because the folder was moved, the environment is created again.
ENV_STATE = cat requirements.lock && $(VENV)/bin/python -I -c \
  'import os, sys; print(ascii(os.path.realpath("$(VENV)")), sys.implementation.cache_tag)'
ENV_IS_CURRENT = { $(ENV_STATE); } 2>/dev/null | cmp -s - $(VENV)/complete

# Only one make at a time sets up .venv. It holds a lock on file descriptor 9, which is
# released when the shell and all its child processes have ended.
define LOCK_SCRIPT
import fcntl
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("waiting for another make, which sets up .venv", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
endef
export LOCK_SCRIPT
# The Python on PATH outside $(VENV), because the one inside may be broken.
SYSTEM_PYTHON = PATH="$${PATH\#*:}" $(PYTHON)
ACQUIRE_LOCK = $(SYSTEM_PYTHON) -c "$$LOCK_SCRIPT" 2>/dev/null

setup:  ## create the environment in .venv (targets that need it do this); EXTRAS=cluster: with a group of packages
	@$(ENV_IS_CURRENT) || { $(ACQUIRE_LOCK); $(ENV_IS_CURRENT) || $(MAKE) --no-print-directory environment; } 9< requirements.lock
	@for extra in $(EXTRAS); do \
	  $(MAKE) --no-print-directory environment-extra EXTRAS= EXTRA=$$extra || exit; \
	done

# A package without a wheel is built only with build dependencies of requirements.lock.
BUILD_FLAGS := --preview-features build-dependency-hashes --require-build-hashes --build-constraints requirements.lock
INSTALL := $(VENV)/bin/uv pip install --python $(VENV) --require-hashes $(BUILD_FLAGS) --requirement

# uv needs seconds where pip needs minutes, so only uv is installed by pip. uv is pinned as
# well. Its wheel is downloaded with the user's pip settings, which say where the index is,
# but installed without them: they may set another target folder.
environment:
	@$(SYSTEM_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo 'Python 3.11 or newer is needed, and $(PYTHON) is older or missing; set another one: make PYTHON=python3.12' >&2; exit 1; }
	@$(SYSTEM_PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo '$(PYTHON) cannot create environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@test ! -L $(VENV) \
	  || { echo '$(VENV) is a symbolic link to an environment that does not match: remove the link' >&2; exit 1; }
	@rm -f $(VENV)/complete
	$(SYSTEM_PYTHON) -m venv --clear $(VENV)
	sed -n '/^uv==/,/# via/p' requirements.lock | $(VENV)/bin/python -m pip download --quiet --only-binary :all: \
	  --require-hashes --requirement /dev/stdin --dest $(VENV)
	PIP_CONFIG_FILE=/dev/null $(VENV)/bin/python -m pip install --quiet --no-index $(VENV)/uv-*.whl
	$(INSTALL) requirements.lock --compile-bytecode
	$(VENV)/bin/uv pip install --quiet --python $(VENV) --no-deps --no-build-isolation --editable .
	@$(VENV)/bin/dvc --version > /dev/null \
	  || { echo '$(VENV)/bin/dvc does not run: does a uv.toml set target or prefix?' >&2; exit 1; }
	@{ $(ENV_STATE); } > $(VENV)/complete

# Additional packages of a group in pyproject.toml; test-hard and audit need the group `hard`.
# Packages that are in several lock files have the same version in all. $(VENV)/complete is
# moved away meanwhile: if uv is killed, it does not notice a half-installed package later, so
# the environment must then be created again.
environment-extra:
	@test -f requirements-$(EXTRA).lock \
	  || { echo 'EXTRAS: there is no group $(EXTRA); the groups are cluster, export and parquet' >&2; exit 1; }
	@cmp -s requirements-$(EXTRA).lock $(VENV)/$(EXTRA) || { $(ACQUIRE_LOCK); mv $(VENV)/complete $(VENV)/before; \
	  $(INSTALL) requirements-$(EXTRA).lock --quiet && cp requirements-$(EXTRA).lock $(VENV)/$(EXTRA); \
	  status=$$?; mv $(VENV)/before $(VENV)/complete; exit $$status; } 9< requirements.lock

environment-hard:
	@$(MAKE) --no-print-directory setup EXTRAS=hard

repro: setup  ## run the pipeline: all stages that changed
	@digits unlock
	dvc repro
	@echo 'The report: open report/index.html in a browser'

test: setup  ## run all quick tests on small generated data (about 2 minutes)
	pytest --numprocesses auto --dist worksteal

# pytest starts a process for each processor, so one thread in each process is enough.
test-fast: setup  ## run the tests that need neither DVC nor a browser (less than 20 seconds)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 pytest --numprocesses auto --dist worksteal -m 'not (long or slow or hard or results)'

test-slow: setup  ## run the slow tests on small generated data
	pytest --numprocesses auto --dist worksteal -m 'slow and not (firefox or hard or results)'

test-firefox: setup  ## run the tests of the report page in Firefox as well
	pytest -m 'firefox and not results'

test-results: repro  ## check the results on MNIST, and the numbers in README.md and docs/
	pytest --numprocesses auto --dist loadfile -m 'results and not (firefox or hard)'

test-exports: repro environment-hard  ## check exported models, and all types and kernels, on MNIST
	pytest -m 'results and hard'

test-reproduction: repro  ## check that the results equal those in Git (in a clean clone)
	python -m tests.stress.reproduction

test-processors: setup  ## compare the results on emulated processors; SHORT=1: in a few minutes
	python -m tests.stress.processors $(if $(SHORT),--short)

check: setup check-js  ## lint, check the format, the types and the shell scripts
	ruff check
	ruff format --check
	mypy
	shellcheck .ci/*

# node_modules/complete is a copy of the lock file that was installed. Without npm, only CI fails.
check-js:  ## lint and type-check the JavaScript of the report page (needs npm)
	@if command -v npm > /dev/null; then \
	  { cmp -s package-lock.json node_modules/complete \
	    || { npm ci && cp package-lock.json node_modules/complete; }; } && npm run check; \
	else \
	  echo 'JavaScript is not checked: npm is not installed (on Debian and Ubuntu: apt install npm)' >&2; \
	  exit $(if $(CI),1,0); \
	fi

# The DVC projects in subfolders that have been run.
PROJECTS_RUN = $(sort $(patsubst %/data/models/,%,$(dir $(wildcard */data/models/*.npz))))

verify: setup  ## compare all results with the hashes in dvc.lock; FIX=1 repairs them
	@status=0; for folder in . $(PROJECTS_RUN); do \
	  digits verify --in $$folder $(if $(FIX),--fix) || status=$$?; \
	done; exit $$status

test-hard: environment-hard  ## run the fault-injection tests: KILLS=200 random kills, STEPS=200 random steps, SECONDS=20 of damaged data files
	pytest --numprocesses auto --dist loadfile -m 'hard and not results'
	python -m tests.stress.mutations $(if $(MUTATIONS),--count $(MUTATIONS))
	python -m tests.stress.formats --seconds $(or $(SECONDS),20)
	python -m tests.stress.determinism
	python -m tests.stress.rounding --count $(or $(PROBLEMS),200)
	python -m tests.stress.kills --count $(or $(KILLS),200)
	python -m tests.stress.cluster --kills $(or $(CLUSTER_KILLS),4)
	python -m tests.stress.walks --steps $(or $(STEPS),200)

# --strict: a package that the service does not know is an error.
audit: environment-hard  ## check the packages for known vulnerabilities, and .github for unsafe settings
	zizmor --offline --quiet .github
	@for lock in requirements.lock requirements-hard.lock; do \
	  output=$$(pip-audit --strict --disable-pip --require-hashes --requirement $$lock 2>&1) \
	    && { echo "$$lock: $$output"; continue; }; \
	  case $$output in \
	    *'known vulnerabilit'*) echo "$$output";; \
	    *) echo "$$lock: not audited, the advisory service did not answer:" \
	      "$$(echo "$$output" | tail -n 1)";; \
	  esac >&2; exit 1; \
	done

format: setup  ## format the code, and fix what the linter can fix
	ruff format
	ruff check --fix

bench: repro  ## run the benchmarks of the solvers and the pipeline (half an hour)
	python benchmarks/solvers.py
	python benchmarks/tuning.py
	python benchmarks/pipeline.py
	python benchmarks/response_time.py
	python benchmarks/lenet5.py
	python benchmarks/large.py

lock: setup  ## update requirements*.lock, within the bounds of pyproject.toml
	uv pip compile --quiet --upgrade --universal --generate-hashes $(BUILD_FLAGS) --group dev pyproject.toml --output-file requirements.lock
	sed -E '/^ +--hash/d; s/ \\$$//' requirements.lock > $(VENV)/constraints
	for group in cluster export parquet hard; do \
	  uv pip compile --quiet --upgrade --universal --generate-hashes $(BUILD_FLAGS) --python-version 3.11 --constraint $(VENV)/constraints --group $$group --output-file requirements-$$group.lock || exit; \
	done
	uv pip compile --quiet --upgrade --universal --generate-hashes $(BUILD_FLAGS) --python-version 3.11 --resolution lowest-direct pyproject.toml --output-file requirements-lowest.lock

page:  ## build the page of `dvc plots` for another version of Vega (needs npm)
	$(PYTHON) .dvc/page/build.py

screenshots: repro  ## take the screenshots of the report page for the docs (needs Chromium)
	python docs/screenshots.py

-include published/targets.mk

clean:  ## remove the environment and the tools' caches, but no results
	rm -rf $(VENV) node_modules .hypothesis .mypy_cache .processors_cache .pytest_cache .ruff_cache
