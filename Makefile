# Every target sets up what it needs: its own environment in .venv, pinned by hash.

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
.DEFAULT_GOAL := help

.PHONY: help setup repro test test-slow test-hard check verify format bench lock page \
  screenshots clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/complete  ## make the environment (all other targets do so as well)

# pip would need minutes for what uv does in seconds, and uv itself is pinned, too.
$(VENV)/complete: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Python 3.11 or newer is needed; name one: make PYTHON=python3.12' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	sed -n '/^uv==/,/# via/p' requirements.lock | $(VENV)/bin/pip install --quiet --require-hashes --requirement /dev/stdin
	$(VENV)/bin/uv pip install --python $(VENV) --compile-bytecode --require-hashes --requirement requirements.lock
	@touch $@

repro: setup  ## run the whole pipeline, or what has changed of it
	@# killed while it wrote its list of locks, DVC would refuse to start
	@find .dvc -path .dvc/tmp/rwlock -empty -delete
	dvc repro

test: setup  ## run the tests, on small generated data
	pytest

test-slow: repro  ## run the pipeline on MNIST and hold it against the notebook; other slow tests
	pytest -m slow

check: setup  ## lint, check the format and the types
	ruff check
	ruff format --check
	mypy

verify: setup  ## hash all results again and hold them against dvc.lock; FIX=1 mends
	python -m commands.verify $(if $(FIX),--fix)

test-hard: setup  ## kill the pipeline KILLS times (200) at random instants, for minutes
	python tests/kills.py --count $(or $(KILLS),200)

format: setup  ## format the code, mend what the linter can
	ruff format
	ruff check --fix

bench: repro  ## time the solvers and the pipeline, for half an hour
	python benchmarks/solvers.py
	python benchmarks/pipeline.py
	python benchmarks/answer.py
	python benchmarks/large.py

lock: setup  ## pin the newest packages that pyproject.toml allows
	uv pip compile --quiet --upgrade --universal --generate-hashes --group dev pyproject.toml --output-file requirements.lock

page:  ## build the page of dvc plots anew, for another Vega (needs npm)
	$(PYTHON) .dvc/page/build.py

screenshots: repro  ## take the pictures of the report page anew (needs Chromium)
	python docs/screenshots.py

clean:  ## remove the environment and the caches of the tools; results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
