"""How much an account was invested and traded, beside which rates: by hand, and along a path."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.trades import past, rotated, sessions, spy
from tests.kit.values import there
from tradebot.views.performance.activity import average_equity, measure, traded_usd
from tradebot.views.performance.curve import Rates
from tradebot.views.performance.history import History
from tradebot.views.performance.returns import Path, path


def way(history: History, count: int) -> Path:
    return path(history, [], sessions(count))


def test_average_equity_is_unknown_without_a_session() -> None:
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


def test_benchmark_is_leveled_by_the_accounts_exposure_in_each_session() -> None:
    history, days = rotated(1, 60), sessions(60)
    found = measure(history, path(history, [], days), days, spy(2, 60), Rates())
    assert found.exposed
    assert found.exposed.gross == pytest.approx(1.25, abs=0.03)
    assert found.rows is not None
    gross = [each.gross for each in there(found.exposures)]
    assert found.exposed.gross == pytest.approx(sum(gross) / len(gross))
    leveled = [share * value for share, value in zip(gross, found.rows["benchmark"][1:], strict=True)]
    assert list(found.rows["leveled"])[1:] == pytest.approx(leveled)


def test_path_without_a_session_has_no_frame() -> None:
    found = measure(rotated(1, 3), Path(None, (), (), ()), (), spy(2, 3), Rates())
    assert (found.rows, found.exposed, found.exposures) == (None, None, None)
