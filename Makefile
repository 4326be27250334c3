# The two commands a newcomer needs: `make demo` and `make test`. Both set up by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.towerwatch-setup
TRAIN  := .venv-train
WHEEL  := build/wheel
ARGS   ?=
ROOMS  := towerwatch streams models edge alerts configs

.PHONY: help setup setup-train demo test test-train check static bench lock wheel clean

help:
	@echo "make demo [ARGS=--once]  set up and run everything on rendered cameras"
	@echo "make test [ARGS=...]     set up and run the tests on the built wheel"
	@echo "make setup-train         the environment in which detectors are trained (several GB), .venv-train"
	@echo "make test-train          the tests that need it"
	@echo "make check               linter, types, import rules and the tests"
	@echo "make bench               the quick form of every benchmark, results in bench-results/"
	@echo "make lock                resolve requirements.lock anew from pyproject.toml"

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 15) else "Towerwatch needs Python 3.11 to 3.14; this is %d.%d: make PYTHON=python3.12 ..." % v[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/towerwatch demo $(ARGS)

# The suite sees the packages of the wheel, not those of the checkout: PYTHONPATH goes before both.
wheel: setup
	rm -rf build dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(WHEEL) dist/*.whl

test: wheel
	PYTHONPATH=$(CURDIR)/$(WHEEL) PYTHONSAFEPATH=1 $(BIN)/pytest $(ARGS)

# Training has an environment of its own: torch is large, and its packages must not reach an edge box.
setup-train: $(TRAIN)/.towerwatch-setup

$(TRAIN)/.towerwatch-setup: pyproject.toml
	test -x $(TRAIN)/bin/python || $(PYTHON) -m venv $(TRAIN)
	$(TRAIN)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -e '.[train]' pytest pytest-timeout hypothesis
	@touch $@

test-train: setup-train
	$(TRAIN)/bin/python -m pytest -m train tests/models $(ARGS)

static: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: static
	$(if $(SKIP_TESTS),,$(MAKE) test)

bench: setup
	mkdir -p bench-results
	for name in $$(ls benchmarks/*.py | xargs -n1 basename -s .py | grep -v -e __init__ -e ^_ -e density_box -e density_peers); do \
	  grep -q '__main__' benchmarks/$$name.py || continue; \
	  $(BIN)/python -m benchmarks.$$name --quick --json bench-results/$$name.json || exit 1; \
	done

lock: setup
	$(BIN)/uv pip compile --quiet --universal --no-strip-extras --python-version 3.11 --generate-hashes --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf build dist .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis artefacts bench-results
