"""Insiders: how many bought and how many sold, once a day each."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.builders import DAY, NOW
from tests.signals.source_rows import read
from tradebot.signals.kinds.insider import KIND, InsiderDay, InsiderFacts, InsiderSide

ROW = {
    "date": "2026-11-12",
    "buy_sell": "sell",
    "avg_price": 162.32,
    "premium": "664386",
    "transactions": 54,
    "uniq_insiders": 10,
    "volume": 244331,
}


def test_a_day_counts_its_insiders_and_not_their_transactions() -> None:
    day = KIND.parse(ROW, "AAPL", NOW)
    assert (day.id, day.premium) == ("2026-11-12/sell", Decimal(664386))
    assert KIND.lean(day) == InsiderSide(date(2026, 11, 12), bought=False, insiders=10)


def test_purchases_and_sales_of_one_day_are_two_facts() -> None:
    assert len(read("insider", [ROW, {**ROW, "buy_sell": "buy"}]).facts) == 2


def test_a_premium_of_sales_may_be_negative() -> None:
    (day,) = read("insider", [{**ROW, "premium": "-664386"}]).facts
    assert isinstance(day, InsiderDay)
    assert day.premium == 664386


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("buy_sell", "gift", "buy_sell is neither buy nor sell"), ("date", "2026-11-17", "date is in the future")],
)
def test_a_bad_row_is_counted_with_its_reason(name: str, value: str, reason: str) -> None:
    assert [row.reason for row in read("insider", [{**ROW, name: value}]).rejected] == [reason]


def test_the_days_add_up() -> None:
    sides = [(2, True, 3), (0, False, 4), (9, True, 1)]
    days = [InsiderSide(DAY - timedelta(days=days), bought, number) for days, bought, number in sides]
    assert KIND.condense(days) == InsiderFacts(4, 4, DAY)
