# `make` alone lists the commands. Each does its own set-up: Python 3.11 to 3.13 and a network are enough.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# What has been compiled is kept: without it each process compiles, ten seconds of `make test` in each of its workers.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo serve test browser prove bench lint types config package deploy rollback undeploy clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

$(READY): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 …"; exit 1; }
	@echo "Setting up $(VENV) (once, one to three minutes)…"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: $(READY) ## relances, mailbox, leads, agenda and accounts, in half a minute; INVOICES=file.csv for your own
	@$(BIN)/python -m sandbox.demo $(if $(INVOICES),--invoices "$(INVOICES)")

serve: $(READY) ## HTTP, mail, mailbox and WhatsApp sandboxes and the scheduler on this machine, until Ctrl-C
	@$(BIN)/python -m sandbox.serve

test: $(READY) ## the test suite, in parallel
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

browser: $(READY) ## the pages in Chromium (apt-get install chromium), at the size of a telephone
	@$(BIN)/python -m pytest -m slow -rs tests/browser

prove: $(READY) ## the reliability tests at length, with random seeds; ARGS="…"
	@$(BIN)/python -m tests.prove $(ARGS)

bench: $(READY) ## measurements side by side; ARGS="…"
	@$(BIN)/python -m bench $(ARGS)

lint: $(READY) ## ruff: style and mistakes
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY) ## mypy, strict on chalicelib
	@$(BIN)/mypy

config: $(READY) ## .chalice/config.json and the policies, from the jobs and .chalice/stages.toml
	@$(BIN)/python -m scripts.config

package: $(READY) ## what would be deployed, built and weighed; STAGE=prod
	@$(BIN)/python -m scripts.package $(or $(STAGE),dev)

deploy: $(READY) ## the commit checked out, to AWS: STAGE=prod; docs/deploying.md
	@$(BIN)/python -m scripts.deploy --stage "$(STAGE)" $(if $(CHANGE_PYTHON),--change-python)

rollback: $(READY) ## back to an earlier deployment: STAGE=prod TAG=deployed/prod/…
	@$(BIN)/python -m scripts.rollback --stage "$(STAGE)" --tag "$(TAG)" $(if $(CHANGE_PYTHON),--change-python)

undeploy: $(READY) ## removes a stage from AWS, not its database nor its secrets: STAGE=dev
	@$(BIN)/python -m scripts.undeploy --stage "$(STAGE)"

clean: ## removes the data of demo and serve, and what the tools cache
	@rm -rf var .hypothesis .mypy_cache .ruff_cache build
