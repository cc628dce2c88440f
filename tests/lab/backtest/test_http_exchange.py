"""A backtest at Kraken leaves out the passes in which nothing is at stake, and nothing comes of it."""

import random
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest

from papervenue.market.coins import kraken_venue
from papervenue.market.spec import MarketSpec
from tests.lab.backtest.roads import Stub, play_to_end
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.app.settings import load
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.model.candidate import Side
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.view import Close, Open, StrategyView, Want

COINS = ("PF_XBTUSD", "PF_ETHUSD")


class Sometimes(Stub, frozen=True):
    """Holds a coin for an hour or until its stop or target is reached, and then waits for long."""

    def propose(self, view: StrategyView) -> Sequence[Want]:
        chance = random.Random(view.now.isoformat())  # noqa: S311
        closes = [Close(symbol, "enough") for symbol in view.lots]
        if closes or chance.random() < 0.7:
            return closes
        side = chance.choice((Side.BUY, Side.SELL))
        near = Decimal("0.003")
        want = Open(chance.choice(COINS), side, 0.8 * side.sign, 1.0, stop_loss_fraction=near)
        return [replace(want, profit_target_fraction=near, atr_fraction=near)]


def played(*, every_pass: bool) -> BacktestRun:
    spec = MarketSpec(
        start=date(2026, 11, 16), symbols=COINS, sessions=2, seed=7, venue=kraken_venue(7, COINS), cash=Decimal(50_000)
    )
    changes = {
        "venue": "kraken_futures",
        "universe": list(COINS),
        "strategies": {"flow": None, "rotation": None, "sometimes": {"exits": []}},
        "timetable": {
            "evaluate-exits": "every 15m from open+1m until close",
            "trade-once": "every 60m from open+1m until close",
            "reconcile": "every 30m from open+1m until close",
            "score": "at close-10m",
        },
    }
    settings = load(None, {}, changes).settings
    plan = BacktestPlan(settings, spec, level=RecordLevel.FULL, every_pass=every_pass)
    return play_to_end(create_run(plan, [Sometimes("sometimes")]))


@pytest.mark.campaign
def test_passes_of_a_flat_account_are_left_out_and_change_nothing() -> None:
    whole, quick = played(every_pass=True), played(every_pass=False)
    for of in (whole, quick):
        assert (of.opening, of.closing) == (0, 0)
    books, others = whole.made.ledger, quick.made.ledger
    assert len({one.fill.venue_order_id for one in books.fills()}) > 8, "it hardly traded"
    assert others.fills() == books.fills()
    assert others.orders() == books.orders()
    assert others.intents() == books.intents()
    assert others.cash_movements() == books.cash_movements()
    assert others.standing().peak == books.standing().peak
    assert quick.ends == whole.ends
    cycles = [of.made.facts.cycles(job=Job.TRADE_ONCE) for of in (whole, quick)]
    decided = [[one for one in of if one.candidates] for of in cycles]
    assert decided[0] == decided[1] != []
    ran = whole.driver.count.ran - quick.driver.count.ran
    assert ran > whole.driver.count.due / 4, "most of the time the account is flat"
