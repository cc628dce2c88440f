"""What a path is measured by: positions, exposure, and a frame that has the exposure as its leverage."""

import pytest

from tests.views.performance.played import rotated, sessions, spy
from tradebot.views.performance.activity import exposure
from tradebot.views.performance.curve import Rates
from tradebot.views.performance.measured import measure
from tradebot.views.performance.returns import Path, path


def test_the_benchmark_is_leveled_as_the_account_is() -> None:
    history, days = rotated(1, 60), sessions(60)
    way = path(history, [], days)
    found = measure(history, way, days, spy(2, 60), Rates(0.0, 0.3, (), 0.0))
    assert found.exposed is not None
    assert found.exposed == exposure(history.lots, way, found.market)
    assert found.rates.leverage == found.exposed.gross == pytest.approx(1.25, abs=0.03)
    assert found.rows is not None
    assert list(found.rows["leveled"])[1:] == pytest.approx(list(found.rows["benchmark"] * found.rates.leverage)[1:])


def test_without_a_session_there_is_no_frame() -> None:
    history = rotated(1, 3)
    found = measure(history, Path(None, (), (), ()), (), spy(2, 3), Rates(0.0, 0.3))
    assert (found.rows, found.exposed, found.held, found.rates.leverage) == (None, None, (), None)
