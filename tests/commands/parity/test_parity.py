"""`tradebot parity`: a session beside its backtest, or a sentence with the next command if it can't be played."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.values import NOW
from tests.views.test_parity import day as compared
from tests.views.test_parity import differing
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.lab import parity
from tradebot.model.parity import DifferenceType, ParityCause
from tradebot.model.struct_tools import replace


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where what the bot kept of its passes is copied to, so that each test may change it."""
    return tmp_path_factory.mktemp("kept") / "passes.db"


@pytest.fixture
def traded(shared_trader: Bot, kept: Path) -> Bot:
    """Return a bot after passes by hand: entries, candidates that a person submitted, and exits."""
    bot = shared_trader
    if not kept.exists():
        assert bot.says("parity").err.startswith("error: No pass is recorded, so there is no session to replay.")
        assert bot.json("trade-once")["orders"] > 0
        lines = kept.with_name("candidates.jsonl")
        lines.write_text('{"symbol": "KO", "side": "buy", "score": 0.9}\n')
        assert bot.json("trade-once", "--candidates", str(lines))["candidates"] == 1
        bot.says("exchange", "tick", "1m")
        bot.says("evaluate-exits")
        shutil.copy(bot.folder / "passes.db", kept)
    shutil.copy(kept, bot.folder / "passes.db")
    return bot


def test_what_a_person_ran_is_played_again_with_the_slots_that_nobody_ran(traded: Bot) -> None:
    day = traded.json("parity")["day"]
    assert (day["passes"], day["fills"] > 0, day["complete"]) == (3, True, False)
    assert {one["cause"] for one in day["differences"]} <= {ParityCause.MISSED_SLOT}
    said = traded.shown("parity", day["session"])
    assert said.startswith(f"Session {day['session']} so far, played again: 3 passes, ")


def change(bot: Bot, what: str) -> str:
    """Change the record of the first pass, and return its id."""
    with closing(sqlite3.connect(bot.folder / "passes.db")) as database, database:
        ((name,),) = database.execute("SELECT id FROM passes ORDER BY at LIMIT 1").fetchall()
        database.execute(f"UPDATE passes SET {what} WHERE id = '{name}'")  # noqa: S608 - our own names
    return str(name)


def test_session_that_cannot_be_played_says_why_and_what_to_type(traded: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    day = traded.json("parity")["day"]["session"]
    absent = traded.says("parity", "2020-01-01")
    assert (absent.code, absent.err.rstrip().endswith(day)) == (2, True)
    assert "No pass of session 2020-01-01 is recorded" in absent.err
    name = change(traded, "sum = CAST(substr(sum, 1, 15) || x'00' AS BLOB)")
    refuses(traded.says("parity"), 2, f"Pass {name} can't be used: its record was changed", "next: ")
    monkeypatch.setattr(parity, "__version__", "9.9")
    other = traded.says("parity")
    assert (other.code, "was traded by version 0.1.0, and a backtest of 9.9 may differ" in other.err) == (2, True)
    assert "--from-version 0.1.0" in other.err


def test_measured_costs_are_those_of_the_fills_that_were_compared(traded: Bot) -> None:
    wish = ("backtest", "--sessions", "1", "--symbols", "AAPL", "--cost", "measured")
    refuses(traded.says(*wish), 2, "no session has been compared with its backtest")
    with closing(SqliteFacts(traded.folder, MemoryEvents(), NOW)) as facts:
        facts.put_parity(compared(0, "3"))
    run = traded.json(*wish, "--name", "measured")
    (slippage,) = [one for one in run["assumptions"] if one["name"] == "slippage"]
    assert slippage["value"].startswith("5.00 bps")


def test_fills_are_shown_with_times_of_the_same_zone_as_their_row(traded: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = replace(
        differing(DifferenceType.FILL, ParityCause.FILL_MODEL), live="buy 1 at 100, 15:00:00Z", played="nothing"
    )
    day = replace(compared(0, "3", fill), complete=False)
    monkeypatch.setattr("commands.parity.report.parity_of", lambda *arguments: day)
    assert "buy 1 at 100, 10:00:00 ET" in traded.shown("parity")
    assert traded.json("parity")["day"]["differences"][0]["live"] == fill.live
