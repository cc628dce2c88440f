"""Each session of a backtest is valued at its close: who holds SPY earns what SPY does, to the cent."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest
from msgspec import Struct

from papervenue.market.bars import usd
from papervenue.market.spec import MODELS, SPECS
from tests.kit.backtest.drawn import NAME, Drawn, assembled, driver
from tradebot.model.limits import Protection
from tradebot.model.view import Needs, StrategyView, Target, Want

SHARES = Decimal(10)


class Holder(Struct, frozen=True):
    """A strategy that buys SPY once."""

    needs: Needs = Needs(lots=True)
    times: str = ""
    name: str = NAME

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return () if "SPY" in view.lots else (Target("SPY", quantity=SHARES),)


def holding(model: str, *, daily: bool) -> Drawn:
    return Drawn(
        seed=4,
        sessions=12 if daily else 2,
        symbols=("SPY",),
        strategy=Holder(),
        exits=(),
        protection=Protection.BOT,
        fill=SPECS[model],
        halts={},
        looks="at open+1m",
        entries="at open+5m",
        comparisons="at open+1m",
        actions=False,
        daily=daily,
    )


@pytest.mark.parametrize("daily", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_holder_of_spy_earns_what_spy_does_from_close_to_close(model: str, daily: bool) -> None:
    drawn = holding(model, daily=daily)
    made = assembled(drawn)
    ends = list(map(driver(drawn, made, every_pass=False).play, made.sessions))
    fills, cash = [owned.fill for owned in made.ledger.fills()], made.ledger.opening_cash()
    assert fills, "nothing was bought"
    for place, (end, session) in enumerate(zip(ends, made.sessions, strict=True)):
        close = usd(made.engine.market.day("SPY", place).bars[-1].close)
        earned = sum(fill.quantity * (close - fill.price) for fill in fills if fill.at <= session.close)
        assert (end.equity, end.equity_at, end.marked_at) == (cash + earned, session.close, session.close)
        assert end.marks == ({"SPY": close} if earned else {})
    assert list(made.facts.session_ends(date.min, date.max)) == ends


def test_equity_at_the_last_fill_values_no_session() -> None:
    drawn = holding("close", daily=True)
    known, stale = assembled(drawn), assembled(drawn, equity_at="last_fill")
    ends = [list(map(driver(drawn, made, every_pass=False).play, made.sessions)) for made in (known, stale)]
    assert known.world.reader.account().equity != stale.world.reader.account().equity
    assert ends[0] == ends[1]
