"""Four strategies trade on the embedded exchange: each within its own rules, and the sums are right."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest

from commands.demo.run import DemoSession
from papervenue import process
from tests.kit.bot.folder import Bot, log
from tests.kit.bot.state import configure
from tests.kit.plugins.four import CONFIGURATION, STRATEGIES, install
from tradebot.__main__ import main
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.model.candidate import Purpose
from tradebot.model.intent import IntentRecord, mark_of
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.timetable.sessions import session_of
from tradebot.views.explain import funnel, of_strategy

pytestmark = pytest.mark.campaign
SYMBOLS = "AAPL,MSFT,NVDA,AMZN,JPM,XOM"
MINUTES = 75
"""So long that a position of the mean reversion comes to its end."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Yield the bot after the beginning of the first session of a month; its market began a session earlier."""
    place = tmp_path_factory.mktemp("four")
    (place / "plugins").mkdir()
    install(place / "plugins")
    folder = place / "state"
    with patch.dict(os.environ), patch.object(sys, "path", [str(place / "plugins"), *sys.path]):
        flags = ["--symbols", SYMBOLS, "--start", "2026-11-30", "--sessions", "2", "--seed", "3"]
        assert main(["init", "--state-dir", str(folder), *flags]) == 0
        configure(folder, CONFIGURATION)
        try:
            with open_app(Options(str(folder)), os.environ) as app:
                play(app)
                yield app
        finally:
            process.stop(folder / "exchange")


def play(app: App) -> None:
    app.engine.tick_to("close")
    app.engine.tick_to("next_open")
    now = app.now()
    app.ensure_calendar(now)
    session = session_of(app.ledger, now, app.day)
    assert session is not None
    day = DemoSession(app, session, now)
    app.let_pass = day.meanwhile
    for minute in range(1, MINUTES + 1):
        day.run(now + timedelta(minutes=minute))


def passes(app: App) -> list[CycleRecord]:
    return list(app.facts.cycles(job=Job.TRADE_ONCE))


def wanted(app: App) -> list[CandidateRecord]:
    return [record for cycle in passes(app) for record in cycle.candidates]


def orders(app: App, strategy: str) -> list[IntentRecord]:
    return [record for record in app.ledger.intents() if record.intent.key.strategy == strategy]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_trades(played: App, strategy: str) -> None:
    found = {intent.purpose for record in orders(played, strategy) if (intent := record.intent).makes_order}
    assert Purpose.OPEN in found, funnel(of_strategy(strategy, passes(played)))


def test_each_passs_funnel_adds_up_by_strategy(played: App) -> None:
    seen = Counter[str]()
    for cycle in passes(played):
        told = funnel([cycle])
        assert told.candidates == sum(part.candidates for part in told.by_strategy)
        for part in told.by_strategy:
            assert part.candidates == part.orders + sum(part.reasons.values())
            seen[part.strategy] += part.orders
    assert set(seen) == set(STRATEGIES)
    sent = Counter(
        r.intent.key.strategy
        for r in played.ledger.intents()
        if r.intent.makes_order and r.intent.cycle_id.startswith(Job.TRADE_ONCE)
    )
    assert +seen == +sent


def test_the_lots_of_the_four_add_up_to_what_the_exchange_holds(played: App) -> None:
    net = Counter[str]()
    for position in played.ledger.totals().own_positions():
        assert position.strategy in STRATEGIES
        net[position.symbol] += int(position.quantity)
    held = {position.symbol: int(position.quantity) for position in played.reader.view().positions}
    assert {symbol: quantity for symbol, quantity in net.items() if quantity} == held


def test_no_two_strategies_hold_opposite_sides_of_a_symbol(played: App) -> None:
    sides: dict[str, set[bool]] = {}
    for position in played.ledger.totals().own_positions():
        sides.setdefault(position.symbol, set()).add(position.quantity > 0)
    assert all(len(found) == 1 for found in sides.values())


def test_the_exchange_saw_no_order_that_the_books_did_not_promise_and_none_twice(played: App) -> None:
    requests = [event for event in log(played.exchange_url) if event["event"] == "order_accepted"]
    names = Counter(event["client_order_id"] for event in requests)
    promised = {record.intent.client_order_id for record in played.ledger.intents()}
    assert set(names) <= promised
    assert set(names.values()) == {1}
    marks = {strategy for name in names if (mark := mark_of(name)) for strategy in STRATEGIES if mark.is_of(strategy)}
    assert marks == set(STRATEGIES)


def test_each_strategy_stays_within_its_own_allotment(played: App) -> None:
    equity = played.reader.account().equity
    for position in played.ledger.totals().own_positions():
        share = abs(position.cost) / (equity * played.rules.of(position.strategy).allotment_fraction)
        assert share <= played.rules.of(position.strategy).limits.max_symbol_fraction * Decimal("1.05")


def test_the_monthly_strategy_is_asked_in_its_slot_alone_until_its_targets_are_reached(played: App) -> None:
    waited = [cycle for cycle in passes(played) if any(one.strategy == "momentum" for one in cycle.waiting)]
    assert [cycle.slot for cycle in waited][:1] == ["open+2m"], "its slot begins five minutes after the open"
    asked = [record for record in wanted(played) if record.candidate.strategy == "momentum"]
    slots = {(r.candidate.slot_session, r.candidate.slot) for r in asked}
    assert slots == {(date(2026, 12, 1), "first session of month open+5m")}
    last = {r.candidate.symbol: r.terminal.reason if r.terminal else None for r in asked[-3:]}
    # What another strategy holds on the other side keeps a target waiting, and the slot with it.
    assert Reason.TARGET_REACHED in last.values()
    assert set(last.values()) <= {Reason.TARGET_REACHED, Reason.OPPOSITE_SIDE}
    bought = Counter(record.intent.key.leg for record in orders(played, "momentum"))
    assert bought, "an order each for what it wants"


def test_positions_with_a_stop_of_their_own_are_watched_and_closed(played: App) -> None:
    opened_ = [r.intent for r in orders(played, "reversion") if r.intent.purpose is Purpose.OPEN]
    assert all(intent.stop_loss_fraction == Decimal("0.01") for intent in opened_ if intent.makes_order)
    closed = {r.intent.purpose for r in orders(played, "reversion")} - {Purpose.OPEN}
    assert closed, "it closed nothing in all this time"


def test_status_and_why_no_orders_name_the_four(played: App, capsys: pytest.CaptureFixture[str]) -> None:
    bot = Bot(played.folder.path, capsys)
    told = bot.says("why-no-orders", "--since", "session").out
    assert all(f"\n{strategy} " in told for strategy in STRATEGIES)
    for strategy in STRATEGIES:
        data = bot.json("why-no-orders", "--since", "session", "--strategy", strategy)
        assert [part["strategy"] for part in data["explanation"]["funnel"]["by_strategy"]] == [strategy]
