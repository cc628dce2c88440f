"""`tradebot trade-once --candidates`: one's own candidates on the same road, each file once in a slot."""

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, log, second_session

LINES: list[Any] = [
    {"symbol": "AAPL", "side": "buy", "score": 0.6, "source": "my_model", "strategy": "mine"},
    {"symbol": "AAPL", "side": "buy", "score": 0.7, "strategy": "mine"},
    {"ticker": "NASDAQ:MSFT", "action": "sell", "time": "2026-11-17T15:00:00Z"},
    {"symbol": "QQQ", "side": "buy", "score": 0.05},
    {"symbol": "AMZN", "side": "buy"},
    "nonsense \x1b[31m",
]


def file_of(folder: Path, *lines: Any) -> str:
    path = folder / "candidates.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(path)


def accepted(bot: Bot) -> Counter[str]:
    """Return the orders that the exchange has taken, by symbol."""
    return Counter(event["symbol"] for event in log(bot.url) if event["event"] == "order_accepted")


def test_candidates_file_sends_good_lines_and_counts_bad_ones(bot: Bot, tmp_path: Path) -> None:
    second_session(bot)
    found = bot.json("trade-once", "--candidates", file_of(tmp_path, *LINES))
    read = found["submitted"]
    assert (read["lines"], read["candidates"], read["duplicates"]) == (6, 3, 1)
    assert [(bad["line"], bad["reason"]) for bad in read["bad"]] == [(5, "score_missing"), (6, "not_json")]
    rows = {row["symbol"]: row for row in found["rows"]}
    assert {symbol: (row["source"], row["side"], row["reason"]) for symbol, row in rows.items()} == {
        "AAPL": ("my_model", "buy", None),
        "MSFT": ("tradingview", "sell", None),
        "QQQ": ("candidates", "buy", "QUOTE_MISSING"),
    }
    assert rows["AAPL"]["client_order_id"].startswith("tb1.261117.MINE.AAPL.OPEN.")
    assert accepted(bot) == {"AAPL": 1, "MSFT": 1}


def test_bad_candidate_lines_are_kept_as_an_event(bot: Bot) -> None:
    events = [json.loads(line) for line in (bot.folder / "system_events.jsonl").read_text().splitlines()]
    (event,) = [event for event in events if event["subsystem"] == "candidates"]
    assert (event["event_type"], event["details"]["bad"]) == ("lines_refused", "2")
    assert "5: score_missing (score is required)" in event["details"]["first"]


def test_candidates_file_runs_once_in_a_slot_beside_another(bot: Bot, tmp_path: Path) -> None:
    assert bot.json("trade-once", "--candidates", file_of(tmp_path, *LINES))["reason"] == "SLOT_TAKEN"
    other = bot.json("trade-once", "--candidates", file_of(tmp_path, LINES[0], LINES[2]))
    assert [row["reason"] for row in other["rows"]] == ["ORDER_WORKING", "ORDER_WORKING"]
    assert accepted(bot) == {"AAPL": 1, "MSFT": 1}
    assert bot.json("trade-once")["submitted"] is None


def test_position_from_own_candidates_is_closed_by_exits(bot: Bot) -> None:
    bot.says("exchange", "tick", "5m")
    assert bot.says("reconcile").code == 0
    held = {row["symbol"]: row["strategy"] for row in bot.json("status")["positions"]}
    assert (held["AAPL"], held["MSFT"]) == ("mine", "own")
    looked_at = {row["symbol"] for row in bot.json("evaluate-exits")["rows"]}
    assert {"AAPL", "MSFT"} <= looked_at


def test_candidates_from_stdin_in_a_dry_run_leave_nothing(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"symbol": "NVDA", "side": "buy", "score": 0.9, "at": "2026-11-17T14:00:00Z"})
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    before = bot.json("status")["looked_at"]
    (row,) = bot.json("trade-once", "--candidates", "-", "--dry-run")["rows"]
    assert (row["symbol"], row["reason"]) == ("NVDA", "CANDIDATE_STALE")
    assert bot.json("status")["looked_at"] == before


def test_screen_shows_candidates_without_control_characters(bot: Bot, tmp_path: Path) -> None:
    shown = bot.says("trade-once", "--dry-run", "--candidates", file_of(tmp_path, *LINES)).out
    assert "candidates.jsonl = 3 candidates + 1 duplicate + 2 bad lines" in shown.replace("\n", " ")
    assert "line 5: score_missing: score is required" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("nonsense",), "none of the 1 lines"),
        (("{}",) * 1001, "more than 1,000 lines"),
        ((LINES[0] | {"strategy": "flow"},), "reserved_strategy (strategy flow already trades here on its own)"),
    ],
)
def test_unreadable_candidates_trade_nothing(bot: Bot, tmp_path: Path, lines: Any, words: str) -> None:
    refuses(bot.says("trade-once", "--candidates", file_of(tmp_path, *lines)), 2, words)


def test_missing_candidates_file_is_named(bot: Bot, tmp_path: Path) -> None:
    said = bot.says("trade-once", "--candidates", str(tmp_path / "none.jsonl"))
    assert (said.code, "can't be read: No such file or directory" in said.err) == (2, True)


def test_failure_while_reading_candidates_names_the_input(bot: Bot) -> None:
    said = bot.says("trade-once", "--candidates", "/proc/self/mem")
    assert (said.code, "/proc/self/mem can't be read: Input/output error" in said.err) == (2, True)
