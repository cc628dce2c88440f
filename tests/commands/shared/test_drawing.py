"""Bars, lines and spans: what a person sees is in proportion to the numbers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.shared.drawing import HEIGHTS, bar, duration, gain, measured, sparkline, tinted, usd
from tradebot.model.text import counted, counted_kind
from tradebot.model.units import Unit
from tradebot.views.figures import thinned

VALUES = st.lists(st.decimals(-1000, 1000, places=2), min_size=1, max_size=200)


@given(VALUES, st.integers(1, 80))
def test_sparkline_is_lowest_and_highest_where_its_values_are(values: list[Decimal], width: int) -> None:
    shown, line = thinned(values, width), sparkline(values, width)
    assert len(line) == len(shown) == min(width, len(values))
    assert shown[-1] == values[-1]
    if max(shown) > min(shown):
        assert line[shown.index(min(shown))] == HEIGHTS[0]
        assert line[shown.index(max(shown))] == HEIGHTS[-1]
        assert sorted(line) == [letter for _, letter in sorted(zip(shown, line, strict=True))]


def test_flat_sparkline_is_drawn_in_the_middle_and_an_empty_one_as_nothing() -> None:
    assert (sparkline([Decimal(5)] * 3, 10), sparkline([], 10)) == ("▄▄▄", "")


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_every_count_has_a_bar_no_longer_than_the_longest(count: int, more: int) -> None:
    drawn = bar(count, count + more, 8)
    assert (len(drawn) > 0) == (count > 0)
    assert len(drawn) <= 8 == len(bar(more, more, 8))


def test_duration_shows_its_two_largest_units() -> None:
    spans = [0, 59, 60, 3599, 3600, 12_000, 86_400, 187_200, -90]
    assert [duration(s) for s in spans] == ["0s", "59s", "1m", "59m", "1h00m", "3h20m", "1d0h", "2d4h", "-1m"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (Decimal("0.0312"), Unit.SHARE_OF_WHOLE, "3.12%"),
        ("0.0312", Unit.SHARE_OF_WHOLE, "3.12%"),
        (Decimal("10250.5"), Unit.USD, "10,250.50 USD"),
        ("10,250", Unit.USD, "10,250.00 USD"),
        (0.25, Unit.SECONDS, "0.2 s"),
        (Decimal("-0.01"), Unit.SECONDS, "0 s"),
        (119.94, Unit.SECONDS, "119.9 s"),
        (120.0, Unit.SECONDS, "2 min"),
        (-1080, Unit.SECONDS, "-18 min"),
        (1799.4, Unit.SECONDS, "29 min 59 s"),
        (3600.6, Unit.SECONDS, "1 h 1 s"),
        (60, Unit.SECONDS, "60 s"),
        (3_700_800, Unit.SECONDS, "1,028 h"),
        (1, Unit.ENTRIES, "1 entry"),
        (Decimal("1.5"), Unit.SHARES, "1.5 shares"),
        (0.3867, Unit.NONE, "0.3867"),
        ("REDUCE_ONLY by ada", Unit.SECONDS, "REDUCE_ONLY by ada"),
        (None, Unit.USD, ""),
    ],
)
def test_measured_number_has_its_unit_and_words_are_unchanged(value: object, unit: Unit, text: str) -> None:
    assert measured(value, unit) == text


def test_price_shows_cents_or_hundredths_of_a_cent_below_a_dollar() -> None:
    prices = [Decimal("187.2567"), Decimal("0.5"), Decimal(0), None]
    assert [usd(price) for price in prices] == ["187.26", "0.5000", "0.00", ""]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1234.5", "[green]+1,234.50 USD[/]"),
        ("-0.006", "[red]-0.01 USD[/]"),
        ("0.004", "+0.00 USD"),
        ("-0.004", "+0.00 USD"),
        ("0", "+0.00 USD"),
    ],
)
def test_gain_is_green_loss_red_and_zero_plain(amount: str, text: str) -> None:
    assert gain(Decimal(amount), " USD") == text
    assert tinted(Decimal(amount), "") == ""


def test_counted_noun_agrees_with_its_number() -> None:
    assert [counted(n, "position") for n in (0, 1, 1204)] == ["0 positions", "1 position", "1,204 positions"]
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]
    kinds = ["strategies", "passes", "files of the folder", "list of open orders", "of 2 answers", "slots and claims"]
    assert [counted_kind(1, kind) for kind in kinds] == [
        "1 strategy",
        "1 pass",
        "1 file of the folder",
        "1 list of open orders",
        "1 of 2 answers",
        "1 of slots and claims",
    ]
    assert counted_kind(2, "passes") == "2 passes"
