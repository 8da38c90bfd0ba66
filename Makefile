# Everything here needs Python 3.11 or newer, make and the internet, and no Docker.
PYTHON ?= python3
FILE ?= events/accounts.csv
MINUTES ?= 10
ENV ?= dev
export FILE
# The SAM CLI sends no telemetry, and keeps its state in this folder.
export SAM_CLI_TELEMETRY := 0
export __SAM_CLI_APP_DIR := $(CURDIR)/.local/sam
# uv trusts this computer's certificates, as pip does: a company's proxy may have its own.
export UV_SYSTEM_CERTS ?= 1

UV := .venvs/uv/bin/uv
DEV := .venv/.synced
SAM := .venvs/sam/.synced
EMULATOR := .venvs/emulator/.synced
LINT := .venvs/lint/.synced
BENCH := .venvs/bench/.synced
AUDIT := .venvs/audit/.synced
RUN := $(DEV) $(SAM) $(EMULATOR)

.DEFAULT_GOAL := help
.PHONY: help setup run up down status test endtoend mail lint format coverage docs bench load waiting reliability fuzz deploy smoke audit sbom lock clean
.DELETE_ON_ERROR:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: $(RUN) ## install what run and test need, from the hashed locks

run: $(RUN) ## import FILE=<path> end to end on the local cloud
	@.venv/bin/python -m local.cloud run "$$FILE"

up: $(RUN) ## start the local cloud and keep it (API_BASE_URL= <key.txt: with another API)
	$(if $(filter command%,$(origin API_KEY)),$(error API_KEY as an argument can be read by every user of this computer: make up API_BASE_URL=… <key.txt))
	@.venv/bin/python -m local.cloud up \
		$(if $(API_BASE_URL),--api-base-url "$$API_BASE_URL") \
		$(if $(WAIT_SCALE),--wait-scale "$$WAIT_SCALE") \
		$(if $(filter true,$(AUTH)),--auth)

down: $(DEV) ## stop the local cloud
	@.venv/bin/python -m local.cloud down

status: $(DEV) ## show what runs
	@.venv/bin/python -m local.cloud status

# Tests that wait most of their time run beside others of their kind.
SIDE_BY_SIDE = --dist loadfile --numprocesses
CLOUDS = .venv/bin/python -m pytest tests/e2e $(SIDE_BY_SIDE) 3
ALONE = tests/unit tests/property tests/contract

test: $(RUN) $(LINT) ## lint, types, templates and every test, in three streams side by side
	@mkdir -p -m 700 .local
	@.venv/bin/python -m tests.support.chromium >.local/browser.txt
	@$(CLOUDS) >.local/e2e.txt 2>&1 & e2e=$$!; \
	.venv/bin/python -m pytest $(ALONE) >.local/unit.txt 2>&1 & unit=$$!; \
	$(MAKE) --no-print-directory lint && \
	.venv/bin/python -m pytest $(SIDE_BY_SIDE) 2 $(addprefix --ignore=,tests/e2e $(ALONE)); failed=$$?; \
	wait $$unit || failed=1; wait $$e2e || failed=1; \
	cat .local/unit.txt .local/e2e.txt .local/browser.txt; exit $$failed

coverage: $(DEV) ## report the branches of the domain package that no test runs; fails below 95 %
	.venv/bin/python -m pytest tests/unit tests/contract \
		tests/integration/test_client.py tests/integration/test_safe_fetch.py \
		tests/integration/test_handlers.py --cov

endtoend: $(RUN) ## every end-to-end test by itself, also those that take long
	$(CLOUDS) -m e2e

mail: $(DEV) ## sign in to real Dovecot and Postfix, unpacked from packages; says why where they cannot run
	.venv/bin/python -m pytest tests/real -m long -rs

lint: $(RUN) $(LINT) ## code, types, template, workflows, secrets
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venvs/sam/bin/sam validate --lint --region us-east-1
	.venvs/lint/bin/checkov --file template.yaml
	.venvs/lint/bin/actionlint -shellcheck= -pyflakes=
	.venvs/lint/bin/zizmor --offline --quiet .
	git ls-files -z | xargs -0 .venvs/lint/bin/kingfisher scan --quiet --no-update-check --config .kingfisher/scan.yaml

format: $(DEV) ## format the code
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

# With ALL=1 a local cloud runs each command once, and the browser of this computer takes pictures.
docs: $(if $(ALL),$(RUN),$(DEV)) ## update generated docs and golden files; ALL=1: recordings and pictures too
	@set -e; for one in tables examples commands picture costs licences decisions golden; do \
		.venv/bin/python -m tools.docs.$$one; \
	done
	$(if $(ALL),@.venv/bin/python -m tools.docs.commands record)
	$(if $(ALL),@.venv/bin/python -m tools.docs.examples pictures)

bench: $(BENCH) $(RUN) ## measure reading and cold starts; writes docs/measurements.md (four minutes)
	@PYTHONPATH=.:layers/email_accounts .venvs/bench/bin/python -m tests.benchmarks.bench
	@PATH="$(CURDIR)/.venvs/sam/bin:$$PATH" sam build \
		--build-dir .local/bench --cache-dir .local/bench-cache >.local/sam-bench.log 2>&1
	@.venv/bin/python -m tests.benchmarks.cold_start .local/bench

load: $(RUN) ## 300 files at once, or one of ROWS=1000000; writes docs/measurements.md
	@.venv/bin/python -m tests.load.load $(if $(ROWS),--rows "$(ROWS)")

waiting: $(RUN) ## measure polling on a local cloud; writes docs/waiting.csv (a quarter of an hour)
	@.venv/bin/python -m tests.load.waiting

reliability: $(RUN) ## test every fault once; writes docs/faults.csv (twelve minutes)
	@.venv/bin/python -m tests.reliability.reliability

fuzz: $(BENCH) ## fuzz reading for MINUTES=10; finds are in .local/fuzz/finds
	@PYTHONPATH=.:layers/email_accounts .venvs/bench/bin/python -m tests.fuzz.fuzz_reading $(MINUTES)

# Each parameter of the template can be given by its name; each has a default.
PARAMETERS = $(filter-out ENV CI PYTHON,$(foreach one,$(MAKEOVERRIDES),$(firstword $(subst =, ,$(one)))))

deploy: $(SAM) ## deploy to AWS: ENV=dev, staging or production, NOTIFY=<mail address>; asks first
	@PATH="$(CURDIR)/.venvs/sam/bin:$$PATH" sam build --no-cached
	@.venvs/sam/bin/python deployment/guarded.py $(ENV) $(PARAMETERS)

smoke: $(DEV) ## test the deployed STACK= with a file without accounts
	@PYTHONPATH=layers/email_accounts .venv/bin/python -m deployment.smoke "$(STACK)"

# Ignored: a vulnerability of ecdsa, which only checkov uses and no version fixes.
audit: $(AUDIT) ## scan all locked packages for known vulnerabilities
	@for lock in layers/email_accounts/*.txt requirements/*.txt; do \
		echo "$$lock"; \
		.venvs/audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
			--ignore-vuln CVE-2024-23342 --requirement $$lock || exit 1; \
	done

sbom: $(AUDIT) ## list the functions' packages in .local/sbom.json (CycloneDX)
	@mkdir -p -m 700 .local
	@cat layers/email_accounts/*.txt | \
		.venvs/audit/bin/cyclonedx-py requirements --output-reproducible --output-file .local/sbom.json -

clean: ## stop the local cloud and remove everything that was built
	@if [ -e $(DEV) ]; then .venv/bin/python -m local.cloud down; fi
	rm -rf .venv .venvs .local .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# Environments: one per tool that pins what another pins differently.

$(UV): requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12 …")'
	@echo "Setting up: .venvs/uv"
	@$(PYTHON) -m venv --clear .venvs/uv
	@.venvs/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

sync = @echo "Setting up: $(@D)" && \
	export UV_PYTHON_DOWNLOADS=never && \
	$(UV) venv --quiet --clear --python .venvs/uv/bin/python $(@D) && \
	$(UV) pip sync --quiet --require-hashes --python $(@D)/bin/python $<

$(DEV): requirements/dev.txt pyproject.toml $(UV)
	$(sync)
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python .venv/bin/python --editable .
	@touch $@

$(SAM): requirements/sam.txt $(UV)
	$(sync)
	@touch $@

# It writes no bytecode: without this its modules are compiled at each start.
$(EMULATOR): export UV_COMPILE_BYTECODE := 1
$(EMULATOR): requirements/emulator.txt $(UV)
	$(sync)
	@touch $@

$(LINT): requirements/lint.txt $(UV)
	$(sync)
	@touch $@

$(BENCH): requirements/bench.txt $(UV)
	$(sync)
	@touch $@

$(AUDIT): requirements/audit.txt $(UV)
	$(sync)
	@touch $@

# Locks: one file per environment, for every system and every Python from 3.11 on.

COMPILE = $(UV) pip compile --quiet --upgrade --universal --generate-hashes \
	--python-version 3.11 --no-emit-index-url \
	--custom-compile-command "make lock (uv pip compile --universal --python-version 3.11)"

lock: $(UV) ## renew all locks
	$(COMPILE) requirements/bootstrap.in -o requirements/bootstrap.txt
	$(COMPILE) layers/email_accounts/requirements.in --no-emit-package markupsafe \
		-o layers/email_accounts/requirements.txt
	$(COMPILE) layers/email_accounts/markupsafe.in -o layers/email_accounts/markupsafe.txt
	$(COMPILE) requirements/dev.in -o requirements/dev.txt
	$(COMPILE) requirements/sam.in -o requirements/sam.txt
	$(COMPILE) requirements/emulator.in -o requirements/emulator.txt
	$(COMPILE) requirements/lint.in -o requirements/lint.txt
	$(COMPILE) requirements/bench.in -o requirements/bench.txt
	$(COMPILE) requirements/audit.in -o requirements/audit.txt
