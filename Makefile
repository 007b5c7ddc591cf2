# `make help` lists the targets. `make demo` and `make test` do their own set-up: a .venv here, from requirements.lock, and Spark's jars.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
JARS := .venv/.jars
JARS_S3 := .venv/.jars-s3
# The archive of classes from which sessions start sooner: it pays where many are started.
CLASSES := .venv/.classes
# The environment of the oldest Spark, in which some tests run besides.
OLDEST := build/spark_lines/3.5/.installed
# Extra options for pytest, such as `make test-spark PYTEST='-x -k ingest'`.
PYTEST ?=
# One piece of `make test-long`, by name.
PIECE ?=
# Options of uv for `make lock`.
UPGRADE ?=

# Another Spark or Python that the shell points to must not take the place of this checkout's.
unexport SPARK_HOME SPARK_CONF_DIR SPARK_REMOTE PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON PYSPARK_SUBMIT_ARGS PYTHONPATH

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(JARS) ## 10,000 made-up customers, from raw files to features, the graph, models and predictions
	@$(BIN)/engage-spark demo

.PHONY: demo-full
demo-full: $(JARS) ## the same with the dictionary's 100,000
	@$(BIN)/engage-spark demo --customers 100000

# Which tests of a suite run: for `make test` the quick ones, with a third of the generated examples.
SELECTION = -m 'not long$(if $(QUICK), and not slow)' --hypothesis-profile=$(if $(QUICK),quick,full)
# Suites side by side, two at a time, since each Spark session keeps about one core busy: their lines carry their names. The
# unit tests start among the first, since others then find the kernels compiled. The Spark tests are three of them, and the
# shortest comes last, so that both cores have work to the end. No test may block (tests/support/watchdog.py), and no suite: it is interrupted, says
# where it stood, and fails.
SUITES := test-models test-unit test-stages test-e2e test-connect test-tables
# The tests of models among the Spark tests: `test-models` runs these, `test-stages` those of the other stages, `test-tables`
# the rest.
MODELS := $(addprefix tests/spark/,ml tracking pipelines/train pipelines/test_score.py)
STAGES := tests/spark/pipelines
TOGETHER := $(MAKE) --no-print-directory --jobs=2 --keep-going $(SUITES) NAMED=yes
LIMITED = $(if $(NAMED),timeout --foreground --signal=INT --kill-after=60 $(if $(QUICK),30m,70m))
PREFIX = $(if $(NAMED),2>&1 | sed -u 's/^/$(@:test-%=%): /')

.PHONY: test
test: $(JARS) $(JARS_S3) $(CLASSES) ## before every push: the quick tests of all suites
	@$(TOGETHER) QUICK=yes

.PHONY: test-all
test-all: $(JARS) $(JARS_S3) $(CLASSES) $(OLDEST) ## what .ci/run runs: all suites, about an hour on 2 cores
	@$(TOGETHER)

.PHONY: test-long
test-long: $(JARS) $(JARS_S3) ## what takes hours, in pieces; `PIECE=name` runs one, docs/long_tests.md has the results
	@$(BIN)/python -m tests.support.long_tests $(PIECE)

.PHONY: test-unit
test-unit: $(INSTALLED) ## the tests that start no JVM
	$(LIMITED) $(BIN)/pytest tests/unit $(SELECTION) $(PYTEST) $(PREFIX)

.PHONY: test-spark
test-spark: $(JARS) ## the Spark tests on a classic session
	$(LIMITED) $(BIN)/pytest tests/spark --spark classic $(SELECTION) $(PYTEST) $(PREFIX)

.PHONY: test-models test-stages test-tables
test-models: $(JARS)
	$(LIMITED) $(BIN)/pytest $(MODELS) --spark classic $(SELECTION) $(PYTEST) $(PREFIX)
test-stages: $(JARS)
	$(LIMITED) $(BIN)/pytest $(STAGES) $(MODELS:%=--ignore=%) --spark classic $(SELECTION) $(PYTEST) $(PREFIX)
test-tables: $(JARS)
	$(LIMITED) $(BIN)/pytest tests/spark $(patsubst %,--ignore=%,$(MODELS) $(STAGES)) --spark classic $(SELECTION) $(PYTEST) $(PREFIX)

.PHONY: test-connect
test-connect: $(JARS) ## the Spark tests that can differ on Spark Connect, there
	$(LIMITED) $(BIN)/pytest tests/spark --spark connect $(SELECTION) $(PYTEST) $(PREFIX)

.PHONY: test-e2e
test-e2e: $(JARS) $(JARS_S3) $(if $(QUICK),,$(OLDEST)) ## commands, S3, planted faults, a cluster of processes, the oldest Spark
	$(LIMITED) $(BIN)/pytest tests/e2e --spark classic $(SELECTION) $(PYTEST) $(PREFIX)

.PHONY: test-oldest
test-oldest: $(JARS) ## a small set of tests, and the demo, on the oldest Spark; its tables against those of the default
	@$(BIN)/python -m tests.support.spark_lines 3.5

.PHONY: lint
lint: $(INSTALLED) ## style, formatting, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: format
format: $(INSTALLED) ## put the code into the agreed form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: $(INSTALLED) ## write the generated pages: data dictionary, bad input, reference of tables, settings, CLI, errors, API
	$(BIN)/engage-spark contract docs --out docs/data_dictionary.md
	$(BIN)/python -m tests.support.bad_input.document
	$(BIN)/python -m tests.support.reference_pages

.PHONY: docs-site
docs-site: $(INSTALLED) ## build the documentation site into build/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.PHONY: bench
bench: $(JARS) ## ingest and features against DuckDB and Polars on the same file
	$(BIN)/python bench/features.py

.PHONY: package
package: $(INSTALLED) ## wheel, zip for --py-files and environment for spark.archives, in dist; `EXTRAS=s3` leaves out what models need
	@$(BIN)/python deploy/spark_submit/build.py $(if $(EXTRAS),--extras "$(EXTRAS)")

.PHONY: lock
lock: $(INSTALLED) ## add what pyproject.toml newly needs to requirements.lock; `make lock UPGRADE=--upgrade` renews every pin
	$(PYTHON) -m venv .venv/uv && .venv/uv/bin/pip install --quiet uv
	.venv/uv/bin/uv pip compile pyproject.toml --quiet $(UPGRADE) --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --extra spark --extra s3 --extra sql --extra report --extra mcp --extra gx --extra ml --extra xgboost --extra dev --output-file requirements.lock

.PHONY: clean
clean: ## remove the environment, caches and made-up data
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist engage-data spark-warehouse
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock pyproject.toml .ci/machine
	@bash .ci/machine "$(PYTHON)"
	@echo "setting up .venv (a few minutes the first time) …"
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(JARS): $(INSTALLED)
	@echo "fetching Delta's jars …"
	@$(BIN)/python -m engage_spark.spark.jars delta
	@touch $@

$(CLASSES): $(JARS)
	@echo "writing the archive of Spark's classes (about a minute) …"
	@$(BIN)/python -m engage_spark.spark.jars delta classes || echo "sessions start without it"
	@touch $@

$(OLDEST): $(INSTALLED) tests/support/spark_lines.py
	@echo "setting up the oldest Spark (0.3 GB the first time) …"
	@$(BIN)/python -m tests.support.spark_lines install 3.5
	@touch $@

$(JARS_S3): $(INSTALLED) | $(JARS)
	@echo "fetching the S3 jars (0.7 GB the first time) …"
	@$(BIN)/python -m engage_spark.spark.jars s3
	@touch $@
