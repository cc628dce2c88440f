"""Faults 37 to 50: what a person or a script may type. Nothing is sent by mistake, and each error is one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from papervenue import process
from tests.kit.bot.folder import PROGRAM, Bot, at_once
from tests.kit.bot.real_money import writes
from tests.kit.values import LIMITS, ask
from tradebot.adapters.state import halt_switch
from tradebot.gates.evaluation import decide
from tradebot.model.decision import Gate
from tradebot.model.trading import TradingState

LONG = "A" * 4096


def refused(bot: Bot, *arguments: str) -> str:
    """Hold that a command line is exit 2, a short sentence with its next step, and nothing sent or made; return it."""
    elsewhere = bot.folder.parent / "nowhere"
    said = bot.says(*arguments, *(("--state-dir", str(elsewhere)) if arguments[0] in ("init", "demo") else ()))
    assert not elsewhere.exists()
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert "\n  next: " in said.err
    assert "bug in tradebot" not in said.err
    assert len(said.err) < 400
    assert all(line.isprintable() for line in said.err.splitlines())
    assert writes(bot.folder) == []
    return said.err


def bad_line(bot: Bot, path: Path, line: dict[str, Any] | str) -> str:
    """Hold that a candidate is a bad line and that nothing is traded; return why."""
    path.write_text(line if isinstance(line, str) else json.dumps(line))
    return refused(bot, "trade-once", "--candidates", str(path))


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    """Return where a person's own candidates stand."""
    return tmp_path / "wanted.jsonl"


BUY = {"symbol": "AAPL", "side": "buy", "score": 0.9}


def test_fault_037_negative_quantity(bot: Bot, wanted: Path) -> None:
    """Exit 2: no verb takes a quantity, a candidate with one is a bad line, and no number may be negative."""
    assert "trade-once has no option --qty" in refused(bot, "trade-once", "--qty", "-1")
    assert "unknown_key ('qty' is not one of" in bad_line(bot, wanted, BUY | {"qty": -1})
    assert "side_against_score" in bad_line(bot, wanted, BUY | {"score": -1})
    for verb in ("orders --last -1", "init --sessions -1", "init --seed -1", "demo --minutes -1", "serve --speed -1"):
        refused(bot, *verb.split())


@pytest.mark.parametrize("number", ["1e309", "nan", "-inf"])
def test_fault_038_number_beyond_every_limit(bot: Bot, wanted: Path, number: str) -> None:
    """Exit 2: a number that overflows, or isn't a number, is refused everywhere."""
    for verb in ("init --edge", "serve --speed", "trade-once --qty", "orders --last"):
        refused(bot, *verb.split(), number)
    line = json.dumps(BUY | {"score": "number"}).replace('"number"', number)
    assert "none of the 1 lines" in bad_line(bot, wanted, line)


def test_fault_039_quantity_too_small_to_trade(bot: Bot, wanted: Path) -> None:
    """Exit 2 if someone types one; a size below the smallest order is refused by its gate, never rounded up."""
    refused(bot, "trade-once", "--qty", "0.0000000001")
    refused(bot, "serve", "--speed", "0.0000000001")
    assert "unknown_key" in bad_line(bot, wanted, BUY | {"qty": "0.0000000001"})
    tiny = LIMITS.model_copy(update={"max_order_fraction": LIMITS.max_order_fraction / 10**9})
    asked = ask(limits=tiny)
    assert asked.size is None or asked.size.quantity == 0
    assert Gate.SIZE in [decision.gate for decision in decide(asked) if not decision.passed]


NAMING = (
    "fetch-flow --symbol", "why-no-orders", "score --explain", "flatten", "adopt", "adopt --manage", "init --symbols",
)  # fmt: skip
"""Verbs that are told a symbol, and act on it or look it up."""


@pytest.mark.parametrize("verb", NAMING)
def test_fault_040_symbol_that_is_a_path(bot: Bot, verb: str) -> None:
    """Exit 2: a symbol is never used as a file name or an address."""
    before = sorted(path.name for path in bot.folder.parent.iterdir())
    refused(bot, *verb.split(), "../../x")
    assert sorted(path.name for path in bot.folder.parent.iterdir()) == before


@pytest.mark.parametrize("symbol", ["\x1b[31mAAPL\x07", "AA\u202ePL", "\u0410APL"], ids=["ansi", "reversed", "alike"])
@pytest.mark.parametrize("verb", NAMING)
def test_fault_041_symbol_with_letters_that_deceive(bot: Bot, verb: str, symbol: str) -> None:
    """Exit 2 with those letters spelled out: it doesn't pass for AAPL, and can't change the terminal."""
    assert ascii(symbol)[1:-1].upper() in refused(bot, *verb.split(), symbol).upper()


@pytest.mark.parametrize("verb", NAMING)
@pytest.mark.parametrize("symbol", ["", " \t"], ids=["empty", "blank"])
def test_a_symbol_that_is_empty_names_nothing_and_never_everything(bot: Bot, verb: str, symbol: str) -> None:
    words = verb.split()
    assert f"there is an empty argument after {words[-1]}" in refused(bot, *words, symbol)
    if words[-1].startswith("--") and words[-1] != "--manage":
        assert "there is an empty argument after" in refused(bot, *words[:-1], f"{words[-1]}={symbol}")


@pytest.mark.parametrize("verb", NAMING)
def test_fault_042_symbol_of_four_kilobytes(bot: Bot, verb: str) -> None:
    """Exit 2 showing the beginning of it."""
    refused(bot, *verb.split(), LONG)


def test_fault_043_day_that_no_calendar_has(bot: Bot) -> None:
    """Exit 2, wherever a day can be given."""
    assert "sandbox.start (flag): must be a date, such as 2026-11-16" in refused(bot, "init", "--start", "2026-02-30")
    assert "as a time span" in refused(bot, "fills", "--since", "2026-02-30")
    assert "refused tick" in refused(bot, "exchange", "tick", "2026-02-30T15:00Z")


def test_fault_044_holiday(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A market created on a holiday starts with the next session."""
    bot = Bot(tmp_path / "state", capsys)
    try:
        made = bot.json("init", "--start", "2026-11-26", "--sessions", "1", "--symbols", "1")
        assert made["now"].startswith("2026-11-27T")
    finally:
        process.stop(bot.folder / "exchange")


def test_fault_045_notional_beside_quantity(bot: Bot, wanted: Path) -> None:
    """Exit 2 for either: sizes come from the limits alone, and a contradictory request is never half obeyed."""
    assert "has no option --notional" in refused(bot, "trade-once", "--notional", "100", "--qty", "1")
    assert "unknown_key" in bad_line(bot, wanted, BUY | {"qty": 1, "notional": 100})
    assert "repeated_key" in bad_line(bot, wanted, '{"symbol": "AAPL", "side": "buy", "score": 0.9, "score": 0.1}')
    assert "name one symbol, or --all" in refused(bot, "flatten", "AAPL", "--all")


def test_fault_046_reader_that_goes_away(bot: Bot) -> None:
    """The verb exits with 0 and stays quiet; its work is done."""
    line = f"{PROGRAM} why-no-orders --schema | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    environ = {**os.environ, "TRADEBOT_STATE": str(bot.folder)}
    done = subprocess.run(
        ["/bin/bash", "-c", line], capture_output=True, text=True, env=environ, timeout=30, check=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_fault_047_confirmation_without_a_terminal(bot: Bot) -> None:
    """Exit 2 with the command that confirms: `halt --flatten` halts but closes nothing, `unhalt` lifts nothing."""
    for verb in ("halt --flatten", "unhalt"):
        said = bot.says(*verb.split())
        assert (said.code, f"next: tradebot {verb} --confirm" in said.err) == (2, True)
        assert halt_switch.read(bot.folder).state is TradingState.REDUCE_ONLY
    assert writes(bot.folder) == []


def test_fault_048_two_unhalts_at_once(bot: Bot) -> None:
    """One of them lifts the halt, once; the other finds nothing to lift, or is told that it came second."""
    assert bot.says("halt").code == 0
    said = at_once("unhalt", "--confirm", bot.tail(), "--state-dir", str(bot.folder))
    assert {0} <= {run.code for run in said} <= {0, 3, 6}, said
    assert halt_switch.read(bot.folder).state is TradingState.ACTIVE
    states = [record["payload"]["state"] for record in records(bot, "trading_state")]
    assert states[-2:] == ["REDUCE_ONLY", "ACTIVE"]


def records(bot: Bot, kind: str) -> list[dict[str, Any]]:
    """Return the journal's records of a kind."""
    lines = (bot.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


NOISY = """
import logging, sys, warnings
from urllib3 import HTTPConnectionPool
from tradebot.__main__ import main
send = HTTPConnectionPool.urlopen
def noisy(self, *args, **kwargs):
    warnings.warn("this will go away", DeprecationWarning)
    logging.getLogger("a.library").warning("a pool is full")
    return send(self, *args, **kwargs)
HTTPConnectionPool.urlopen = noisy
sys.exit(main(sys.argv[1:]))
"""


def test_fault_049_library_that_warns_beside_a_document(bot: Bot) -> None:
    """The warning goes to stderr: stdout is one JSON document and nothing else."""
    command = [sys.executable, "-W", "always", "-c", NOISY, "reconcile", "--json", "--state-dir", str(bot.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, json.loads(done.stdout)["data"]["findings"]) == (0, [])
    assert "this will go away" in done.stderr
    assert "a pool is full" in done.stderr


def test_fault_050_locale_c_and_one_column(bot: Bot) -> None:
    """The verb works: a letter that the locale lacks becomes a question mark, and a screen has at least 40 columns."""
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "1"}
    command = [str(PROGRAM), "status", "--state-dir", str(bot.folder)]
    done = subprocess.run(command, capture_output=True, check=False, env=environ, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"account ?" in done.stdout
    assert max(map(len, done.stdout.splitlines())) >= 30
