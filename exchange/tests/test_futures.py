"""The months of futures: when they end, how their prices differ, and where their volume goes."""

from datetime import date
from pathlib import Path

import pytest

from exchange.tests.kit.tws import spec
from papervenue.market.futures import ROOTS, futures, months_of
from papervenue.market_loader import open_market
from papervenue.process import create
from papervenue.state import read_market
from papervenue.times import rfc3339


def test_the_last_days_are_those_of_the_worked_examples() -> None:
    december, march = months_of("ES", date(2026, 11, 1), date(2027, 4, 1))
    assert (december.symbol, december.last_day, march.symbol, march.last_day) == (
        *("ESZ6", date(2026, 12, 18)),
        *("ESH7", date(2027, 3, 19)),
    )
    assert rfc3339(december.last_us) == "2026-12-18T14:30:00Z"
    (euro,) = months_of("6E", date(2026, 11, 1), date(2026, 12, 31))
    assert (euro.symbol, euro.last_day) == ("6EZ6", date(2026, 12, 14))
    (gold,) = months_of("GC", date(2026, 11, 1), date(2026, 12, 31))
    assert (gold.symbol, gold.last_day, gold.notice) == ("GCZ6", date(2026, 12, 29), date(2026, 11, 30))


def test_a_market_has_every_roots_ended_months_and_some_beyond_its_end() -> None:
    listed = futures(date(2026, 11, 23), 20)
    assert {one.root for one in listed} == set(ROOTS)
    for root in ROOTS:
        ends = [one.last_trading[:10] for one in listed if one.root == root and one.last_trading]
        assert ends == sorted(ends)
        assert sum(end > "2026-12-31" for end in ends) >= 2
        assert sum(end < "2026-11-23" for end in ends) >= 3
    assert not [problem for one in listed for problem in one.problems()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("futures")
    create(folder, spec(sessions=22))
    return folder


def test_volume_moves_on_to_the_next_month_before_the_roll_and_prices_come_together(folder: Path) -> None:
    market = open_market(folder, read_market(folder))
    old, new = ([market.whole_day(symbol, index) for index in range(22)] for symbol in ("ESZ6", "ESH7"))
    pairs = [(a, b) for a, b in zip(old, new, strict=True) if a is not None and b is not None]
    larger = [b.volume > a.volume for a, b in pairs]
    assert larger == sorted(larger)
    assert next(day.date for day, moved in zip(market.calendar.market, larger, strict=False) if moved) == "2026-12-14"
    assert all(1.005 < ratio < 1.013 for ratio in [b.close / a.close for a, b in pairs[:-1]])
    assert len(pairs) == 20


def test_an_ended_month_has_bars_up_to_its_end_alone(folder: Path) -> None:
    market = open_market(folder, read_market(folder))
    assert market.whole_day("ESZ6", 19) is not None
    assert market.day("ESZ6", 19).bars[-1].end_us == market.grids["ESZ6"].last_us
    assert market.whole_day("ESZ6", 20) is None
