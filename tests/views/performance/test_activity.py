"""How much an account was invested and traded, beside which rates: by hand, and along a path."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import there
from tests.views.performance.played import past, rotated, sessions, spy
from tradebot.model.bar import Session
from tradebot.views.performance.activity import Exposure, average_equity, measure, traded_usd
from tradebot.views.performance.curve import Rates
from tradebot.views.performance.history import History
from tradebot.views.performance.returns import Path, path


def way(history: History, count: int) -> Path:
    return path(history, [], sessions(count))


def exposed(history: History, along: Path, known: Sequence[Session]) -> Exposure | None:
    return measure(history, along, known, spy(2, 20), Rates()).exposed


def test_exposure_weighs_cost_by_open_market_time() -> None:
    # Each session of 6.5 hours holds 10,000 USD for 3 hours; the books were opened an hour before the first one.
    history = past(1, 20)
    found = there(exposed(history, way(history, 20), sessions(20)))
    average = there(average_equity(way(history, 20)))
    assert found.gross == pytest.approx(10_000 * 3 / 6.5 / average)
    assert found.net == found.gross


def test_exposure_clips_positions_to_the_span() -> None:
    history = past(1, 20)
    held = History("1", "sandbox", history.opened_at, history.opening_cash, history.fills[:1], ends=history.ends)
    found = there(exposed(held, way(held, 20), sessions(20)))
    average = there(average_equity(way(held, 20)))
    assert found.gross == pytest.approx(10_000 * (20 * 6.5 - 1) / (20 * 6.5) / average)


def test_exposure_is_unknown_without_calendar_or_session() -> None:
    history = past(1, 20)
    assert exposed(history, way(history, 20), ()) is None
    assert exposed(history, Path(None, (), (), ()), sessions(20)) is None
    assert average_equity(Path(None, (), (), ())) is None


def test_turnover_counts_purchases_and_sales_within_the_span() -> None:
    history = past(1, 20)
    first = history.fills[0].fill.at
    bought = sum(owned.fill.quantity * owned.fill.price for owned in history.fills)
    assert traded_usd(history.fills, way(history, 20)) == bought
    assert traded_usd(history.fills, Path(None, (), (), ())) == 0
    early = way(history, 20)
    assert there(early.start).at < first - timedelta(hours=1)
    assert traded_usd((), early) == Decimal(0)


def test_benchmark_is_leveled_by_the_accounts_exposure() -> None:
    history, days = rotated(1, 60), sessions(60)
    way = path(history, [], days)
    found = measure(history, way, days, spy(2, 60), Rates(0.0, 0.3, (), 0.0))
    assert found.exposed
    assert found.rates.leverage == found.exposed.gross == pytest.approx(1.25, abs=0.03)
    assert found.rows is not None
    assert list(found.rows["leveled"])[1:] == pytest.approx(list(found.rows["benchmark"] * found.rates.leverage)[1:])


def test_path_without_a_session_has_no_frame() -> None:
    history = rotated(1, 3)
    found = measure(history, Path(None, (), (), ()), (), spy(2, 3), Rates(0.0, 0.3))
    assert (found.rows, found.exposed, found.held, found.rates.leverage) == (None, None, (), None)
