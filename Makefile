# Every target sets up what it needs: its own environment in .venv, pinned by hash.

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(subst $(BIN):,,$(PATH))
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
.DEFAULT_GOAL := help

ifneq (,$(findstring :,$(CURDIR)))
  $(error The path of this folder has a colon, and PATH cannot hold that: move or rename the folder)
endif

# Of what a user tells Python, pip and uv, all is dropped but how to reach an index.
REACH := %INDEX %INDEX_URL %INDEX_STRATEGY UV_INDEX_% %FIND_LINKS %ENDPOINT_URL %CONFIG_FILE %CACHE %CACHE_DIR \
  %PROXY %CERT %CERTS %TLS %HOST %TIMEOUT %RETRIES %OFFLINE %KEYRING_PROVIDER %CREDENTIALS_DIR %NO_INPUT \
  %USE_FEATURE %USE_DEPRECATED %LINK_MODE UV_CONCURRENT_%
unexport $(filter-out PYTHON $(REACH),$(filter PYTHON% PIP_% UV_%,$(.VARIABLES)))

.PHONY: help setup environment hard repro test test-fast test-slow test-results test-hard audit check check-js verify \
  format bench lock page screenshots clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# An environment is of one path, one Python and one lock: moved or copied, it is made again.
MADE_OF = cat requirements.lock && $(VENV)/bin/python -I -c \
  'import os, sys; print(ascii(os.path.realpath("$(VENV)")), sys.implementation.cache_tag)'
IS_MADE = { $(MADE_OF); } 2>/dev/null | cmp -s - $(VENV)/complete

# The lock is on file 9, and is gone when the shell and all that it started are.
define ALONE
import fcntl
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("waiting for another make, which sets up .venv", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
endef
export ALONE
# The Python that PATH has without $(VENV), whose own may be broken.
BASE = PATH="$${PATH\#*:}" $(PYTHON)
WAIT = $(BASE) -c "$$ALONE" 2>/dev/null

setup:  ## make the environment (all other targets do so as well)
	@$(IS_MADE) || { $(WAIT); $(IS_MADE) || $(MAKE) --no-print-directory environment; } 9< requirements.lock

# What has no wheel is built by packages that requirements.lock pins, and by no others.
BUILT := --preview-features build-dependency-hashes --require-build-hashes --build-constraints requirements.lock
INSTALL := $(VENV)/bin/uv pip install --python $(VENV) --require-hashes $(BUILT) --requirement

# pip would need minutes for what uv does in seconds, and uv itself is pinned, too. Its wheel
# is fetched with pip's settings, which say where the index is, but installed without them:
# they may say to install elsewhere.
environment:
	@$(BASE) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo 'Python 3.11 or newer is needed, and $(PYTHON) is none; name one: make PYTHON=python3.12' >&2; exit 1; }
	@$(BASE) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo '$(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@test ! -L $(VENV) \
	  || { echo '$(VENV) is a link, to an environment that does not fit: remove the link' >&2; exit 1; }
	@rm -f $(VENV)/complete $(VENV)/hard
	$(BASE) -m venv --clear $(VENV)
	sed -n '/^uv==/,/# via/p' requirements.lock | $(VENV)/bin/python -m pip download --quiet --only-binary :all: \
	  --require-hashes --requirement /dev/stdin --dest $(VENV)
	PIP_CONFIG_FILE=/dev/null $(VENV)/bin/python -m pip install --quiet --no-index $(VENV)/uv-*.whl
	$(INSTALL) requirements.lock --compile-bytecode
	@$(VENV)/bin/dvc --version > /dev/null \
	  || { echo '$(VENV)/bin/dvc does not run: does a uv.toml say target or prefix?' >&2; exit 1; }
	@{ $(MADE_OF); } > $(VENV)/complete

# Only the hard tests and the audit need these; the versions of what both name are the same.
# Killed meanwhile, uv would take half a package for a whole one: so all is made again then.
hard: setup
	@cmp -s requirements-hard.lock $(VENV)/hard || { $(WAIT); mv $(VENV)/complete $(VENV)/before; \
	  $(INSTALL) requirements-hard.lock --quiet && cp requirements-hard.lock $(VENV)/hard; \
	  status=$$?; mv $(VENV)/before $(VENV)/complete; exit $$status; } 9< requirements.lock

repro: setup  ## run the whole pipeline, or what has changed of it
	@python -m commands.unlock
	dvc repro

test: setup  ## run all quick tests, on small generated data (less than 2 minutes)
	pytest --numprocesses auto --dist worksteal

# There is a process for each processor, so one thread in each is enough.
test-fast: setup  ## run the tests that need neither DVC nor a browser (less than 20 s)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 pytest --numprocesses auto --dist worksteal -m 'not (long or slow or hard or results)'

test-slow: setup  ## run the slow tests, on small generated data
	pytest --numprocesses auto --dist worksteal -m 'slow and not results'

test-results: repro  ## check the published results: README.md, metrics/, MNIST, the notebook's figures
	pytest -m results

check: setup check-js  ## lint, check the format and the types
	ruff check
	ruff format --check
	mypy

# node_modules is of one lock file. Without npm there is only a note, but an error in CI.
check-js:  ## lint and type-check the JavaScript of the report page (needs npm)
	@if command -v npm > /dev/null; then \
	  { cmp -s package-lock.json node_modules/complete \
	    || { npm ci && cp package-lock.json node_modules/complete; }; } && npm run check; \
	else \
	  echo 'JavaScript is not checked: npm is not installed (on Debian and Ubuntu: apt install npm)' >&2; \
	  exit $(if $(CI),1,0); \
	fi

# Of DVC projects in folders, those that were run here.
PROJECTS_RUN = $(sort $(patsubst %/data/models/,%,$(dir $(wildcard */data/models/*.npz))))

verify: setup  ## hash all results again and compare with dvc.lock; FIX=1 repairs
	@status=0; for folder in . $(PROJECTS_RUN); do \
	  python -m commands.verify --in $$folder $(if $(FIX),--fix) || status=$$?; \
	done; exit $$status

test-hard: hard  ## damage the pipeline in many ways, kill it KILLS times, walk STEPS steps (200)
	pytest -m hard
	python tests/mutations.py $(if $(MUTATIONS),--count $(MUTATIONS))
	python tests/same.py
	python tests/kills.py --count $(or $(KILLS),200)
	python tests/walks.py --steps $(or $(STEPS),200)

# --strict: what the service cannot say anything about counts as an error, not as sound.
audit: hard  ## ask for known vulnerabilities of the packages; check the workflow
	zizmor --offline --quiet .github/workflows
	@for lock in requirements.lock requirements-hard.lock; do \
	  said=$$(pip-audit --strict --disable-pip --require-hashes --requirement $$lock 2>&1) \
	    && { echo "$$lock: $$said"; continue; }; \
	  case $$said in \
	    *'known vulnerabilit'*) echo "$$said";; \
	    *) echo "$$lock: not audited, the advisory service did not answer:" \
	      "$$(echo "$$said" | tail -n 1)";; \
	  esac >&2; exit 1; \
	done

format: setup  ## format the code, fix what the linter can
	ruff format
	ruff check --fix

bench: repro  ## time the solvers and the pipeline, for half an hour
	python benchmarks/solvers.py
	python benchmarks/pipeline.py
	python benchmarks/answer.py
	python benchmarks/lenet.py
	python benchmarks/large.py

lock: setup  ## pin the newest packages that pyproject.toml allows
	uv pip compile --quiet --upgrade --universal --generate-hashes $(BUILT) --group dev pyproject.toml --output-file requirements.lock
	sed -E '/^ +--hash/d; s/ \\$$//' requirements.lock > $(VENV)/constraints
	uv pip compile --quiet --upgrade --universal --generate-hashes $(BUILT) --python-version 3.11 --constraint $(VENV)/constraints --group hard --output-file requirements-hard.lock

page:  ## build the page of dvc plots for another Vega (needs npm)
	$(PYTHON) .dvc/page/build.py

screenshots: repro  ## take the pictures of the report page again (needs Chromium)
	python docs/screenshots.py

-include published/targets.mk

clean:  ## remove the environment and the caches of the tools; results stay
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
