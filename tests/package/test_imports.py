"""Which modules a command loads: a verb loads no other verb, and a quick one no pandas, SDK, calendar or server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from commands.shared.help import PURPOSES

HEAVY = {"alpaca", "exchange_calendars", "numpy", "pandas", "starlette", "uvicorn"}
CLI = {"click", "pydantic", "rich", "typer"}
VERBS = [*(verb.split() for verbs in PURPOSES.values() for verb in verbs), ["exchange"]]
PROGRAM = """
import json, pathlib, sys
report, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = "tradebot"
try:
    from tradebot.__main__ import main
    sys.exit(main())
finally:
    pathlib.Path(report).write_text(json.dumps(sorted(sys.modules)))
"""

HELPS = """
import json, sys
from tradebot.__main__ import main
for verb in json.loads(sys.argv[1]):
    code = main([*verb, "--help"])
    print(json.dumps([verb, code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""
"""Helps of all verbs in one process: what one of them loads is there from then on."""


def run(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run one command in a separate process; return how it ended and the modules it loaded."""
    report = folder / "modules.json"
    program = [sys.executable, "-c", PROGRAM, str(report), *arguments]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done, set(json.loads(report.read_text()))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    done, _ = run(folder, "init", "--state-dir", str(folder / "state"), "--mode", "sandbox")
    assert done.returncode == 0, done.stderr
    return folder


def test_help_of_no_verb_loads_anything_heavy(tmp_path: Path) -> None:
    program = [sys.executable, "-c", HELPS, json.dumps([(), *VERBS])]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [verb for verb, code, _ in told if code] == []
    assert [(verb, HEAVY & set(loaded)) for verb, _, loaded in told if HEAVY & set(loaded)] == []
    assert done.stdout.count("Usage: tradebot") == len(told) == len(VERBS) + 1


@pytest.mark.parametrize("verb", ["status", "why-no-orders", "positions", "orders", "fills", "events", "config show"])
def test_a_command_that_reads_loads_nothing_heavy(state: Path, verb: str) -> None:
    done, loaded = run(state, *verb.split(), "--state-dir", str(state / "state"))
    # No cycle has run in this state, which why-no-orders reports as a finding.
    assert done.returncode in {0, 10}, done.stderr
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert {name.split(".")[1] for name in loaded if name.startswith("commands.")} == {
        "app", "shared", verb.split(maxsplit=1)[0].replace("-", "_"),
    }  # fmt: skip


def test_halt_acts_before_the_command_line_library_is_loaded(state: Path) -> None:
    done, loaded = run(state, "halt", "--state-dir", str(state / "state"))
    assert done.returncode == 0, done.stderr
    assert {name.partition(".")[0] for name in loaded} & (HEAVY | CLI) == set()


def test_a_process_that_ends_is_not_searched_for_garbage(tmp_path: Path) -> None:
    program = "import gc; from tradebot.__main__ import main; main(); print(gc.get_freeze_count())"
    words = [sys.executable, "-c", program, "status", "--help"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout.splitlines()[-1]) > 10_000


def test_the_guard_sees_a_heavy_module(tmp_path: Path) -> None:
    report = tmp_path / "modules.json"
    program = PROGRAM.replace("from tradebot.__main__ import main", "import numpy; main = lambda: 0")
    subprocess.run([sys.executable, "-c", program, str(report)], check=True, timeout=120)
    assert "numpy" in json.loads(report.read_text())
