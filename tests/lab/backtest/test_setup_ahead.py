"""What an engine is going to show, over nights too, against what it shows when the time has come."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from papervenue.market.spec import NEXT_BAR
from tests.kit.backtest.drawn import COSTLESS, COSTLY, SYMBOLS, Drawn, Whims, assembled
from tradebot.lab.backtest.setup import BacktestSetup
from tradebot.lab.driver.price_triggers import INTEREST, in_us
from tradebot.model.limits import Protection
from tradebot.model.struct_tools import replace

DAYS = Drawn(
    seed=3,
    sessions=40,
    symbols=SYMBOLS,
    strategy=Whims(1),
    exits=(),
    protection=Protection.BOT,
    fill=NEXT_BAR,
    halts={},
    looks="every 60m",
    entries="at open+5m",
    comparisons="at open+1m",
    actions=True,
    daily=True,
)
LATER = datetime.max.replace(tzinfo=UTC)


def holding(symbol: str, drawn: Drawn = DAYS) -> BacktestSetup:
    """Return a bot at its first close, with a position that came from nowhere."""
    made = assembled(drawn)
    made.advance(made.sessions[0].close)
    made.engine.main.apply(symbol, Decimal("12.5"), 1_000_000)
    return made


@given(st.sampled_from(SYMBOLS), st.integers(0, 60 * 24 * 20))
def test_look_ahead_shows_what_the_market_shows_then(symbol: str, minutes: int) -> None:
    made = holding(symbol)
    began = made.now()
    until = min((made.ahead.next_deed or LATER) - timedelta(microseconds=1), began + timedelta(minutes=minutes))
    seen = [shown for shown in made.ahead.upcoming_prices(symbol, began, until) if shown.low != shown.high]
    made.advance(until)
    assert not seen or seen[-1] == made.ahead.shows(symbol)


@given(st.booleans(), st.integers(0, 388 * 60))
def test_no_symbol_shows_another_price_before_the_next_one(daily: bool, seconds: int) -> None:
    made = assembled(DAYS if daily else replace(DAYS, sessions=1, daily=False))
    session, end = made.sessions[0], timedelta(microseconds=1)
    now = session.open + timedelta(seconds=seconds)
    until = made.ahead.next_price(now)
    assert now < until <= session.close
    assert not [shown for symbol in SYMBOLS for shown in made.ahead.upcoming_prices(symbol, now, until - end)]
    assert any(list(made.ahead.upcoming_prices(symbol, now, until)) for symbol in SYMBOLS)


@given(st.sampled_from(SYMBOLS), st.integers(1, 39))
def test_closing_is_what_the_account_and_its_positions_are_worth_at_the_close(symbol: str, place: int) -> None:
    made = holding(symbol)
    made.advance(made.sessions[place].close)
    account, (position,) = made.world.reader.account(), made.world.reader.view().positions
    assert made.ahead.closing() == (account.equity, {symbol: position.current_price})
    assert account.last_equity == account.equity == account.cash + position.value


@given(st.sampled_from(SYMBOLS))
def test_account_is_unchanged_until_the_next_deed(symbol: str) -> None:
    made = holding(symbol)
    deed, stamp = made.ahead.next_deed, made.ahead.stamp
    assert deed is not None, "nothing happens to this symbol"
    passed = [action for action in made.engine.market.actions if action.symbol != symbol]
    assert any(made.engine.now_us < action.at_us for action in passed), "nothing happens to the others"
    made.advance(deed - timedelta(microseconds=1))
    assert made.ahead.stamp == stamp
    actions = made.engine.market.actions
    due = min(action.at_us for action in actions if action.at_us > made.engine.now_us and action.symbol == symbol)
    assert deed <= datetime.fromtimestamp(due / 1e6, UTC)


def test_nights_are_still_only_between_days_and_not_those_of_shorts_that_cost_something() -> None:
    assert assembled(DAYS).ahead.still
    assert not assembled(replace(DAYS, sessions=1, daily=False, costs=COSTLESS)).ahead.still
    assert holding("AAPL", replace(DAYS, costs=COSTLY)).ahead.still
    for costs in (COSTLESS, COSTLY):
        made = holding("AAPL", replace(DAYS, costs=costs))
        made.engine.main.apply("MSFT", Decimal(-1), 1_000_000)
        assert made.ahead.still is (costs is COSTLESS)


@given(st.sampled_from(["session", "month"]), st.lists(st.integers(-90_000, 90_000), min_size=1, max_size=3))
def test_interest_is_posted_as_it_was_foreseen(posted: Literal["session", "month"], balances: list[int]) -> None:
    made = assembled(replace(DAYS, actions=False, costs=COSTLY._replace(posted=posted)))
    account, began, places = made.engine.main, made.now(), iter(range(3, 40, 12))
    for cash in balances:
        account.cash, account.version = Decimal(cash), account.version + 1
        began, until, before = made.now(), made.sessions[next(places)].close, account.cash
        foreseen = list(made.ahead.upcoming_prices(INTEREST, began, until))
        halfway = began + (until - began) / 2
        made.advance(halfway)
        rest = [shown.at_us for shown in made.ahead.upcoming_prices(INTEREST, halfway, until)]
        made.advance(until)
        assert Decimal(foreseen[-1].last if foreseen else 0) / 100 == account.cash - before
        assert rest == [shown.at_us for shown in foreseen if shown.at_us > in_us(halfway)]
