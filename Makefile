# Every target sets up what it needs: its own environment in .venv, pinned by hash.

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
.DEFAULT_GOAL := help

.PHONY: help setup repro test test-slow check format bench lock page screenshots clean

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
	dvc repro

test: setup  ## run the tests, on small generated data
	pytest

test-slow: repro  ## run the pipeline on MNIST and hold it against the notebook; other slow tests
	pytest -m slow

check: setup  ## lint, check the format and the types
	ruff check
	ruff format --check
	mypy

format: setup  ## format the code, mend what the linter can
	ruff format
	ruff check --fix

bench: repro  ## time the solvers beside scikit-learn's, for half an hour
	python benchmarks/solvers.py
	python benchmarks/pipeline.py

lock: setup  ## pin the newest packages that pyproject.toml allows
	uv pip compile --quiet --upgrade --universal --generate-hashes --group dev pyproject.toml --output-file requirements.lock

page:  ## build the page of dvc plots anew, for another Vega (needs npm)
	$(PYTHON) .dvc/page/build.py

screenshots: repro  ## take the pictures of the report page anew (needs Chromium)
	python docs/screenshots.py

clean:  ## remove the environment and the caches of the tools; results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
