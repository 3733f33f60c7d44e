# `make demo` and `make test` do all set-up; see README.md. Stamps in .venv make repeated runs instant.
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
# One more than the cores of a small machine, as tests wait for clusters; who is done takes work over.
WORKERS ?= 3
SLOW_WORKERS ?= 2
PYTEST_ARGS ?=

.PHONY: help demo test test-slow lint bench lock vendor states ci clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     the portal with simulated clusters (PORT, CLUSTERS, SPEED, DATA_DIR, DEMO_PASSWORD)"
	@echo "make test     the quick suite, then its PostgreSQL part where a server is installed"
	@echo "make test-slow  whole processes: browser, demo, kill -9, faults, a real Prometheus"
	@echo "make lint     style, types, layers, migrations, lock files, generated documents"
	@echo "make bench    the product against its floors"
	@echo "make lock     compile requirements*.txt and package-lock.json again"
	@echo "make vendor   front-end files to static/vendor"
	@echo "make states   docs/states.md from the state machines"

# --- set-up ---------------------------------------------------------------------------------------

.venv/.runtime: requirements.txt scripts/venv.py
	@$(PYTHON) scripts/venv.py requirements.txt
	@touch $@

.venv/.dev: requirements.txt requirements-dev.txt scripts/venv.py
	@$(PYTHON) scripts/venv.py requirements.txt requirements-dev.txt
	@touch $@ .venv/.runtime

static/vendor/VENDOR.json: package-lock.json scripts/vendor.py | .venv/.runtime
	@$(PY) scripts/vendor.py
	@touch $@

vendor: static/vendor/VENDOR.json

# --- what people run ------------------------------------------------------------------------------

demo: .venv/.runtime static/vendor/VENDOR.json
	@exec $(PY) -m fleetportal.console.demo

test: .venv/.dev static/vendor/VENDOR.json
	@echo "== The suite on SQLite"
	@$(PY) -m pytest -q -m "not slow" -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)
	@echo "== What differs between databases, on PostgreSQL"
	@$(PY) scripts/with_postgres.py --optional -- $(PY) -m pytest -q -m postgres $(PYTEST_ARGS)

# A file's tests stay together: many share whole processes.
test-slow: .venv/.dev static/vendor/VENDOR.json
	@$(PY) -m pytest -q -m slow -n $(SLOW_WORKERS) --dist loadfile $(PYTEST_ARGS)

lint: .venv/.dev
	@echo "== ruff" && .venv/bin/ruff check . && .venv/bin/ruff format --check .
	@echo "== layers" && .venv/bin/lint-imports --no-logo
	@echo "== lock files" && $(PY) scripts/check_locks.py
	@echo "== settings, migrations, generated documents"
	@$(PY) manage.py check --fail-level WARNING
	@$(PY) manage.py makemigrations --check --dry-run
	@$(PY) manage.py states --check
	@echo "== mypy --strict" && .venv/bin/mypy .

bench: .venv/.dev
	@$(PY) -m bench

states: .venv/.runtime
	@$(PY) manage.py states

# --- keeping the pins -----------------------------------------------------------------------------

UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header

lock:
	$(UV_COMPILE) requirements.in -o requirements.txt
	$(UV_COMPILE) requirements-dev.in -o requirements-dev.txt
	npm install --package-lock-only --ignore-scripts
	$(PYTHON) scripts/check_locks.py

ci:
	@.ci/run

clean:
	rm -rf .venv node_modules static/vendor .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
