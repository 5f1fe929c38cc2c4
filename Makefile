# `make demo` runs everything on this machine, `make test` passes the tests; both need Python 3.11 or newer.
# The rest is listed by `make help`.

PORT ?= 8000
VAR ?= var
# How many test processes: three for each core, for most tests wait for other processes, but not more than eight.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
WORKERS ?= $(shell echo $$(( $(CORES) < 3 ? 3 * $(CORES) : 8 )))
# About how long each test of `make soak` takes: its numbers of trials grow with it.
MINUTES ?= 10
# More arguments for pytest: make test ARGS="-k reminders"
ARGS ?=

VENV := .venv
PYTHON := $(VENV)/bin/python
# Exactly what the lock files name, and no byte else.
INSTALL := -m pip --disable-pip-version-check --quiet install --require-hashes
LOCK := .tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"
LINT_ENVIRONMENT := DEBUG=1 DATABASE_URL=sqlite:///$(CURDIR)/.venv/lint.sqlite3

# Compiled once and not by each of the processes that a test starts: a worker is there in two thirds of the time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-reset test test-fast test-times test-browser test-package matrix soak bench house lock
.PHONY: screenshots messages lint lint-style lint-types lint-imports lint-migrations format

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  make %-14s %s\n' "$$target" "$$text"; done

demo: $(VENV)/.installed ## run the whole site with a worker, a Redis, a mail server and a story (PORT=8000)
	@$(PYTHON) -m spendsync_site.demo --port $(PORT) --var $(VAR)

demo-reset: ## remove the demo's data, so that the next `make demo` starts over
	@if [ -e $(VAR) ]; then \
		python=$(PYTHON); [ -x $$python ] || python=python3; $$python -m spendsync_site.demo --reset --var $(VAR); \
	else echo "There is no $(VAR): nothing to remove."; fi

test: $(VENV)/.installed-dev ## run the tests (TEST_DATABASE_URL=postgres://… for PostgreSQL, ARGS="-k name")
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

test-fast: $(VENV)/.installed-dev ## run what tells most within a minute, on SQLite and without workers
	TEST_DATABASE_URL= $(PYTHON) -m pytest --fast -n $(CORES) --dist loadgroup $(ARGS)

test-times: $(VENV)/.installed-dev ## measure anew which tests `make test-fast` leaves out
	TEST_DATABASE_URL= $(PYTHON) -m pytest --record-slow -n $(CORES) --dist loadgroup

test-browser: $(VENV)/.installed-dev ## run the tests that drive a browser (needs chromium)
	$(PYTHON) -m pytest -m browser -n $(CORES) --dist load $(or $(ARGS),tests/browser)

screenshots: $(VENV)/.installed-dev ## write a picture of every page of the console to docs/screenshots (needs chromium; ARGS="--only job")
	$(PYTHON) -m tests.screenshots $(ARGS)

messages: $(VENV)/.installed-dev ## collect what is marked for translation and compile the German catalogues
	$(PYTHON) -m tests.messages

test-package: $(VENV)/.installed-dev ## build the wheel, install it in an empty project and follow README there (needs pip's index)
	TEST_DATABASE_URL= $(PYTHON) -m pytest -m package -n $(CORES) --dist load $(or $(ARGS),tests/integration/test_other_project.py)

matrix: .tools/.installed ## run the tests with every Python found here and every Django that is served (SAMPLE=1 for some of them)
	SAMPLE=$(SAMPLE) WORKERS=$(WORKERS) .tools/bin/nox $(if $(ARGS),-- $(ARGS))

soak: $(VENV)/.installed-dev ## run the long trials of faults (MINUTES=10 for each, TEST_DATABASE_URL=…)
	SOAK_MINUTES=$(MINUTES) $(PYTHON) -m pytest -m soak -o faulthandler_timeout=0 $(ARGS) tests/soak

lint: lint-style lint-types lint-imports lint-migrations ## check style, types, imports between layers and migrations

lint-style: $(VENV)/.installed-dev
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

lint-types: $(VENV)/.installed-dev
	$(LINT_ENVIRONMENT) $(PYTHON) -m mypy jobqueue settlements spendsync_site

lint-imports: $(VENV)/.installed-dev
	$(LINT_ENVIRONMENT) $(VENV)/bin/lint-imports

lint-migrations: $(VENV)/.installed-dev
	$(LINT_ENVIRONMENT) $(PYTHON) manage.py makemigrations --check --dry-run

house: | $(PYTHON) ## measure whether the house is in order: lengths, circles, who does what
	@$(PYTHON) -m tests.house

bench: .bench/.installed-python .bench/.installed-node ## compare with the peers (needs redis-server, PostgreSQL, node; ARGS="--help")
	.bench/venv/bin/python -m benchmarks $(ARGS)

# What is locked already stays as it is unless the requirements exclude it or ARGS="--upgrade" renews all. All files agree
# with locks/dev.txt as far as they can: it is what uv starts from.
lock: .tools/.installed ## write locks/ anew from the requirements (ARGS="--upgrade" for the newest of all)
	$(LOCK) $(ARGS) requirements-dev.txt --output-file locks/dev.txt
	$(LOCK) $(ARGS) requirements-tools.txt --output-file locks/tools.txt
	@for name in production demo bench; do cp locks/dev.txt locks/$$name.txt; done
	$(LOCK) requirements.txt --output-file locks/production.txt
	$(LOCK) requirements-demo.txt --output-file locks/demo.txt
	$(LOCK) requirements-bench.txt --output-file locks/bench.txt

format: $(VENV)/.installed-dev ## put the code in its standard form
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

$(VENV)/.installed: locks/demo.txt | $(PYTHON)
	@echo "Installing what the demo needs into $(VENV) …"
	@$(PYTHON) $(INSTALL) -r locks/demo.txt
	@touch $@

$(VENV)/.installed-dev: locks/dev.txt | $(PYTHON)
	@echo "Installing what the tests need into $(VENV) …"
	@$(PYTHON) $(INSTALL) -r locks/dev.txt
	@touch $(VENV)/.installed $@

.tools/.installed: locks/tools.txt | $(PYTHON)
	@echo "Installing the tools into .tools …"
	@$(PYTHON) -m venv .tools
	@.tools/bin/python $(INSTALL) -r locks/tools.txt
	@touch $@

.bench/.installed-python: locks/bench.txt | $(PYTHON)
	@echo "Installing the peers of the benchmarks into .bench/venv …"
	@$(PYTHON) -m venv .bench/venv
	@.bench/venv/bin/python $(INSTALL) -r locks/bench.txt
	@touch $@

.bench/.installed-node: benchmarks/package.json
	@echo "Installing the peers on node into .bench/node …"
	@mkdir -p .bench/node && cp benchmarks/package.json .bench/node/
	@cd .bench/node && npm install --silent --no-audit --no-fund --no-package-lock
	@touch $@

$(PYTHON):
	@for candidate in python3.12 python3.11 python3.13 python3; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Creating $(VENV) with $$($$candidate --version) …"; \
			$$candidate -m venv $(VENV) && exit 0; \
			rm -rf $(VENV); \
			echo "$$candidate cannot create a virtual environment. On Debian: apt-get install python3-venv" >&2; \
			exit 1; \
		fi; \
	done; \
	echo "Python 3.11 or newer is needed; found: $$(python3 --version 2>&1)." >&2; exit 1
