# Every target sets up what it needs: its own environment in .venv, pinned by hash.

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
.DEFAULT_GOAL := help

.PHONY: help setup repro test test-fast test-slow test-results test-hard audit check verify format bench lock \
  page screenshots clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/complete  ## make the environment (all other targets do so as well)

# pip would need minutes for what uv does in seconds, and uv itself is pinned, too.
$(VENV)/complete: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Python 3.11 or newer is needed; name one: make PYTHON=python3.12' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	sed -n '/^uv==/,/# via/p' requirements.lock | $(VENV)/bin/pip install --quiet --require-hashes --requirement /dev/stdin
	$(VENV)/bin/uv pip install --python $(VENV) --compile-bytecode --require-hashes --requirement requirements.lock
	@touch $@

# Only the hard tests and the audit need these; the versions of what both name are the same.
$(VENV)/hard: requirements-hard.lock $(VENV)/complete
	$(VENV)/bin/uv pip install --quiet --python $(VENV) --require-hashes --requirement requirements-hard.lock
	@touch $@

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

check: setup  ## lint, check the format and the types
	ruff check
	ruff format --check
	mypy

# Of DVC projects in folders, those that were run here.
PROJECTS_RUN = $(sort $(patsubst %/data/models/,%,$(dir $(wildcard */data/models/*.npz))))

verify: setup  ## hash all results again and compare with dvc.lock; FIX=1 repairs
	@status=0; for folder in . $(PROJECTS_RUN); do \
	  python -m commands.verify --in $$folder $(if $(FIX),--fix) || status=$$?; \
	done; exit $$status

test-hard: $(VENV)/hard  ## damage the pipeline in many ways, and kill it KILLS times (200)
	pytest -m hard
	python tests/mutations.py $(if $(MUTATIONS),--count $(MUTATIONS))
	python tests/same.py
	python tests/kills.py --count $(or $(KILLS),200)

# --strict: what the service cannot say anything about counts as an error, not as sound.
audit: $(VENV)/hard  ## ask for known vulnerabilities of the packages; check the workflow
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
	uv pip compile --quiet --upgrade --universal --generate-hashes --group dev pyproject.toml --output-file requirements.lock
	sed -E '/^ +--hash/d; s/ \\$$//' requirements.lock > $(VENV)/constraints
	uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --constraint $(VENV)/constraints --group hard --output-file requirements-hard.lock

page:  ## build the page of dvc plots for another Vega (needs npm)
	$(PYTHON) .dvc/page/build.py

screenshots: repro  ## take the pictures of the report page again (needs Chromium)
	python docs/screenshots.py

-include published/targets.mk

clean:  ## remove the environment and the caches of the tools; results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
