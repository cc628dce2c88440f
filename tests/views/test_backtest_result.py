"""What a backtest earned, worked out by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from tests.kit.values import cash_movement, fill, there
from tradebot.gates.halts import CLEARED_BY
from tradebot.model.candidate import Side
from tradebot.model.limits import HaltRules
from tradebot.model.order import Fee
from tradebot.model.position import Origin
from tradebot.model.reasons import Reason
from tradebot.model.record import SessionEnd
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.values import replace
from tradebot.views.backtest_result import SETTINGS, BacktestResult, Fall, backtest_result, what_it_cannot_know


def at(day: int, hour: int = 15) -> datetime:
    return datetime(2025, 3, day, hour, tzinfo=UTC)


def ended(*equities: str) -> list[SessionEnd]:
    return [
        SessionEnd(date(2025, 3, 3 + place), Decimal(equity), at(3 + place, 20), {}, None)
        for place, equity in enumerate(equities)
    ]


def result(*equities: str) -> BacktestResult:
    fills = [
        fill(0, quantity="10", price="100", at=at(3), fee=Fee(Decimal("0.25"))),
        fill(1, side=Side.SELL, quantity="10", price="110", at=at(4)),
        fill(2, symbol="MSFT", quantity="1", price="50", at=at(4)),
    ]
    cash = [
        cash_movement(at(3), Decimal(amount), kind, Origin.ACTIVITY, "", "")
        for kind, amount in (("FEE", "-1.50"), ("INT", "-0.25"), ("DIV", "2"), ("FEE", "-0.50"), ("FUNDING", "-3"))
    ]
    halt = TradingStateRecord(TradingState.REDUCE_ONLY, "bot", "too deep", at(4), frozenset({Reason.DRAWDOWN_REACHED}))
    back = TradingStateRecord(TradingState.ACTIVE, "me", "fine", at(5))
    return backtest_result(Decimal(1000), ended(*equities), fills, cash, [halt, back])


def test_backtest_result_adds_up_the_books() -> None:
    found = result("1100", "990", "1210")
    assert (found.first_session, found.last_session, found.sessions) == (date(2025, 3, 3), date(2025, 3, 5), 3)
    assert found.total_return == pytest.approx(0.21)
    assert there(found.max_drawdown).depth == pytest.approx(-0.1)
    dates = replace(there(found.max_drawdown), depth=0.0)
    assert dates == Fall(0.0, date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5))
    assert (found.trades, found.still_open, found.fills) == (1, 1, 3)
    assert found.traded_usd == 2150
    paid = [found.fees_usd, found.interest_usd, found.dividends_usd, found.funding_usd]
    assert paid == [Decimal("-2.25"), Decimal("-0.25"), Decimal(2), Decimal(-3)]
    (halt,) = found.halts
    assert (halt.at, halt.causes, halt.settings) == (at(4), ("DRAWDOWN_REACHED",), ("halts.drawdown_fraction",))
    assert halt.ended == at(5)
    assert found.yearly_return is None, "three sessions say nothing about a year"


def test_settings_that_would_let_a_halted_study_go_on_belong_to_causes_of_halts() -> None:
    assert set(SETTINGS.values()) <= {f"halts.{name}" for name in HaltRules.model_fields}
    assert set(SETTINGS) <= set(CLEARED_BY)


def test_backtest_that_only_rises_has_no_drawdown() -> None:
    assert result("1001", "1002").max_drawdown is None


def test_backtest_of_a_year_has_a_yearly_return() -> None:
    ends = [
        SessionEnd(date.fromordinal(738000 + place), Decimal(1000 + place), at(3), {}, None) for place in range(504)
    ]
    found = backtest_result(Decimal(1000), ends, (), (), ())
    assert found.yearly_return == pytest.approx(1.503**0.5 - 1)
    of_days = backtest_result(Decimal(1000), ends[:365], (), (), (), year=365)
    assert of_days.yearly_return == pytest.approx(of_days.total_return), "a venue that never closes has more sessions"
    assert what_it_cannot_know(of_days)[1].startswith("1.0 years of one market")
    usual = backtest_result(Decimal(1000), ends[:365], (), (), ()).sharpe
    assert usual is not None
    assert of_days.sharpe == pytest.approx(usual * (365 / 252) ** 0.5)


def test_backtest_cautions_appear_where_they_apply() -> None:
    said = what_it_cannot_know(result("1100"))
    assert said[0].startswith("Only 1 trade closed")
    assert said[1].startswith("Less than a year of one market")
    assert said[-1].startswith("Nobody traded against it")
