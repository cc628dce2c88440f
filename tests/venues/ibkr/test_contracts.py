"""What each future is, when it is left for the next one, and what people call it."""

from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest

from papervenue.market import futures
from tradebot.adapters.time.calendar import exchange_sessions
from tradebot.venues.ibkr.capabilities import IBKR
from tradebot.venues.ibkr.contracts import (
    ROOTS,
    contract_mismatch,
    months_of,
    oddity_of,
    rolling_of,
    root_of,
    symbol_of,
)

ES = ROOTS["ES"]


def test_names_as_people_chart_them_map_to_roots() -> None:
    names = {"ES1!": "ES", "NQ1!": "NQ", "EURUSD": "6E", "GBPUSD": "6B", "AUDUSD": "6A", "XAUUSD": "GC", "6EZ6": "6E"}
    assert {name: root_of(name).name for name in names} == names
    assert symbol_of(" esz6 ") == "ESZ6"


@pytest.mark.parametrize(("name", "words"), [("EURUSDT", "EURUSD"), ("ESX6", "ES"), ("CLZ6", "the nearest is")])
def test_anything_else_is_refused_with_the_nearest_and_a_root_alone_has_many_months(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        root_of(name)
    with pytest.raises(ValueError, match="ESH7, ESM7"):
        symbol_of("ES1!")


@pytest.mark.parametrize(
    ("symbol", "last", "on", "until", "into"),
    [
        ("ESZ6", date(2026, 12, 18), date(2026, 12, 8), date(2026, 12, 17), "ESH7"),
        ("ESH7", date(2027, 3, 19), date(2027, 3, 9), date(2027, 3, 18), "ESM7"),
        ("6EZ6", date(2026, 12, 14), date(2026, 12, 7), date(2026, 12, 11), "6EH7"),
        # Notice of December's gold is first given on Monday, 30 November.
        ("GCZ6", date(2026, 12, 29), date(2026, 11, 20), date(2026, 11, 27), "GCG7"),
        ("GCG7", date(2027, 2, 24), date(2027, 1, 22), date(2027, 1, 28), "GCJ7"),
    ],
)
def test_a_contract_is_left_before_its_end_or_notice(symbol: str, last: date, on: date, until: date, into: str) -> None:
    rolling = rolling_of(symbol, root_of(symbol), last)
    assert (rolling.on, rolling.until, rolling.into) == (on, until, into)


@pytest.mark.parametrize("name", ROOTS)
def test_months_follow_one_another_and_end_when_the_exchange_says(name: str) -> None:
    months = months_of(name, date(2026, 6, 1), date(2027, 12, 1))
    for month, following in pairwise(months):
        assert month.rolling.into == following.symbol
        assert month.rolling.on < following.rolling.on
    assert months[0].rolling.on >= date(2026, 6, 1)
    assert months[-2].rolling.on <= date(2027, 12, 1) < months[-1].rolling.on
    listed = {one.symbol: one.last_day for one in futures.months_of(name, date(2026, 6, 1), date(2028, 4, 1))}
    root = ROOTS[name]
    assert all(month.rolling == rolling_of(month.symbol, root, listed[month.symbol]) for month in months)


def test_a_chart_names_the_months_of_its_root() -> None:
    (front, following) = months_of("XAUUSD", date(2026, 11, 10), date(2026, 11, 27))
    assert (front.symbol, front.rolling.on, following.symbol) == ("GCZ6", date(2026, 11, 20), "GCG7")


def test_what_the_venue_says_otherwise_is_a_doubt() -> None:
    assert contract_mismatch(ES, Decimal(50), Decimal("0.25"), "CME", "USD") == ""
    told = contract_mismatch(ES, Decimal(5), Decimal("0.50"), "CME", "USD")
    assert told == "ES: multiplier 5, not 50; tick 0.50, not 0.25"


def test_a_short_session_of_the_stock_indexes_is_a_holidays_where_shares_dont_trade() -> None:
    first, last = date(2026, 1, 1), date(2030, 12, 31)
    own = exchange_sessions(first, last, IBKR.calendar)
    knows, shares = IBKR.day.knowing(own), {one.date for one in exchange_sessions(first, last, "XNYS")}
    belonging = [one.date for one in own if knows.trade_date(one.date) != one.date]
    assert belonging == [one.date for one in own if one.date not in shares]
    assert knows.trade_date(date(2026, 11, 26)) == date(2026, 11, 27)
    assert knows.trade_date(date(2026, 4, 3)) == date(2026, 4, 6)


@pytest.mark.parametrize(
    ("symbol", "day", "price", "why"),
    [
        ("ESZ6", date(2026, 12, 18), 6000.25, ""),
        ("ESZ6", date(2026, 12, 19), 6000.25, "outside of its contract's life, which ends on 2026-12-18"),
        ("ESZ6", date(2016, 12, 1), 2200.25, "outside of its contract's life"),
        ("ESZ5", date(2025, 12, 1), 6000.25, ""),
        ("ESH8", date(2026, 12, 1), 6000.25, ""),
        ("ESZ6", date(2026, 12, 1), 6000.1, "price between two ticks"),
        ("6EZ6", date(2026, 12, 1), 1.08505, ""),
        ("6EZ6", date(2026, 12, 1), 1.08507, "price between two ticks"),
        ("AAPL", date(1999, 12, 1), 0.333, ""),
        ("ESF6", date(1999, 12, 1), 0.333, ""),
    ],
)
def test_bar_that_can_not_be_a_contracts_own_says_why(symbol: str, day: date, price: float, why: str) -> None:
    told = oddity_of(symbol, day, (price,), date(2026, 12, 1))
    assert told.startswith(why)
    assert bool(told) == bool(why)
