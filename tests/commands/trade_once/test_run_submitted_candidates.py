"""`tradebot trade-once --candidates`: one's own candidates on the same road, each file once in a slot."""

import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands import schedule
from commands.shared import ask_strategies
from commands.shared.tables import Screen
from commands.shared.verb_options import Report
from commands.trade_once import run as trade_once
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot, log, second_session
from tests.kit.bot.state import configure
from tests.kit.core.scene import wanted
from tests.kit.values import NOW, Killed
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.model.candidate import Side, Submission, Submitted
from tradebot.model.trading import Request
from tradebot.model.view import NOTHING, Open, StrategyView

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
        (
            (LINES[0] | {"strategy": "flow"},),
            "reserved_strategy (strategy flow already trades in this bot, so nobody else may submit candidates for it)",
        ),
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


def test_approval_of_what_was_not_submitted_such_as_a_roll_has_no_candidate_to_submit_again() -> None:
    given = Submitted("AAPL", Side.BUY, 0.6, "my_model", "mine", None, None)
    asked = list[Request]()
    approvals: Any = SimpleNamespace(ask=asked.append)
    keeper = trade_once.ApprovalsWithCandidate(approvals, Submission(1, (given,), 0, (), "digest"))
    one, usual = Decimal(1), (NOW.date(), "", NOW, NOW)
    for strategy, symbol in (("mine", "AAPL"), ("futures", "MESH7")):
        keeper.ask(Request("id", strategy, symbol, Side.BUY, one, one, one, *usual))
    assert [request.given for request in asked] == [given, None]


def test_late_entry_is_refused_and_its_slot_recorded_as_missed(trader: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    trader.does("exchange tick 5m", "fetch-flow", "exchange tick 4m")
    for module in (ask_strategies, trade_once):  # In the sandbox, whose time stands still, nobody is late.
        monkeypatch.setattr(module, "entry_grace_s", lambda app: 90)
    late = trader.says("trade-once")
    assert (late.code, late.err) == (0, "")
    assert late.out.startswith("SLOT_MISSED: Nothing was done in this slot (")
    assert "at most 90 s" in late.out
    assert "use --force-slot" in late.out
    assert "SLOT_MISSED" in trader.says("why-no-orders").out
    assert "as missed: SLOT_MISSED" in trader.says("trade-once").out
    assert trader.says("trade-once", "--dry-run").out.startswith("Entries at ")
    assert trader.says("trade-once", "--force-slot").out.startswith("Entries at ")
    assert trader.says("exchange", "tick", "3m").code == 0
    assert trader.says("trade-once").out.startswith("Entries at ")


def test_entries_that_need_flow_are_refused_before_the_fetch_without_using_the_slot(trader: Bot) -> None:
    configure(trader.folder, "timetable: {trade-once: {when: every 5m from open+2m until close-15m, needs: [flow]}}\n")
    assert trader.says("exchange", "tick", "5m").code == 0
    shows(trader.says("trade-once"), 0, "STAGE_FAILED")
    assert "STAGE_FAILED" in trader.says("why-no-orders").out
    assert trader.says("fetch-flow").code == 0
    assert "STAGE_FAILED" not in trader.says("trade-once").out


NEXT = "Strategy flow isn't due now; its next slot is open+45m at 2026-11-17 10:15 ET"


class Clocked:
    """A strategy that wants AAPL and MSFT in its slots."""

    name = "flow"
    needs = NOTHING
    times = "at open+25m, at open+45m"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def propose(self, view: StrategyView) -> Sequence[Open]:
        self.asked.append(view.slot)
        return [Open(symbol, wanted(symbol).side, 0.5, 0.9) for symbol in ("AAPL", "MSFT")]


@contextmanager
def asking(bot: Bot, strategy: Clocked) -> Iterator[App]:
    """Open the bot as a new process would, with this strategy as its only one."""
    with open_app(Options(str(bot.folder)), os.environ) as app:
        app.__dict__["strategies"] = (strategy,)
        yield app


def entries(bot: Bot, strategy: Clocked, *, force_slot: bool = False) -> Any:
    with asking(bot, strategy) as app:
        return trade_once.run(app, by="test", force_slot=force_slot).data


def sent_symbols(bot: Bot) -> list[str]:
    return [line["symbol"] for line in log(bot.url) if line["event"] == "order_accepted"]


def shown(report: Report) -> str:
    """Return what a report shows a person, in one line."""
    screen = Screen(width=160, record=True, file=io.StringIO())
    report.render(screen, report.data)
    return " ".join(screen.export_text().split())


def test_strategy_with_own_times_is_asked_once_per_slot(trader: Bot) -> None:
    strategy = Clocked()
    assert entries(trader, strategy).orders == 2
    assert (strategy.asked, sent_symbols(trader)) == (["open+25m"], ["AAPL", "MSFT"])
    forced = entries(trader, strategy, force_slot=True)
    assert (forced.candidates, forced.orders, len(strategy.asked)) == (0, 0, 1)
    assert [(waiting.strategy, waiting.next.name) for waiting in forced.waiting] == [("flow", "open+45m")]
    why = trader.json("why-no-orders")
    assert (why["explanation"]["verdict"], why["waiting"][0]["next"]["name"]) == ("idle by design", "open+45m")
    screen = trader.shown("why-no-orders")
    assert screen.startswith("IDLE BY DESIGN  No candidates: flow was not due.\nNext: tradebot schedule shows when")
    assert NEXT in screen
    trader.does("exchange tick 15m", "reconcile")
    entries(trader, strategy)
    assert strategy.asked == ["open+25m", "open+45m"]


def test_killed_pass_leaves_its_slot_to_the_next_pass(trader: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    from tradebot.orders import order_sender

    def killed(world: Any, desk: Any, intent: Any, verdicts: Any, **named: Any) -> Any:
        if intent.instrument.symbol == "MSFT":
            raise Killed
        return order_sender.send(world, desk, intent, verdicts, **named)

    strategy = Clocked()
    with monkeypatch.context() as patch:
        patch.setattr("tradebot.orders.entry_orders.send", killed)
        with pytest.raises(Killed):
            entries(trader, strategy)
    trader.says("exchange", "tick", "5m")
    rows = {row.symbol: row.reason for row in entries(trader, strategy).rows}
    assert rows["MSFT"] is None
    assert rows["AAPL"] is not None
    assert (strategy.asked, sorted(sent_symbols(trader))) == (["open+25m"] * 2, ["AAPL", "MSFT"])
    assert entries(trader, strategy, force_slot=True).candidates == 0


def test_schedule_shows_when_each_strategy_is_due(trader: Bot) -> None:
    strategy = Clocked()
    with asking(trader, strategy) as app:
        before = schedule.run(app, 1, schedule.trading_time_offline(app))
        (own,) = before.data.strategies
        assert (own.due.name, own.next.name, own.times) == ("open+25m", "open+45m", Clocked.times)
        due = "due until 2026-11-17 10:15 ET; next at 2026-11-17 10:15 ET"
        assert f"flow at open+25m, at open+45m {due}" in shown(before)
    entries(trader, strategy)
    with asking(trader, strategy) as app:
        (own,) = schedule.run(app, 1, schedule.trading_time_offline(app)).data.strategies
        assert (own.due, own.next.name) == (None, "open+45m")
        strategy.times = "every 1m"
        (own,) = schedule.run(app, 1, schedule.trading_time_offline(app)).data.strategies
        assert own.unusable.startswith("every 1m: the slot open+3m would end before any pass of entries begins")
        assert schedule.run(app, 1, datetime(2026, 11, 30, tzinfo=UTC)).data.strategies
    assert trader.json("schedule")["strategies"] == []


def test_schedule_of_monthly_times_loads_enough_calendar(trader: Bot) -> None:
    strategy = Clocked()
    strategy.times = "first session of month at open+5m for 3 sessions"
    with asking(trader, strategy) as app:
        (own,) = schedule.run(app, 1, datetime(2027, 1, 5, tzinfo=UTC)).data.strategies
    assert str(own.due.session) == "2027-01-04"
    assert str(own.due.end) == "2027-01-06 21:00:00+00:00"
    assert str(own.next.session) == "2027-02-01"
