# The few commands of this house; `make help` lists them. Every recipe is also in README.md in plain commands.

PORT ?=
HOST ?=
VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check --no-input --require-hashes
# The newest Python the requirements were tried with comes first; anything older than 3.11 does not count.
FIND_PYTHON = for python in python3.13 python3.12 python3.11 python3 python; do \
		if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (4,))' 2>/dev/null; \
		then echo $$python; break; fi; done

.DEFAULT_GOAL := help
.PHONY: help run test proof style types bench browser lock clean
.DELETE_ON_ERROR:

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp ## install what is missing and serve the console on http://127.0.0.1:8000/
	@exec $(PYTHON) manage.py console $(if $(HOST),--host '$(HOST)') $(if $(PORT),--port '$(PORT)')

test: $(VENV)/test.stamp browser ## everything: style, types, templates, then the suite
	@failed=; \
	$(PYTHON) -m ruff check . || failed=1; \
	$(PYTHON) -m mypy || failed=1; \
	find templates -name '*.html' -exec $(VENV)/bin/djade --check --target-version 5.2 {} + || failed=1; \
	$(PYTHON) -m pytest --numprocesses 2 --dist loadfile $(PYTEST) || failed=1; \
	test -z "$$failed"

proof: $(VENV)/test.stamp browser ## the long forms: thousands of frames, dozens of kills; each at most ten minutes
	@$(PYTHON) -m pytest -m long -s $(PYTEST)

style: $(VENV)/test.stamp ## put imports, Python and templates into their form
	@$(PYTHON) -m ruff check --fix .
	@find templates -name '*.html' -exec $(VENV)/bin/djade --target-version 5.2 {} +

types: $(VENV)/test.stamp ## check the types alone
	@$(PYTHON) -m mypy

bench: $(VENV)/test.stamp ## measure: how much is recorded, shown and relayed how fast
	@$(PYTHON) -m pytest -m bench -s $(PYTEST)

browser: ## install Chromium for the browser tests, where the system's package manager can
	@scripts/install-chromium

lock: $(VENV)/test.stamp ## resolve requirements/*.in again into hash-pinned files for every platform
	@scripts/lock-requirements $(PYTHON)

clean: ## remove the environment and caches; sessions in var/ stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then \
		echo 'Realtime Console needs Python 3.11 or newer, and none is on the PATH.' >&2; exit 1; fi; \
	$$python -m venv $(VENV) || { \
		echo "$$python cannot make an environment; on Debian and Ubuntu: apt install python3-venv" >&2; \
		rm -rf $(VENV); exit 1; }

$(VENV)/run.stamp: requirements/run.txt | $(VENV)/bin/python
	@echo 'Installing what the console needs (once) …'
	@$(PIP) --requirement requirements/run.txt
	@touch $@

# The tests' requirements contain the console's, so installing them satisfies both.
$(VENV)/test.stamp: requirements/test.txt | $(VENV)/bin/python
	@echo 'Installing what the tests need (once) …'
	@$(PIP) --requirement requirements/test.txt
	@touch $@ $(VENV)/run.stamp
