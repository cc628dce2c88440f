"""Corporate actions in bars: raw bars jump when an action takes effect, and adjusted ones do not."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papervenue.exchange import open_exchange
from papervenue.market.action_sources import generated_actions
from papervenue.market.actions import (
    DIVIDEND,
    FORWARD_SPLIT,
    NAME_CHANGE,
    REVERSE_SPLIT,
    SPLITS,
    Action,
    before_trading,
)
from papervenue.market.bars import UNITS, Bar, Market, product
from papervenue.market.generator import GeneratedBars
from papervenue.market.sessions import Calendar, build_calendar
from papervenue.market.spec import MarketError, MarketSpec, default_symbols
from papervenue.process import create

CENT = UNITS // 100
RATIOS = st.sampled_from([(2, 1), (3, 2), (10, 1), (7, 3), (1, 2), (1, 10), (3, 8)])


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return build_calendar(date(2025, 3, 3), 4)


@given(number=st.integers(0, 10**7), ratio=RATIOS, others=st.lists(RATIOS, max_size=2))
def test_a_product_is_rounded_as_python_rounds_a_fraction(
    number: int, ratio: tuple[int, int], others: list[tuple[int, int]]
) -> None:
    factor = Fraction(1)
    for new, old in (ratio, *others):
        factor *= Fraction(new, old)
    assert product(number, factor.as_integer_ratio()) == round(number * factor)
    assert product(2 * number + 1, (1, 2)) == round(Fraction(2 * number + 1, 2)), "half goes to even"


def market_of(calendar: Calendar, *actions: Action) -> Market:
    market = Market(GeneratedBars(7, calendar), calendar, ("AAPL", "ZAAC"))
    market.announce(*actions)
    return market


def split(calendar: Calendar, index: int, new: int, old: int, symbol: str = "AAPL") -> Action:
    session = calendar.market[index]
    kind = FORWARD_SPLIT if new > old else REVERSE_SPLIT
    dated = Action(kind, symbol, session.date, before_trading(session), 0, session.date)
    return dated._replace(new_rate=Decimal(new), old_rate=Decimal(old))


def dividend(calendar: Calendar, index: int, rate: str, symbol: str = "AAPL") -> Action:
    session = calendar.market[index]
    return Action(DIVIDEND, symbol, session.date, before_trading(session), 0, session.date, Decimal(rate))


def every_bar(market: Market, symbol: str = "AAPL") -> Iterator[Bar]:
    for index in range(4):
        yield from sorted((*market.day(symbol, index).bars, *market.extended(symbol, index).bars))


@given(index=st.integers(1, 3), ratio=RATIOS)
@settings(max_examples=settings().max_examples // 10)
def test_split_leaves_earlier_bars_and_divides_later_ones(
    calendar: Calendar, index: int, ratio: tuple[int, int]
) -> None:
    action, factor = split(calendar, index, *ratio), Fraction(*ratio)
    for before, after in zip(every_bar(market_of(calendar)), every_bar(market_of(calendar, action)), strict=True):
        if before.start_us < action.at_us:
            assert after == before
            continue
        assert abs(after.close - before.close / factor) <= CENT / 2
        assert abs(after.volume - before.volume * factor) <= Fraction(1, 2)
        assert after.low <= min(after.open, after.close) <= max(after.open, after.close) <= after.high


@given(ratio=RATIOS, rate=st.integers(1, 500), sessions=st.permutations([1, 2, 3]))
@settings(max_examples=settings().max_examples // 10)
def test_fully_adjusted_bars_move_as_without_any_action(
    calendar: Calendar, ratio: tuple[int, int], rate: int, sessions: list[int]
) -> None:
    actions = [split(calendar, sessions[0], *ratio), dividend(calendar, sessions[1], f"{rate / 100:.2f}")]
    market = market_of(calendar, *actions)
    last_us = calendar.last_close_us
    adjusted = market.adjust_bars("AAPL", list(every_bar(market)), ("split", "dividend"), last_us)
    plain = list(every_bar(market_of(calendar)))
    scale = Fraction(adjusted[-1].close, plain[-1].close)
    for ours, theirs in zip(adjusted, plain, strict=True):
        # Raw prices are in cents, whose halves a reverse split multiplies; one of them stands in the scale.
        assert abs(ours.close - theirs.close * scale) <= Fraction(3 * CENT, 2) * max(Fraction(1), scale)


def test_late_announced_split_shows_in_sessions_that_were_already_read(calendar: Calendar) -> None:
    market, action = market_of(calendar), split(calendar, 2, 2, 1)
    seen = [list(every_bar(market)), market.adjust_bars("AAPL", list(every_bar(market)), ("split",), action.at_us)]
    market.announce(action)
    told_before = market_of(calendar, action)
    assert list(every_bar(market)) == list(every_bar(told_before)) != seen[0]
    assert market.price("AAPL", action.at_us) == told_before.price("AAPL", action.at_us)


def test_price_before_the_first_trade_after_a_split_is_in_new_shares(calendar: Calendar) -> None:
    plain, market = market_of(calendar), market_of(calendar, split(calendar, 2, 3, 1))
    at_us = calendar.market[2].pre_us
    old, new = plain.price("AAPL", at_us), market.price("AAPL", at_us)
    assert old is not None
    assert new is not None
    assert abs(new - Fraction(old, 3)) <= CENT / 2
    assert market.price("AAPL", at_us - 2) == old
    day_before = market.previous_close("AAPL", calendar.market[2].open_us)
    assert day_before is not None
    assert abs(day_before - Fraction(plain.close_of("AAPL", 1) or 0, 3)) <= CENT / 2
    assert market.close_of("AAPL", 1) == plain.close_of("AAPL", 1)


def test_a_new_name_has_the_bars_of_the_old_one(calendar: Calendar) -> None:
    session = calendar.market[2]
    action = Action(NAME_CHANGE, "AAPL", session.date, before_trading(session), 0, session.date, new_symbol="PEAR")
    plain, market = market_of(calendar), market_of(calendar, action)
    market.relist(action)
    assert (market.symbols, market.listed_name("AAPL")) == (("PEAR", "ZAAC"), "PEAR")
    assert list(every_bar(market, "PEAR")) == list(every_bar(plain))
    assert market.liquid("PEAR")


def test_generated_market_has_every_kind_of_action_and_splits_show_in_its_bars() -> None:
    calendar = build_calendar(date(2025, 3, 3), 60)
    symbols = default_symbols(120)
    source = GeneratedBars(7, calendar)
    actions = list(generated_actions(source, calendar, symbols, 7))
    assert actions == list(generated_actions(source, calendar, symbols, 7))
    few = [action for action in actions if action.symbol in symbols[:40]]
    assert few == list(generated_actions(source, calendar, symbols[:40], 7))
    assert {action.kind for action in actions} == {DIVIDEND, FORWARD_SPLIT, REVERSE_SPLIT, NAME_CHANGE}
    market = Market(source, calendar, symbols)
    market.announce(*actions)
    for action in [action for action in actions if action.kind in SPLITS][:4]:
        index = calendar.index_of[action.ex_date]
        close, opening = market.close_of(action.symbol, index - 1), market.day(action.symbol, index).bars[0].open
        assert close is not None
        jump = Fraction(opening, close) * Fraction(action.new_rate) / Fraction(action.old_rate)
        assert abs(jump - 1) < Fraction(1, 10)


def test_renamed_companies_take_unused_names() -> None:
    calendar = build_calendar(date(2025, 3, 3), 250)
    symbols = default_symbols(1500)
    names = [a.new_symbol for a in generated_actions(GeneratedBars(7, calendar), calendar, symbols, 7) if a.new_symbol]
    assert names
    assert len(set(names)) == len(names)
    assert not set(names) & set(symbols)


def recorded(folder: Path, actions: str) -> Market:
    """Return the market of a file whose price halves on its second day, with the actions of a file beside it."""
    rows = ["2025-03-03 15:59:00,AAPL,200,200,200,200,100", "2025-03-04 09:30:00,AAPL,100,100,100,100,300"]
    (folder / "bars.csv").write_text("\n".join(["ts,symbol,open,high,low,close,volume", *rows]) + "\n")
    (folder / "bars.actions.csv").write_text("type,symbol,date,rate,new_rate,old_rate,payable_date\n" + actions)
    spec = MarketSpec(
        source="csv", path=str(folder / "bars.csv"), bar_stamp="start", start=date(2025, 3, 3), sessions=2
    )
    create(folder / "state", spec)
    (folder / "bars.actions.csv").unlink()
    return open_exchange(folder / "state").market


def test_actions_beside_recorded_bars_adjust_them_without_changing_raw_bars(tmp_path: Path) -> None:
    market = recorded(
        tmp_path,
        "forward_split,AAPL,2025-03-04,,2,1,\ncash_dividend,MSFT,2025-03-04,1,,,\ncash_dividend,AAPL,2019-01-02,1,,,\n",
    )
    bars = [*market.day("AAPL", 0).bars, *market.day("AAPL", 1).bars]
    assert [bar.close // UNITS for bar in bars] == [200, 100]
    adjusted = market.adjust_bars("AAPL", bars, ("split",), market.calendar.last_close_us)
    assert [(bar.close // UNITS, bar.volume) for bar in adjusted] == [(100, 200), (100, 300)]
    assert market.price("AAPL", market.calendar.market[1].open_us) == 100 * UNITS


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("spin_off,AAPL,2025-03-04,,2,1,\n", "line 2: type 'spin_off'"),
        ("forward_split,AAPL,2025-03-04,,two,1,\n", "line 2: new_rate is 'two'"),
        ("cash_dividend,AAPL,2025-03-04,-1,,,\n", "line 2: rate is '-1'"),
    ],
)
def test_create_names_the_invalid_line_of_an_actions_file(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(MarketError, match=said):
        recorded(tmp_path, line)


def test_bars_are_in_order_of_time_across_every_night(calendar: Calendar) -> None:
    market = market_of(calendar, split(calendar, 1, 2, 1))
    assert all(one.start_us < other.start_us for one, other in pairwise(every_bar(market)))
