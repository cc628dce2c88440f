# Everything runs in .venv, which is built from a lock with hashes and binary packages only.
# The stamps live inside .venv and are written after the last step of an install, so an interrupted install
# is simply done again, and a finished one asks nothing of the network until its lock changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
CODE := tradebot commands jobs
# Some environments forbid Python to keep what it compiles. Then each process would compile the whole project again.
COMPILED = @$(BIN)/python -m compileall -q

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two installs into one environment must not run at once.
.NOTPARALLEL:
.PHONY: help demo test soak mutants check bench clients lock clean

help:  ## show these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.core  ## install, then play one session on the embedded exchange (ARGS="--minutes 30")
	$(COMPILED) $(CODE)
	$(BIN)/tradebot demo $(ARGS)

test: $(VENV)/.dev  ## run the tests (ARGS="tests/gates -k spread")
	$(COMPILED) $(CODE) tests
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

soak: $(VENV)/.dev  ## hours of random campaigns: kills, power losses, troubles, the exchange against a model (ARGS="--part 1/8")
	$(COMPILED) $(CODE) tests
	$(BIN)/python -m pytest -v --hypothesis-profile=soak --timeout=0 -n 2 --dist worksteal \
		tests/exchange/test_against_the_obvious_model.py tests/exchange/test_trading_openapi.py \
		tests/exchange/test_data_openapi.py tests/exchange/test_schemathesis.py tests/exchange/test_snapshot_laws.py tests/exchange/test_snapshot_keeper.py \
		tests/exchange/test_engine_laws.py tests/exchange/test_no_look_ahead.py tests/exchange/test_corporate_actions.py \
		tests/exchange/test_actions_in_bars.py tests/adapters/text/test_codec.py tests/adapters/recovery/test_joining.py \
		tests/faults --ignore=tests/faults/listed tests/adapters/ledger/test_sums.py tests/adapters/text/test_redaction.py tests/scenarios/test_terminal_escapes.py \
		tests/gates/test_coherence.py tests/scenarios/test_each_position_is_sold_once.py tests/gates/test_rates.py \
		tests/scenarios/test_configurations_run.py tests/auditing/test_outcomes.py \
		tests/scenarios/test_scores_predict_only_with_an_edge.py \
		tests/backtest/test_driver.py tests/backtest/test_driver_three_ways.py tests/year $(ARGS)

mutants: .venv-mutants/.dev  ## change the money code in thousands of small ways; docs/internals/MUTANTS.md explains what no test notices
	.venv-mutants/bin/mutmut run $(ARGS)
	.venv-mutants/bin/mutmut results

check: $(VENV)/.dev  ## format, lint, strict types, import contracts, dead code, unused dependencies, lines by room
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/deptry $(CODE)
	$(BIN)/python deploy/lines

bench: $(VENV)/.core  ## measure, and print medians and ratios beside their bounds
	$(COMPILED) $(CODE)
	benchmarks/run $(ARGS)

clients:  ## fetch the other Alpaca clients that tests can drive (needs node and npm)
	cd tests/clients/js && npm ci
	$(PYTHON) -m venv tests/clients/python/.venv
	tests/clients/python/.venv/bin/python -m pip install -qq --require-hashes -r tests/clients/python/requirements.lock

lock:  ## resolve the locks again (needs uv)
	deploy/lock

clean:  ## remove the environment and everything built; state/ is never touched
	rm -rf $(VENV) .venv-mutants mutants build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(CODE) tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

# The dev lock is a superset of the core lock with the same pins, so an environment made for the tests serves the demo too.
$(VENV)/.core: deploy/core.lock pyproject.toml deploy/install
	@PYTHON="$(PYTHON)" deploy/install $(VENV) deploy/core.lock
	@touch $@

$(VENV)/.dev: deploy/dev.lock deploy/core.lock pyproject.toml deploy/install
	@PYTHON="$(PYTHON)" deploy/install $(VENV) deploy/dev.lock
	@touch $(VENV)/.core $@

.venv-mutants/.dev: deploy/mutants.lock pyproject.toml deploy/install
	@PYTHON="$(PYTHON)" deploy/install .venv-mutants deploy/mutants.lock
	@touch $@
