# Everything that is needed after cloning:  make demo,  make test.

PYTHON ?= python3
VENV ?= .venv
# Further options for pip, e.g. PIP_ARGS='--extra-index-url ...' for a CPU-only build of torch.
PIP_ARGS ?=
# Further options for pytest, e.g. PYTEST_ARGS='-m "not slow"'.
PYTEST_ARGS ?=

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-extras lint format clean

IN_VENV := $(VENV)/bin/python
RUNTIME := $(VENV)/runtime.stamp
DEV := $(VENV)/dev.stamp
EXTRAS := $(VENV)/extras.stamp
# Tests that are skipped without an extra, or without a browser.
EXTRAS_TESTS := tests/data/sumo tests/envs/traffic/test_sumo_traffic.py tests/eval/test_replay.py \
	tests/eval/test_to_minari.py tests/ppuu/policies/test_stable_worldmodel_adapter.py \
	tests/train/test_sb3.py

# pip, with a line for each large download instead of silence or a page of names.
INSTALL = $(IN_VENV) -m pip install --disable-pip-version-check -c constraints.txt $(PIP_ARGS)
PROGRESS = awk '/^ *Downloading .*(MB|GB)/ { sub(/-.*/, "", $$2); print "  downloading", $$2, $$3, $$4; fflush() } \
	/^Installing collected/ { print "  unpacking " NF - 3 " packages"; fflush() }'
# A missing system library ends here, in one line, and not in a traceback of the program.
CHECK = @$(IN_VENV) -c 'from ppuu.runtime import command, packages; command.run(packages.import_opencv, [])'

PYTEST = OMP_NUM_THREADS=1 $(IN_VENV) -m pytest --typecheck -n auto --dist worksteal

help:
	@echo "make demo    install into $(VENV)/ and run the whole path on generated traffic"
	@echo "             (report: runs/demo/report.html)"
	@echo "make test    install the development tools, too, and run the tests"
	@echo "make test-extras   install the extras, too, and run the tests that need them"
	@echo "make lint    ruff and pyright"
	@echo "make format  let ruff mend what it can"
	@echo "make clean   remove $(VENV)/ and caches; runs/ stays"

demo: $(RUNTIME)
	$(CHECK)
	$(IN_VENV) -m eval.demo

test: $(DEV)
	$(CHECK)
	$(PYTEST) $(PYTEST_ARGS)

test-extras: $(EXTRAS)
	$(CHECK)
	$(PYTEST) $(PYTEST_ARGS) $(EXTRAS_TESTS)

lint: $(DEV)
	@status=0; \
	for tool in "ruff check ." "ruff format --check ." "pyright --pythonpath $(IN_VENV)"; do \
	  echo "$$tool"; $(IN_VENV) -m $$tool || status=1; \
	done; exit $$status

format: $(DEV)
	$(IN_VENV) -m ruff check --fix .
	$(IN_VENV) -m ruff format .

clean:
	rm -rf "$(VENV)" build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +

$(RUNTIME): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "error: no $(PYTHON) found; install Python 3.10 or newer, or name it: make PYTHON=..." >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "error: $$("$(PYTHON)" --version 2>&1) is too old; name Python 3.10 or newer: make PYTHON=..." >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install $$("$(PYTHON)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 2; }
	@"$(IN_VENV)" -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear "$(VENV)"
	@echo "installing into $(VENV)/: one to a few minutes, most of it for torch"
	@$(INSTALL) -e . | $(PROGRESS)
	@touch $@

$(DEV): $(RUNTIME)
	@echo "installing the development tools into $(VENV)/"
	@$(INSTALL) -e '.[dev]' | $(PROGRESS)
	@touch $@

$(EXTRAS): $(DEV)
	@echo "installing the extras into $(VENV)/"
	@$(INSTALL) -e '.[sumo,minari,baselines,solvers]' | $(PROGRESS)
	@touch $@
