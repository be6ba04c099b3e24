PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo federation test test-slow coverage docs bench attack lock sbom clean

demo: $(READY)  ## set up, then one round of acquisition on Flower's simulation engine
	$(BIN)/mycroft-fl simulate rotated-digits

federation: $(READY)  ## set up, then a SuperLink and three owners as real processes, and one task over them
	$(BIN)/mycroft-fl federation rotated-digits --set owners=3

test: $(READY)  ## set up, then format, lint, types, import rules and the quick tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 -m "not slow and not gpu"

test-slow: $(READY)  ## the tests that start real processes or take minutes, then each known bug put back
	$(BIN)/pytest -m "slow and not gpu" --ignore tests/mycroft_fl/privacy/test_pitfalls.py
	$(BIN)/pytest -n 2 -m slow tests/mycroft_fl/privacy/test_pitfalls.py

coverage: $(READY)  ## the quick tests, and what they leave untouched; fails below the floor in pyproject.toml
	$(BIN)/pytest -n 2 -m "not slow and not gpu" --cov --cov-report=term --cov-report=html

docs: $(READY)  ## the page of commands, and the site in build/site, without a warning
	$(BIN)/python -m mycroft_fl.cli.reference docs/commands.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file .ci/site/mkdocs.yml
	@echo "open build/site/index.html"

bench: $(READY)  ## every table of benchmarks/, hours on two cores; goes on where it stopped
	$(BIN)/python -m benchmarks.acquisition rotated-digits
	$(BIN)/python -m benchmarks.acquisition rotated-digits --table allocation --seeds 30
	$(BIN)/python -m benchmarks.acquisition rotated-digits --table budgets
	$(BIN)/python -m benchmarks.acquisition rotated-digits --table hard-sets
	$(BIN)/python -m benchmarks.acquisition scarce-fashion --table methods
	$(BIN)/python -m benchmarks.acquisition scarce-cifar10 --table methods
	$(BIN)/python -m benchmarks.selection
	$(BIN)/python -m benchmarks.intrusion
	$(BIN)/python -m benchmarks.tasks spurious
	$(BIN)/python -m benchmarks.shifts --seeds 10 --first-seed 10
	$(BIN)/python -m benchmarks.embedding_memory
	$(BIN)/python -m benchmarks.selection --table choices

attack: $(READY)  ## strangers, hostile trainers and hostile files against real processes; --size 0.1 for a tenth of it
	$(BIN)/python -m benchmarks.hostile

lock: $(READY)  ## exact versions with hashes for deployments; UPGRADE=--upgrade takes the newest ones
	.ci/lock $(UPGRADE)

sbom: $(READY)  ## what a deployment is made of, as CycloneDX, in dist/mycroft-fl.cdx.json
	.ci/sbom

clean:  ## remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

# uv installs several GB of wheels in a fraction of pip's time. Compiled at once, since an engine starts many
# processes and each would compile Flower and torch anew where Python may not write beside the sources.
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[dev]'
	touch $(READY)
