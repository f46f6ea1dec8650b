# Everything goes through .venv in this checkout; each target installs what it needs first.
# pip's own settings are honoured. On a machine without a GPU this spares a download of some gigabytes:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make env
PYTHON ?= python3
BIN := .venv/bin
MAIN := .venv/.installed-main
FULL := .venv/.installed-full
LLAMA := .venv/.installed-llama
# Set while pip writes. Found afterwards, it means an install that was killed: such a .venv is made anew.
BUSY := .venv/.installing
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)
EVERYTHING := [saes,gguf,test,dev]
LOCKED := pyproject.toml constraints.txt
# Tests run in two processes: with one thread each they do not fight over the cores. Each process begins with a half
# of the files in their order, so that what a file sets up is mostly made once. Bytecode is written, whatever the
# environment says: otherwise each of the commands that tests start compiles the package anew.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=

# A test that still runs after so many seconds, many times what any takes, waits for ever: it is named and fails, and
# the others go on in a new process.
HUNG := -o faulthandler_exit_on_timeout=true -o faulthandler_timeout

.DEFAULT_GOAL := help
.PHONY: help env demo test test-all test-ray notebooks check docs bench figures browser clean

help:
	@echo "make env       .venv with everything (PYTHON=python3.12 chooses the interpreter)"
	@echo "make demo      the shipped pairs judged; reports in build/demo"
	@echo "make test      tests        make test-all  slow ones too, notebooks among them"
	@echo "make test-ray  parts of a job on a Ray of this machine"
	@echo "make notebooks every notebook, run from top to bottom"
	@echo "make check     format, lint, types, layers, documentation, notebooks"
	@echo "make docs      documentation into build/site"
	@echo "make bench     benchmarks into build/bench.json and docs/performance.md"
	@echo "make figures   the README's figure, from the demo; pages and tables on the organisms in docs/"
	@echo "make clean     removes build/ and caches; .venv stays"

# A stamp is written only after the install has ended, so that an interrupted one is done again.
# torch comes first and by its pin alone, so that no other requirement can choose a different build of it.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "undertext needs Python 3.11 or newer: choose one with PYTHON=..." >&2; exit 1; }
	@if [ -e $(BUSY) ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then $(PYTHON) -m venv --clear .venv; fi
	@touch $(BUSY)
	@$(BIN)/python -m pip install --disable-pip-version-check '$(TORCH)' -c constraints.txt \
		&& $(BIN)/python -m pip install --disable-pip-version-check -e '.$(1)' -c constraints.txt; \
		status=$$?; rm -f $(BUSY); exit $$status
endef

$(MAIN): $(LOCKED)
	$(call install)
	@touch $(MAIN)

$(FULL): $(LOCKED)
	$(call install,$(EVERYTHING))
	@touch $(MAIN) $(FULL)

env: $(FULL)

# The demo needs the main dependencies alone; a full .venv serves as well, since it sets both stamps.
demo: $(MAIN)
	$(BIN)/undertext demo --out build/demo

test: $(FULL) browser
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist worksteal $(HUNG)=1200

# Two parts and an error on a real Ray. Its tests with several nodes, of which one is killed, are in `make test-all`.
test-ray: $(FULL)
	$(ONE_THREAD) $(BIN)/python -m pytest $(HUNG)=600 -m "" tests/core/test_ray_here.py

# A slow test runs vectors in llama.cpp, which is compiled here: some minutes, once. Where that fails, the test fails
# too, and the others run all the same.
$(LLAMA): $(FULL)
	-CMAKE_ARGS="-DLLAVA_BUILD=OFF" $(BIN)/python -m pip install --disable-pip-version-check llama-cpp-python \
		-c constraints.txt && touch $(LLAMA)

test-all: $(FULL) $(LLAMA) browser
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist worksteal $(HUNG)=5400 -m ""

# What each took is printed at the end: it should stay under 180 seconds on two free cores.
notebooks: $(FULL)
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist worksteal $(HUNG)=1200 -m "" \
		--durations=0 --durations-min=1 tests/test_notebooks.py

check: $(FULL)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict
	$(BIN)/python .ci/check_notebooks.py notebooks
	$(BIN)/python .ci/wrap_docs.py --check README.md CONTRIBUTING.md docs/*.md

docs: $(FULL)
	$(BIN)/mkdocs build --strict
	@echo "open build/site/index.html"

bench: $(FULL)
	$(ONE_THREAD) $(BIN)/python benchmarks/run_all.py

# The figure in the README comes out of the demo; the pages measure every organism.
figures: demo $(FULL)
	mkdir -p docs/figures
	cp build/demo/figures/opened.svg docs/figures/opened.svg
	for page in zoo zoo_recovered zoo_features routes fates; do \
		$(ONE_THREAD) $(BIN)/python -m docs.make $$page --out docs || exit 1; \
	done

browser: $(FULL)
	@$(BIN)/python tests/browser.py

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
