# `make help` lists the targets.  Everything runs in a virtual environment, the activated one or
# .venv, which tools/environment.py brings up to date first: dependencies and package, once each.

PYTHON ?= python3
VENV := $(or $(VIRTUAL_ENV),.venv)
ifeq ($(OS),Windows_NT)
PY := $(VENV)/Scripts/python
else
PY := $(VENV)/bin/python
endif

# PyPy has no core, so there the one backend is tested once.
BACKENDS = $(shell $(PY) -c "import sys; print(*['c'] * (sys.implementation.name == 'cpython'), 'python')")
C_FILES = $(wildcard csrc/*.[ch] csrc/*/*.[ch])
DEBUG_FLAGS := -O0 -g3 -UNDEBUG

# As many processes as there are processors; see tests/support/turns.py.
ifneq ($(OS),Windows_NT)
SIDE_BY_SIDE := -n auto --dist worksteal
endif

# The checkout is never importable: its files are named like the standard library's.
export PYTHONSAFEPATH := 1

.DEFAULT_GOAL := help
.PHONY: help demo test quick suite oom leaks debug bench bench-short warnings lint format check \
        environment bench-environment lint-environment

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(PY):
	$(PYTHON) -m venv $(VENV)

environment: | $(PY)
	@$(PY) tools/environment.py test

bench-environment: environment
	@$(PY) tools/environment.py bench

lint-environment: | $(PY)
	@$(PY) tools/environment.py --no-package lint

demo: environment ## objects of registered types from real data, timed against the standard library
	$(PY) -m fastcopyreg bench

test: environment ## every test, on each backend that has a part in it, in under 10 minutes
	@set -e; for backend in $(BACKENDS); do echo "== backend: $$backend"; \
	  FASTCOPYREG_BACKEND=$$backend $(PY) -m pytest -q $(SIDE_BY_SIDE); done

# These are run again and again: what changed is compiled, once.
quick suite oom leaks debug: export FASTCOPYREG_PROFILE := no

quick: environment ## a sample of the tests, once for each backend, in under 90 seconds
	@set -e; for backend in $(BACKENDS); do echo "== backend: $$backend"; \
	  FASTCOPYREG_BACKEND=$$backend HYPOTHESIS_PROFILE=quick \
	  $(PY) -m pytest -q -m "not slow" --sample 6 $(SIDE_BY_SIDE); done

suite: environment ## CPython's own tests against ours: run, failed, and left out with reasons
	$(PY) tests/cpython/run.py

oom: environment ## every allocation of a dump fails once (a debug interpreter's)
	$(PY) tests/harness/oom.py

leaks: environment ## two equal phases of ordinary and failing operations
	$(PY) tests/harness/leaks.py

debug: ## the quick tests on a core with assertions and without optimisation
	@$(MAKE) --no-print-directory quick CFLAGS="$(strip $(CFLAGS) $(DEBUG_FLAGS))"

bench: bench-environment ## the workloads of benchmarks/ against their floors, and how time grows
	$(PY) benchmarks/race.py
	$(PY) benchmarks/doors.py
	$(PY) benchmarks/growth.py

bench-short: bench-environment
	$(PY) benchmarks/race.py --short

warnings: | $(PY) ## compiles the core with every warning an error; CC=clang too
	$(PY) tools/strict.py $(CC)

lint: lint-environment ## ruff and clang-format; changes nothing
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(dir $(PY))clang-format --dry-run --Werror $(C_FILES)

format: lint-environment ## lets ruff and clang-format have their way
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	$(dir $(PY))clang-format -i $(C_FILES)

check: lint test suite oom leaks debug bench demo ## all of it
