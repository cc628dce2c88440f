# Everything runs in .venv, which is built from a lock with hashes and binary packages only.
# The stamps live inside .venv and are written after the last step of an install, so an interrupted install
# is simply done again, and a finished one asks nothing of the network until its lock changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
TORCH ?=
HOURS ?=
CODE := tradebot commands jobs exchange/src
# Some environments forbid Python to keep what it compiles. Then each process would compile the whole project again.
COMPILED = @$(BIN)/python -m compileall -q -j 0
# pytest rewrites test modules and keeps them under other names: what is compiled here of them would never be read.
TESTS = tests exchange/tests -x '/test_[^/]*$$'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two installs into one environment must not run at once.
.NOTPARALLEL:
.PHONY: help demo demo-learning extras test quick test-exchange campaigns cluster mutants check bench browser docs clients lock clean

help:  ## show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.core  ## install, then play one session on the embedded exchange (ARGS="--minutes 30")
	$(COMPILED) $(CODE)
	$(BIN)/tradebot demo $(ARGS)

test: $(VENV)/.dev  ## run the fast tests, and a quarter of the dear ones in turn (ARGS=--all, ARGS="tests/gates -k spread")
	$(COMPILED) $(CODE) $(TESTS)
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart=0 $(ARGS)

quick: $(VENV)/.dev  ## run the tests near to what you changed, in ten CPU-seconds (ARGS="tradebot/gates/portfolio_limits.py")
	$(BIN)/python -m tests.suite.quick $(ARGS)

test-exchange: $(VENV)/.dev  ## run the tests of the exchange alone, which need nothing else of ours (ARGS="-k margin")
	$(COMPILED) exchange/src $(TESTS)
	$(BIN)/python -m pytest -n 4 --dist loadfile exchange/tests $(ARGS)

campaigns: $(VENV)/.dev  ## play kills, power losses, schedules, venues that err … for 12 minutes (HOURS=8, ARGS="--seed 1234")
	$(COMPILED) $(CODE) benchmarks $(TESTS)
	$(BIN)/python -m pytest -v --campaigns --timeout=1200 -n 4 --no-loadscope-reorder $(if $(HOURS),--minutes $$((60 * $(HOURS)))) $(ARGS)

cluster: .venv-ray/.dev  ## install Ray too, and search on two nodes of which one is killed
	.venv-ray/bin/python -m pytest --campaigns $(ARGS) tests/lab/search/test_cluster.py tests/lab/learning/walking/test_ray_nodes.py

extras: $(VENV)/.core  ## add what an extra of pyproject.toml needs to .venv (NAME=top, NAME="top notify")
	deploy/extras $(VENV) "$(NAME)"

demo-learning: .venv-rl/.dev  ## train a small policy and judge it, in ten minutes (TORCH=WHEEL, or TORCH=torch for 3 GB)
	$(COMPILED) $(CODE)
	deploy/demo-learning .venv-rl $(ARGS)

ifeq ($(firstword $(ARGS)),drawn)
mutants: $(VENV)/.dev
	$(BIN)/python -m tests.suite.mutants $(wordlist 2,$(words $(ARGS)),$(ARGS))
else
mutants: .venv-mutants/.dev  ## change the money code in thousands of small ways; docs/internals/MUTANTS.md explains what no test notices
	.venv-mutants/bin/mutmut run $(ARGS)
	.venv-mutants/bin/mutmut results
endif

check: $(VENV)/.dev  ## format, lint, strict types, import contracts, dead code, unused dependencies, lines by room
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/deptry tradebot commands jobs
	$(BIN)/deptry --config exchange/pyproject.toml exchange/src
	$(BIN)/python deploy/lines

bench: $(VENV)/.dev  ## measure, and fail beyond a bound (ARGS=--smallest takes two minutes, ARGS=startup)
	benchmarks/run $(ARGS)

browser:  ## install Chromium where this machine is Debian's and you are root, for the tests of the pages
	deploy/browser

docs: $(VENV)/.dev .venv-docs/.done  ## build the documentation with its search, from docs/ and from the code, into build/docs/site
	$(BIN)/python -m tests.docs.site build/docs
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs --quiet build --config-file build/docs/mkdocs.yml
	@echo "built build/docs/site; with its search: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/docs/site 8000"

clients:  ## fetch other clients of the venues, and libraries that judge our indicators and tests of luck (needs node and npm)
	cd tests/clients/js && npm ci
	for name in python kraken cryptofeed ibkr insync indicators; do \
		$(PYTHON) -m venv tests/clients/$$name/.venv && tests/clients/$$name/.venv/bin/python -m pip install -qq \
			--require-hashes -r tests/clients/$$name/requirements.lock || exit 1; done

lock:  ## resolve the locks again (needs uv)
	deploy/lock

clean:  ## remove the environment and everything built; state/ is never touched
	rm -rf $(VENV) .venv-docs .venv-mutants .venv-ray .venv-rl demo-learning mutants build dist exchange/build exchange/dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(CODE) tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

# The dev lock is a superset of the core lock with the same pins, so an environment made for the tests serves the demo too.
$(VENV)/.core: deploy/core.lock pyproject.toml exchange/pyproject.toml deploy/install
	@PYTHON="$(PYTHON)" deploy/install $(VENV) deploy/core.lock
	@touch $@

$(VENV)/.dev: deploy/dev.lock deploy/core.lock pyproject.toml exchange/pyproject.toml deploy/install
	@PYTHON="$(PYTHON)" deploy/install $(VENV) deploy/dev.lock
	@touch $(VENV)/.core $@

.venv-docs/.done: deploy/docs.lock
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --only-binary :all: -r deploy/docs.lock
	@touch $@

.venv-mutants/.dev: deploy/mutants.lock pyproject.toml exchange/pyproject.toml deploy/install
	@PYTHON="$(PYTHON)" deploy/install .venv-mutants deploy/mutants.lock
	@touch $@

.venv-ray/.dev: deploy/ray.lock pyproject.toml exchange/pyproject.toml deploy/install
	@PYTHON="$(PYTHON)" deploy/install .venv-ray deploy/ray.lock
	@touch $@

# PyTorch comes first: no lock holds it, and the check of the installed packages misses it otherwise.
.venv-rl/.dev: deploy/rl.lock deploy/torch pyproject.toml deploy/install
	@PYTHON="$(PYTHON)" deploy/torch .venv-rl $(TORCH)
	@PYTHON="$(PYTHON)" deploy/install .venv-rl deploy/rl.lock
	@touch $@
