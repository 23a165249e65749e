# Begin with `make demo` and `make test`. All files that they create are inside this checkout.

PYTHON ?= python3
VENV := .venv
BROWSER := tests/serve/browser
ASYNCAPI := tests/docs/asyncapi
BIN := $(VENV)/bin
LOCK_TOOLS := build/lock-tools
PIP_TOOLS := pip-tools==7.6.2

export TMPDIR := $(CURDIR)/.rollcall/tmp
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Hundreds of processes start. Compiling their modules each time would take a tenth of their start
# time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: demo test check long chaos rolling soak fuzz audit bench axe asyncapi docs debian release picture dashboard lint format lock kafka venv clean help python java version
.NOTPARALLEL:

# A venv works with one version of Python, so the stamp's name contains the version.
PYTHON_VERSION = $(eval PYTHON_VERSION := $$(shell $$(PYTHON) -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null))$(PYTHON_VERSION)
STAMP = $(VENV)/.made-$(PYTHON_VERSION)

demo: java venv kafka ## run a broker, a simulated Canvas and all processes; KEEP=1 keeps them
	@$(BIN)/rollcall demo $(if $(KEEP),--keep)

test: java venv ## run all checks except the long tests: lint, types, tests
	@$(MAKE) --no-print-directory kafka axe & status=0; $(MAKE) --no-print-directory lint || status=$$?; wait $$! && exit $$status
	@echo "pytest"
	@$(BIN)/python -m pytest -m "not slow" --numprocesses 4 --dist worksteal

check: venv ## run lint, types, and tests without broker and browser: one to three minutes
	@$(MAKE) --no-print-directory lint & status=0; $(BIN)/python -m pytest -m "not broker and not cluster and not browser and not slow" --numprocesses 2 --dist worksteal || status=$$?; wait $$! && exit $$status

long: java venv kafka axe asyncapi ## run the long tests, which make test leaves out
	@$(BIN)/python -m pytest -m "slow and not alone" --numprocesses 4 --dist worksteal
	@$(BIN)/python -m pytest -m alone

chaos: java venv kafka ## inject faults for 10 minutes, compare all (MINUTES=, SEED=, BROKERS=3, RECONCILE=1, INGEST=1)
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1) --brokers $(or $(BROKERS),1) $(if $(RECONCILE),--reconcile) $(if $(INGEST),--ingest)

rolling: java venv kafka ## restart processes in turn, measure delays of records
	@$(BIN)/python -m tests.chaos.rolling

soak: java venv kafka ## run a steady load for 30 minutes, measure memory and lag (Linux)
	@$(BIN)/python -m tests.chaos.soak

fuzz: venv ## test a million generated inputs; COUNT=10000 for fewer, SEED=2 for others
	@$(BIN)/python -m tests.fuzz $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

audit: venv ## check that dependencies are pinned and their licences allowed
	@$(BIN)/python -m tests.audit

bench: java venv kafka ## measure router, rosters, serve, ingest and reconcile on this machine
	@$(BIN)/rollcall bench router
	@$(BIN)/rollcall bench rosters
	@$(BIN)/rollcall bench serve
	@$(BIN)/rollcall bench ingest
	@$(BIN)/rollcall bench sqs
	@$(BIN)/rollcall bench reconcile

# axe checks the page's accessibility. Without npm, its tests are skipped with a message.
axe:
	@if command -v npm >/dev/null && [ ! -d $(BROWSER)/node_modules/axe-core ]; then npm --prefix $(BROWSER) ci --ignore-scripts --no-audit --no-fund --silent; fi

# The parser that checks docs/asyncapi.json; skipped in the same way.
asyncapi:
	@if command -v npm >/dev/null && [ ! -d $(ASYNCAPI)/node_modules/@asyncapi ]; then npm --prefix $(ASYNCAPI) ci --ignore-scripts --no-audit --no-fund --silent; fi

docs: venv ## rewrite docs/topics.md, docs/asyncapi.json and other documents' tables
	@$(BIN)/python -m tests.docs.generated

debian: ## test on a bare Debian 13, as root, with mmdebstrap (RUN="make test")
	@tests/debian/run build/debian.tar "$(or $(RUN),make demo && make check)"

release: version java venv ## make commit, tag and dist/ of VERSION=1.2.0; DRY=1 changes nothing
	@$(BIN)/python -m release "$(VERSION)" $(if $(DRY),--dry-run)

version:
	$(call refuse,$(if $(VERSION),,name the version: make release VERSION=1.2.0))
	@:

picture: venv ## rewrite docs/page.png, with Chromium
	@$(BIN)/python -m tests.serve.browser.screenshot

dashboard: venv ## rewrite deploy/grafana/rollcall.json from the metrics
	@$(BIN)/python -m deploy.grafana.dashboard

lint: venv ## run ruff, mypy, and import-linter (layers of packages)
	@echo "ruff check, ruff format --check, lint-imports, mypy"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@found=$$($(BIN)/lint-imports --no-cache --no-logo 2>&1) || { echo "$$found"; exit 1; }
	@$(BIN)/mypy --no-error-summary

format: venv ## format the code
	@$(BIN)/ruff check --quiet --fix --exit-zero
	@$(BIN)/ruff format --quiet

# Runs each time: it compiles changed modules, and reports a missing C compiler. pip would hide
# both.
venv: $(STAMP) ## make .venv from requirements.lock, and the compiled modules
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
kafka: venv ## get the embedded broker's libraries with Maven (not with ROLLCALL_KAFKA)
	@$(BIN)/python -m rollcall.sandbox.broker libraries

# Check Java before a minute of downloading, not after.
java: python
	$(call refuse,$(shell PYTHONPATH=app $(PYTHON) -m rollcall.sandbox.broker check 2>&1 >/dev/null))
	@:
endif

# Parts of requirements.lock, for machines that only run Rollcall or only build its wheel.
PART = --no-annotate --constraint requirements.lock
COMPILE = env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL $(LOCK_TOOLS)/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock: | python ## rewrite requirements*.lock; UPGRADE=1 for the latest versions
	@echo "resolving and hashing"
	@mkdir -p "$(TMPDIR)"
	@test -x $(LOCK_TOOLS)/bin/pip-compile || { $(PYTHON) -m venv --clear $(LOCK_TOOLS) && $(LOCK_TOOLS)/bin/python -m pip install --quiet $(PIP_TOOLS); }
	@$(COMPILE) --extra demo --extra dev --extra https --extra sqs --extra tracing $(if $(UPGRADE),--upgrade) --output-file requirements.lock pyproject.toml
	@$(COMPILE) $(PART) --extra https --extra sqs --extra tracing --output-file requirements-runtime.lock pyproject.toml
	@$(COMPILE) $(PART) --build-deps-for wheel --only-build-deps --output-file requirements-build.lock pyproject.toml

clean: ## remove all files that make created, including the broker's data
	@if test -x $(BIN)/rollcall; then $(BIN)/rollcall broker stop >/dev/null 2>&1 || true; fi
	@rm -rf $(VENV) $(BROWSER)/node_modules $(ASYNCAPI)/node_modules .rollcall build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find app tests -name __pycache__ -type d -prune -exec rm -rf {} +
	@find app -name '*.so' -delete

help:
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1	\2/p' Makefile | expand -t 16

# Stop with one line before any target runs: make would report a failed recipe with a second one.
refuse = $(if $(strip $(1)),$(error $(strip $(1))))

python:
	$(call refuse,$(if $(filter 3.11 3.12 3.13,$(PYTHON_VERSION)),,Rollcall needs Python 3.11$(COMMA) 3.12 or 3.13 with its venv module: install it (Debian and Ubuntu: python3-venv too)$(COMMA) or name it: make PYTHON=python3.12))
	@:
COMMA := ,
