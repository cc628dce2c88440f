"""A strategy with its own times, through the verbs: asked in its slot, taken up after a kill, and explained."""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from commands import schedule
from commands.shared.tables import Screen
from commands.shared.verb_options import Report
from commands.trade_once import run as trade_once
from tests.kit.bot.folder import Bot, log
from tests.kit.core.scene import wanted
from tests.kit.values import Killed
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.model.view import NOTHING, Open, StrategyView

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


def accepted(bot: Bot) -> list[str]:
    return [line["symbol"] for line in log(bot.url) if line["event"] == "order_accepted"]


def shown(report: Report) -> str:
    """Return what a report shows a person, in one line."""
    screen = Screen(width=160, record=True, file=io.StringIO())
    report.render(screen, report.data)
    return " ".join(screen.export_text().split())


def test_strategy_with_own_times_is_asked_once_per_slot(trader: Bot) -> None:
    strategy = Clocked()
    assert entries(trader, strategy).orders == 2
    assert (strategy.asked, accepted(trader)) == (["open+25m"], ["AAPL", "MSFT"])
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
    assert (strategy.asked, sorted(accepted(trader))) == (["open+25m"] * 2, ["AAPL", "MSFT"])
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
        assert own.unusable.startswith("every 1m: the slot open+3m would be over before a pass of entries starts")
        assert schedule.run(app, 1, datetime(2026, 11, 30, tzinfo=UTC)).data.strategies
    assert trader.json("schedule")["strategies"] == []


def test_schedule_of_monthly_times_loads_enough_calendar(trader: Bot) -> None:
    strategy = Clocked()
    strategy.times = "first session of month at open+5m for 3 sessions"
    with asking(trader, strategy) as app:
        (own,) = schedule.run(app, 1, datetime(2027, 1, 5, tzinfo=UTC)).data.strategies
    assert (str(own.due.session), str(own.due.end), str(own.next.session)) == (
        "2027-01-04",
        "2027-01-06 21:00:00+00:00",
        "2027-02-01",
    )
