"""Bars of hours, and bars of other prices than trades': complete, on the sessions' grid, and without holes."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.adapters.bars.test_series import AROUND, around
from tradebot.auditing.bar_findings import RawBar, RawSeries
from tradebot.auditing.bars import check
from tradebot.model.series import PriceKind

FIRST, DAYS, HOUR_S = date(2026, 11, 2), 4, 3600
SESSIONS = around(FIRST, FIRST + timedelta(days=DAYS - 1))
BEGAN_S = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp())
LATER = datetime(2026, 12, 1, tzinfo=UTC)


def bars(hours: int, without: tuple[int, ...] = (), late_s: int = 0) -> list[RawBar]:
    places = [place for place in range(DAYS * 24 // hours) if place not in without]
    return [RawBar(BEGAN_S + HOUR_S * hours * place + late_s, 10.0, 11.0, 9.0, 10.0, 0.0) for place in places]


def found(stored: RawSeries, now: datetime = LATER) -> list[tuple[str, int]]:
    return [(finding.flaw.value, finding.count) for finding in check([stored], SESSIONS, now, AROUND).findings]


@pytest.mark.parametrize("price", PriceKind)
def test_whole_bars_of_any_price_are_right(price: PriceKind) -> None:
    stored = RawSeries("BTC", "4Hour", bars(4), (), price)
    (looked,) = check([stored], SESSIONS, LATER, AROUND).looked_at
    assert (looked.bars, looked.sessions, looked.price, looked.findings) == (24, 4, price, 0)
    assert found(RawSeries("BTC", "1Day", bars(24), (), PriceKind.SPOT)) == []


@pytest.mark.parametrize(
    ("stored", "now", "flaws"),
    [
        (RawSeries("BTC", "4Hour", bars(4, (5, 6)), (), PriceKind.SPOT), LATER, [("hole", 2)]),
        (RawSeries("BTC", "4Hour", bars(4, (5, 6))), LATER, []),
        (RawSeries("BTC", "4Hour", bars(4, late_s=60)), LATER, [("no_session", 6)] * 4),
        (RawSeries("BTC", "4Hour", bars(4)), datetime(2026, 11, 5, 23, 59, tzinfo=UTC), [("not_closed", 1)]),
        (RawSeries("BTC", "1Day", bars(24, (1,)), (), PriceKind.SPOT), LATER, [("gap", 1)]),
        (RawSeries("BTC", "4Hour", [bars(4)[0], bars(4)[0]]), LATER, [("duplicate", 2)]),
        (RawSeries("BTC", "4Hour", [bars(4)[0]._replace(low=0.0)]), LATER, [("bad_price", 1)]),
    ],
)
def test_what_cannot_be_right_is_found(stored: RawSeries, now: datetime, flaws: list[tuple[str, int]]) -> None:
    assert found(stored, now) == flaws
