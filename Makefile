# Everything works from a bare checkout: each target installs what it needs.
# The newest Python that the lock files cover. `make PYTHON=/path/to/python run` chooses another.
PYTHON = $(eval PYTHON := $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$python; break; }; done))$(PYTHON)
BIN = .venv/bin
LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
SCALE = 20000
# Tests of API, races and worker, which `make chaos` also runs behind PgBouncer.
POOLED = tests/por/db/test_pooler.py tests/test_writes.py tests/test_idempotency.py tests/por/api \
	tests/associations/record/test_races.py tests/associations/subscriptions/test_api.py \
	tests/associations/attaching/test_bulk.py tests/por/history/test_worker.py tests/por/notifications \
	tests/por/imports tests/por/management/test_load_estate.py
# For commands that read the settings and need no server.
NOWHERE = SECRET_KEY=none DATABASE_URL=postgres://none/none REDIS_URL=redis://none EMAIL_URL=smtp://none

# Many containers set this. Each of the many processes of a test run would compile all code anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run count test crawl brokers fuzz chaos check bench messages types lock clean python runtime development tools
.SILENT:

run: runtime                ## the whole product on this machine; Ctrl-C stops it
	exec $(BIN)/python -m por.embedded --with-parent

test: development tools     ## all tests, on servers of their own
	$(NOWHERE) $(BIN)/python manage.py compile_catalogues
	$(BIN)/python -m pytest -n 4

crawl: development tools   ## every address, method and role of tests/permissions.csv, one request each, and more of what the tests try
	$(BIN)/python -m pytest -n 4 -m crawl

brokers: development tools  ## the whole product on RabbitMQ and behind a Sentinel
	test -e /usr/lib/rabbitmq/bin/rabbitmq-server || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rabbitmq-server >/dev/null; }
	$(BIN)/python -m pytest -m brokers tests/por

count: development          ## how many of the product's files and functions one change, one list and one mail pass through
	$(BIN)/python -m pytest tests/entered.py -q -s 2>/dev/null | grep -E "^\||functions:|failed"

fuzz: development           ## odd requests to every form and endpoint, for FUZZ_SECONDS, each time others
	FUZZ_SECONDS=$${FUZZ_SECONDS:-600} $(BIN)/python -m pytest -m "crawl or not crawl" tests/test_fuzz.py tests/test_schemathesis.py

chaos: development tools    ## the long races and faults: ten minutes of faults, restarts and a release, every race for a minute, then fuzz
	CHAOS_SECONDS=$${CHAOS_SECONDS:-600} $(BIN)/python -m pytest tests/chaos; outcome=$$?; cat var/chaos/*.json; exit $$outcome
	RACE_SECONDS=$${RACE_SECONDS:-60} HYPOTHESIS_PROFILE=chaos $(BIN)/python -m pytest -m "chaos or not chaos" \
		tests/associations/record/test_races.py tests/associations/record/test_state_machine.py tests/test_writes.py \
		tests/test_idempotency.py tests/por/db/test_outages.py
	test -e /usr/sbin/pgbouncer || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pgbouncer >/dev/null; }
	POOLER=1 $(BIN)/python -m pytest -m "chaos or not chaos" $(POOLED)
	$(MAKE) fuzz

check: development tools    ## format of code and templates, lint, import contracts, types, migration drift, translations; then the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/djangofmt --check templates
	$(BIN)/lint-imports
	$(MAKE) types
	$(BIN)/python manage.py makemigrations --check --dry-run --verbosity 0
	$(MAKE) test

bench: development          ## what the product does in a second on an estate of SCALE, each beside its floor; BENCH_ONLY=lists,mail does a part; BENCH_ONLY=measures goes up to SCALE=1000000
	$(BIN)/python -m tests.benchmarks $(SCALE)

messages: development tools ## update the catalogues from the sources and the rules, ready to be translated
	$(NOWHERE) $(BIN)/python manage.py collect_rule_texts
	$(NOWHERE) $(BIN)/python manage.py makemessages --locale sv --ignore "tests/*" --ignore "var/*" --add-location file

types: development          ## check the types only
	$(NOWHERE) $(BIN)/mypy

lock: development           ## make both lock files again from pyproject.toml
	$(BIN)/$(LOCK) pyproject.toml -o requirements.lock
	$(BIN)/$(LOCK) --group dev pyproject.toml -o requirements-dev.lock

clean:                      ## remove the virtual environment; data in var/ stays
	rm -rf .venv

python:
	test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found: install one (on Debian: apt-get install python3) and start again." >&2; exit 1; }

runtime: python
	$(PYTHON) -m por.embedded.venv requirements.lock requirements-dev.lock

development: python
	$(PYTHON) -m por.embedded.venv requirements-dev.lock

# What the tests need that is not a Python package: a browser, gettext, openssl and the scanner of ClamAV.
tools:
	missing=""; \
	command -v chromium-headless-shell >/dev/null || missing="$$missing chromium-headless-shell fonts-liberation"; \
	command -v msgfmt >/dev/null || missing="$$missing gettext"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	test -e /usr/sbin/clamd || missing="$$missing clamav-daemon"; \
	test -z "$$missing" && exit 0; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		echo "Installing$$missing …"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null && exit 0; \
	fi; \
	echo "The tests need$$missing: run \`apt-get install --no-install-recommends$$missing\` as root, then start again." >&2; exit 1
