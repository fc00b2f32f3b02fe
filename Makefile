# `make help` lists the targets.  Everything runs in a virtual environment, the activated one or
# .venv, which tools/environment.py brings up to date first: dependencies and package, once each.

PYTHON ?= python3
VENV := $(or $(VIRTUAL_ENV),.venv)
ifeq ($(OS),Windows_NT)
PY := $(VENV)/Scripts/python
else
PY := $(VENV)/bin/python
endif

# PyPy has no core, and without the GIL it is not the default: there the one backend is tested once.
BACKENDS = $(shell $(PY) -c "import sys, sysconfig as s; print(*['c'] * (sys.implementation.name == \
  'cpython' and not s.get_config_var('Py_GIL_DISABLED')), 'python')")
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
        wheels stubtest release-wheels release-check bench-json dists pure sanitize portable valgrind fuzz compare \
        environment bench-environment lint-environment wheels-environment

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(PY):
	$(PYTHON) -m venv $(VENV)

environment: | $(PY)
	@$(PY) tools/environment.py test

bench-environment: environment
	@$(PY) tools/environment.py bench

lint-environment: | $(PY)
	@$(PY) tools/environment.py --no-package lint

wheels-environment: | $(PY)
	@$(PY) tools/environment.py --no-package build wheels

demo: environment ## objects of registered types from real data, timed against the standard library
	$(PY) -m fastcopyreg bench

test: environment ## every test, on each backend that has a part in it, in under 10 minutes
	@set -e; for backend in $(BACKENDS); do echo "== backend: $$backend"; \
	  FASTCOPYREG_BACKEND=$$backend $(PY) -m pytest -q $(SIDE_BY_SIDE); done

# These are run again and again: what changed is compiled, once.
quick suite oom leaks debug pure valgrind fuzz stubtest: export FASTCOPYREG_PROFILE := no

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

bench: bench-environment ## the workloads of benchmarks/ against their floors, memory, and how time grows
	$(PY) benchmarks/race.py
	$(PY) benchmarks/doors.py
	$(PY) benchmarks/peaks.py
	$(PY) benchmarks/growth.py

bench-short: bench-environment
	$(PY) benchmarks/race.py --short

pure: ## the quick tests on a package without a core
	@$(MAKE) --no-print-directory quick FASTCOPYREG_EXTENSION=no BACKENDS=python

sanitize: | $(PY) ## the quick tests with AddressSanitizer and UBSan
	$(PY) tools/sanitize.py

portable: | $(PY) ## 32 bits, a big-endian machine, other systems' compilers: what of it can be tried here
	@$(PY) tools/environment.py --no-package portable
	$(PY) tools/portable.py $(TARGETS)

valgrind: environment ## every tenth test under valgrind, which takes hours
	PYTHONMALLOC=malloc HYPOTHESIS_PROFILE=quick FASTCOPYREG_BACKEND=c valgrind --quiet \
	  --error-exitcode=1 --leak-check=no --exit-on-first-error=no \
	  $(PY) -m pytest -q -m "not slow and not alone" --sample 1 --timeout 3600

fuzz: environment ## random graphs and pickles, FUZZ=600 seconds for each fuzzer
	@set -e; for fuzzer in fuzz fuzz_loads fuzz_copies; do \
	  $(PY) tests/harness/$$fuzzer.py --seconds $(or $(FUZZ),600); done

bench-json: bench-environment # pytest-benchmark's suites, for whoever reads its JSON
	@mkdir -p build
	$(PY) -m pytest -q benchmarks --scale 0.1 --benchmark-json=build/pytest-benchmark.json

compare: bench-environment ## the races against those of the checkout BASE=../base
	@test -n "$(BASE)" || { echo "make compare BASE=../base"; exit 2; }
	$(PYTHON) -m venv build/base
	build/base/bin/python $(BASE)/tools/environment.py test
	$(PY) benchmarks/compare.py $(CURDIR)/build/base/bin/python --json build/compare.json \
	  --svg build/compare.svg $(addprefix --summary ,$(GITHUB_STEP_SUMMARY)) $(RACES)

dists: wheels-environment ## the sdist, and from it the pure wheel
	$(PY) -m build --no-isolation --sdist --outdir dist .
	FASTCOPYREG_EXTENSION=no $(PY) -m build --wheel --outdir dist .
	$(PY) -m twine check --strict dist/*

release-check: # that TAG, v1.2.3, is the package's version
	grep -qx '__version__ = "$(TAG:v%=%)"' src/fastcopyreg/__init__.py

release-wheels: | $(PY) ## what cibuildwheel builds here (ARCHS=ppc64le)
	@$(PY) tools/environment.py --no-package build wheels
	$(PY) -m cibuildwheel --output-dir dist $(addprefix --archs ,$(ARCHS))

wheels: wheels-environment ## sdist, from it a wheel for each interpreter there is (VERSIONS=3.14), each tried
	$(PY) tools/wheels.py $(VERSIONS)

warnings: | $(PY) ## compiles the core with every warning an error; CC=clang too
	$(PY) tools/strict.py $(CC)

lint: lint-environment stubtest ## ruff, clang-format, mypy, pyright, and the workflows' checkers; changes nothing
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(dir $(PY))clang-format --dry-run --Werror $(C_FILES)
	$(dir $(PY))zizmor --offline --no-progress --quiet .github action.yml
	$(PY) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(PY) -m check_jsonschema --builtin-schema vendor.github-actions action.yml
	$(PY) -m check_jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	MYPYPATH=src $(PY) -m mypy -p fastcopyreg
	MYPYPATH=src $(PY) -m mypy --ignore-missing-imports examples
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PY) -m pyright

stubtest: environment ## the stubs against what they are of
	@$(PY) tools/environment.py lint
	$(PY) -m mypy.stubtest fastcopyreg --concise --ignore-unused-allowlist \
	  --allowlist tools/stubtest.allow --mypy-config-file pyproject.toml

format: lint-environment ## lets ruff and clang-format have their way
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	$(dir $(PY))clang-format -i $(C_FILES)

check: test suite oom leaks debug bench demo lint ## all of it
