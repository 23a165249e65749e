# The two commands that a fresh machine needs: `make demo` and `make test`. Everything that they make is inside this checkout.

PYTHON ?= python3
VENV := .venv
BROWSER := tests/serve/browser
ASYNCAPI := tests/docs/asyncapi
BIN := $(VENV)/bin
LOCK_TOOLS := build/lock-tools
PIP_TOOLS := pip-tools==7.6.2

export TMPDIR := $(CURDIR)/.rollcall/tmp
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Hundreds of processes are started. To compile their modules each time takes a tenth of their start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: demo test check long chaos rolling soak fuzz audit bench axe asyncapi docs debian release picture dashboard lint format lock kafka venv clean help python java version
.NOTPARALLEL:

# A venv is good for one version of Python, so the version is part of the stamp's name.
PYTHON_VERSION = $(eval PYTHON_VERSION := $$(shell $$(PYTHON) -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null))$(PYTHON_VERSION)
STAMP = $(VENV)/.made-$(PYTHON_VERSION)

demo: java venv kafka ## a broker, a simulated Canvas, router, rosters and serve: see what comes out; KEEP=1 leaves all running
	@$(BIN)/rollcall demo $(if $(KEEP),--keep)

test: java venv ## everything that must pass, but the long cuts: lint, types, tests
	@$(MAKE) --no-print-directory kafka axe & status=0; $(MAKE) --no-print-directory lint || status=$$?; wait $$! && exit $$status
	@echo "pytest"
	@$(BIN)/python -m pytest -m "not slow" --numprocesses 4 --dist worksteal

check: venv ## lint, types, and the tests that need neither broker nor browser: a minute
	@$(MAKE) --no-print-directory lint & status=0; $(BIN)/python -m pytest -m "not broker and not cluster and not browser and not slow" --numprocesses 2 --dist worksteal || status=$$?; wait $$! && exit $$status

long: java venv kafka axe asyncapi ## the long cuts, which make test leaves out
	@$(BIN)/python -m pytest -m "slow and not alone" --numprocesses 4 --dist worksteal
	@$(BIN)/python -m pytest -m alone

chaos: java venv kafka ## everything goes wrong for 10 minutes, on a system of five processes; then everything is counted (MINUTES=, SEED=, BROKERS=3)
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1) --brokers $(or $(BROKERS),1)

rolling: java venv kafka ## each process restarted in turn while events arrive: the longest wait of a record
	@$(BIN)/python -m tests.chaos.rolling

soak: java venv kafka ## a steady load for 30 minutes: memory and lag by the minute (Linux)
	@$(BIN)/python -m tests.chaos.soak

fuzz: venv ## a million made-up inputs at every border; COUNT=10000 for fewer, SEED=2 for others
	@$(BIN)/python -m tests.fuzz $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

audit: venv ## what Rollcall is made of: pinned, installed as pinned, under licences that are allowed
	@$(BIN)/python -m tests.audit

bench: java venv kafka ## how fast router, rosters and serve are on this machine
	@$(BIN)/rollcall bench router
	@$(BIN)/rollcall bench rosters
	@$(BIN)/rollcall bench serve

# What judges the page's accessibility. Without npm its tests are skipped, and say so.
axe:
	@if command -v npm >/dev/null && [ ! -d $(BROWSER)/node_modules/axe-core ]; then npm --prefix $(BROWSER) ci --ignore-scripts --no-audit --no-fund --silent; fi

# What judges docs/asyncapi.json. Likewise.
asyncapi:
	@if command -v npm >/dev/null && [ ! -d $(ASYNCAPI)/node_modules/@asyncapi ]; then npm --prefix $(ASYNCAPI) ci --ignore-scripts --no-audit --no-fund --silent; fi

docs: venv ## docs/topics.md, docs/asyncapi.json and tables of other documents anew, from what the code knows
	@$(BIN)/python -m tests.docs.generated

debian: ## make demo and make check on a bare Debian 13, with Python 3.13: takes root and mmdebstrap; RUN="make test" for another command
	@tests/debian/run build/debian.tar "$(or $(RUN),make demo && make check)"

release: version java venv ## a commit, a tag and checked files in dist/: VERSION=1.2.0; DRY=1 to try it and change nothing. Pushes nothing
	@$(BIN)/python -m release "$(VERSION)" $(if $(DRY),--dry-run)

version:
	$(call refuse,$(if $(VERSION),,name the version: make release VERSION=1.2.0))
	@:

picture: venv ## docs/page.png anew, with Chromium
	@$(BIN)/python -m tests.serve.browser.screenshot

dashboard: venv ## deploy/grafana/rollcall.json anew, of the catalogue of metrics
	@$(BIN)/python -m deploy.grafana.dashboard

lint: venv ## ruff, mypy, and import-linter, which holds the rooms apart
	@echo "ruff check, ruff format --check, lint-imports, mypy"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@found=$$($(BIN)/lint-imports --no-cache --no-logo 2>&1) || { echo "$$found"; exit 1; }
	@$(BIN)/mypy --no-error-summary

format: venv ## put the code into its form
	@$(BIN)/ruff check --quiet --fix --exit-zero
	@$(BIN)/ruff format --quiet

# Each time: the modules are compiled anew if a source has changed, and whoever has no C compiler is told. pip would show neither.
venv: $(STAMP) ## .venv with exactly what requirements.lock names, and the compiled modules
	@$(BIN)/python hatch_build.py

$(STAMP): pyproject.toml requirements.lock | python
	@echo "making $(VENV) with Python $(PYTHON_VERSION)"
	@mkdir -p "$(TMPDIR)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@BUILD_ROLLCALL=pure $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

ifdef ROLLCALL_KAFKA
kafka java:
	@:
else
kafka: venv ## the libraries of the embedded broker, by Maven (nothing to do with ROLLCALL_KAFKA set)
	@$(BIN)/python -m rollcall.sandbox.broker libraries

# Before a minute of downloading, not after.
java: python
	$(call refuse,$(shell PYTHONPATH=app $(PYTHON) -m rollcall.sandbox.broker check 2>&1 >/dev/null))
	@:
endif

# Of requirements.lock, what running Rollcall takes, and what building its wheel takes: for machines that do nothing else.
PART = --no-annotate --constraint requirements.lock
COMPILE = env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL $(LOCK_TOOLS)/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock: | python ## requirements*.lock anew from pyproject.toml; UPGRADE=1 for the latest versions
	@echo "resolving and hashing"
	@mkdir -p "$(TMPDIR)"
	@test -x $(LOCK_TOOLS)/bin/pip-compile || { $(PYTHON) -m venv --clear $(LOCK_TOOLS) && $(LOCK_TOOLS)/bin/python -m pip install --quiet $(PIP_TOOLS); }
	@$(COMPILE) --extra dev --extra tracing $(if $(UPGRADE),--upgrade) --output-file requirements.lock pyproject.toml
	@$(COMPILE) $(PART) --extra tracing --output-file requirements-runtime.lock pyproject.toml
	@$(COMPILE) $(PART) --build-deps-for wheel --only-build-deps --output-file requirements-build.lock pyproject.toml

clean: ## remove all that make made, the embedded broker's data too
	@if test -x $(BIN)/rollcall; then $(BIN)/rollcall broker stop >/dev/null 2>&1 || true; fi
	@rm -rf $(VENV) $(BROWSER)/node_modules $(ASYNCAPI)/node_modules .rollcall build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find app tests -name __pycache__ -type d -prune -exec rm -rf {} +
	@find app -name '*.so' -delete

help:
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1	\2/p' Makefile | expand -t 16

# One line, and no target is tried: make's own report of a failed recipe would be a second one.
refuse = $(if $(strip $(1)),$(error $(strip $(1))))

python:
	$(call refuse,$(if $(filter 3.11 3.12 3.13,$(PYTHON_VERSION)),,Rollcall needs Python 3.11$(COMMA) 3.12 or 3.13 with its venv module: install it (Debian and Ubuntu: python3-venv too)$(COMMA) or name it: make PYTHON=python3.12))
	@:
COMMA := ,
