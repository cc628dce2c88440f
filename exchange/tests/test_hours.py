"""Named calendars: New York's sessions, days of 24 hours, and Globex's; and bars for sessions of any length.

Globex's sessions by product group: the worked days, and a year of them.
Bars before the open and after the close: thin, in order of time, and without a say in sessions, days and flow.
"""

import hashlib
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.app import SYMBOLS, open_world
from exchange.tests.kit.ring import D, instrument
from papervenue.creation import market_remarks
from papervenue.exchange import open_exchange
from papervenue.flow.alerts import Flow, Prints
from papervenue.market.bars import Bar, Market
from papervenue.market.generator import GeneratedBars
from papervenue.market.hours import CURRENCY, EQUITY, HOURS, METALS, trade_date
from papervenue.market.sessions import Calendar, build_calendar, full_calendar, own_calendar, session_of
from papervenue.market.spec import MarketError, MarketSpec, default_symbols
from papervenue.market.venue import Grid
from papervenue.process import create
from papervenue.times import DAY, HOUR, MINUTE, at_new_york, parse_time, rfc3339

START = date(2026, 11, 23)
NAMES = sorted(HOURS)


@pytest.fixture(scope="module")
def calendars() -> dict[str, Calendar]:
    return {name: build_calendar(START, 6, name) for name in NAMES}


def times(calendar: Calendar) -> list[tuple[str, str, str]]:
    return [(one.date[5:], rfc3339(one.open_us)[5:16], rfc3339(one.close_us)[5:16]) for one in calendar.market]


def test_new_york_has_its_holidays_and_trading_around_its_sessions(calendars: dict[str, Calendar]) -> None:
    calendar = calendars["XNYS"]
    assert times(calendar)[2:4] == [("11-25", "11-25T14:30", "11-25T21:00"), ("11-27", "11-27T14:30", "11-27T18:00")]
    early = calendar.market[3]
    assert (rfc3339(early.pre_us), rfc3339(early.post_us)) == ("2026-11-27T09:00:00Z", "2026-11-27T22:00:00Z")
    assert calendar.start_us == calendar.market[0].open_us - HOUR // 2


def test_around_the_clock_each_day_of_utc_ends_as_the_next_begins(calendars: dict[str, Calendar]) -> None:
    calendar = calendars["24/7"]
    assert times(calendar)[3] == ("11-26", "11-26T00:00", "11-27T00:00")
    assert all(one.close_us == following.open_us for one, following in pairwise(calendar.all))
    assert calendar.contiguous
    assert calendar.start_us == calendar.market[0].open_us
    assert (calendar.market[0].pre_us, calendar.market[0].post_us) == calendar.market[0][1:3]
    assert all(calendar.is_open(calendar.start_us + n * HOUR) for n in range(200))
    assert not calendar.is_extended(calendar.start_us)


def test_globex_begins_the_evening_before_and_pauses_for_an_hour(calendars: dict[str, Calendar]) -> None:
    calendar = calendars["CMES"]
    assert times(calendar) == [
        ("11-23", "11-22T23:00", "11-23T22:00"),
        ("11-24", "11-23T23:00", "11-24T22:00"),
        ("11-25", "11-24T23:00", "11-25T22:00"),
        ("11-26", "11-25T23:00", "11-26T18:00"),
        ("11-27", "11-26T23:00", "11-27T18:00"),
        ("11-30", "11-29T23:00", "11-30T22:00"),
    ]
    at = parse_time
    assert not calendar.is_open(at("2026-11-23T22:30:00Z"))
    assert calendar.trading(at("2026-11-23T23:30:00Z")).date == "2026-11-24"
    assert calendar.start_us == calendar.market[0].open_us - HOUR // 2


def test_globex_follows_chicago_s_clock_through_the_year() -> None:
    summer, winter = (build_calendar(date(2026, month, 8), 1, "CMES") for month in (7, 12))
    assert [times(one)[0][1:] for one in (summer, winter)] == [
        ("07-07T22:00", "07-08T21:00"),
        ("12-07T23:00", "12-08T22:00"),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_full_calendar_holds_the_sessions_of_sixty_years(calendars: dict[str, Calendar], name: str) -> None:
    calendar = calendars[name]
    full = full_calendar(calendar)
    assert (full.market, full.all[0].date[:4], full.all[-1].date[:4]) == (calendar.market, "1970", "2030")
    assert all(one.close_us <= following.open_us for one, following in pairwise(full.all))


def test_today_is_the_session_that_is_open_or_the_day_s(calendars: dict[str, Calendar]) -> None:
    def days(name: str, *moments: str) -> list[str | None]:
        sessions = (calendars[name].today(parse_time(f"2026-11-{moment}:00Z")) for moment in moments)
        return [None if one is None else one.date[8:] for one in sessions]

    assert days("CMES", "22T23:30", "23T22:30", "23T23:30", "28T12:00") == ["23", "23", "24", None]
    assert days("XNYS", "23T12:00", "23T15:00", "24T02:00", "26T15:00") == ["23", "23", "23", None]
    assert days("24/7", "23T00:00", "23T23:59", "24T00:00") == ["23", "23", "24"]


def test_symbol_s_own_closes_and_calendar_hold_for_the_market_s_time(calendars: dict[str, Calendar]) -> None:
    market = calendars["CMES"]
    gold = own_calendar(market, "CMES", {"2026-11-26": "2026-11-26T19:30:00Z"})
    assert times(gold)[3] == ("11-26", "11-25T23:00", "11-26T19:30")
    assert [one for index, one in enumerate(times(gold)) if index != 3] == [
        one for index, one in enumerate(times(market)) if index != 3
    ]
    coin = own_calendar(market, "24/7", {})
    assert [one.date for one in coin.market] == [f"2026-11-{day}" for day in range(23, 31)]


@pytest.mark.parametrize("close", ["2026-11-25T22:00:00Z", "2026-11-27T00:00:00Z"])
def test_close_before_its_open_or_into_the_next_session_is_refused(calendars: dict[str, Calendar], close: str) -> None:
    with pytest.raises(MarketError, match="a session must end after its open"):
        own_calendar(calendars["CMES"], "CMES", {"2026-11-26": close})


def test_calendar_without_a_session_in_the_market_s_time_is_refused() -> None:
    with pytest.raises(MarketError, match="has no session"):
        own_calendar(build_calendar(date(2026, 11, 28), 1, "24/7"), "XNYS", {})


@pytest.mark.parametrize("name", ["24/7", "CMES"])
def test_generated_minutes_fill_sessions_of_any_length_on_the_ticks(calendars: dict[str, Calendar], name: str) -> None:
    calendar, grid = calendars[name], Grid(instrument("PF_SHIBUSD", "0.00000001", level=D("0.00001234")))
    source = GeneratedBars(7, calendar, [grid])
    market = Market(source, calendar, ["PF_SHIBUSD"], grids={"PF_SHIBUSD": grid})
    for index in (-1, 0, 3, 5):
        session, bars = calendar.session(index), source.bars("PF_SHIBUSD", index)
        assert [bar.start_us for bar in bars] == [*range(session.open_us, session.close_us, MINUTE)]
        assert not source.extended_hours("PF_SHIBUSD", index)
        for bar in bars:
            assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
            assert bar.low > 0 < bar.volume
    assert market.price("PF_SHIBUSD", calendar.start_us) == grid.of(D("0.00001234"))
    noon = calendar.market[2].open_us + 12 * HOUR
    assert market.price("PF_SHIBUSD", noon) == market.day("PF_SHIBUSD", 2).bars[719].close
    assert len([market.history_day("PF_SHIBUSD", before) for before in (1, 299, 300, 780)]) == 4


def test_day_that_follows_at_once_opens_at_the_last_close(calendars: dict[str, Calendar]) -> None:
    calendar, grid = calendars["24/7"], Grid(instrument("PF_XBTUSD", "0.5", level=D(30_000)))
    source = GeneratedBars(7, calendar, [grid])
    for index in range(1, 6):
        before, after = source.bars("PF_XBTUSD", index - 1)[-1], source.bars("PF_XBTUSD", index)[0]
        assert abs(after.open - before.close) < before.close // 200


def test_days_of_other_symbols_do_not_depend_on_an_instrument(calendars: dict[str, Calendar]) -> None:
    calendar = calendars["XNYS"]
    alone, beside = GeneratedBars(7, calendar), GeneratedBars(7, calendar, [Grid(instrument("PF_XBTUSD", "0.5"))])
    assert alone.bars("AAPL", 1) == beside.bars("AAPL", 1)
    assert alone.history_day("AAPL", 20) == beside.history_day("AAPL", 20)


def test_nothing_trades_after_an_instrument_s_last_moment(calendars: dict[str, Calendar]) -> None:
    calendar = calendars["24/7"]
    last = "2026-11-24T12:00:00Z"
    grid = Grid(instrument("ESZ6", "0.25", last_trading=last))
    market = Market(GeneratedBars(7, calendar, [grid]), calendar, ["ESZ6"], grids={"ESZ6": grid})
    assert [len(market.day("ESZ6", index).bars) for index in range(3)] == [1440, 720, 0]
    assert market.price("ESZ6", parse_time(last) + DAY) == market.day("ESZ6", 1).bars[-1].close


THANKSGIVING = {
    EQUITY: ("2026-11-26T18:00:00Z", "2026-11-27T18:15:00Z"),
    METALS: ("2026-11-26T19:30:00Z", "2026-11-27T19:45:00Z"),
    CURRENCY: ("2026-11-26T22:00:00Z", "2026-11-27T18:15:00Z"),
}
"""When Thursday's and Friday's sessions end."""


@pytest.mark.parametrize("group", THANKSGIVING)
def test_thanksgiving_ends_when_the_venue_says(group: str) -> None:
    rows = HOURS[group].between("2026-11-23", "2026-11-27")
    assert tuple(rfc3339(close_us) for _, _, close_us in rows[3:]) == THANKSGIVING[group]
    assert [rfc3339(us) for us in rows[0][1:]] == ["2026-11-22T23:00:00Z", "2026-11-23T22:00:00Z"]
    assert rfc3339(rows[1][1]) == "2026-11-23T23:00:00Z"


def test_a_holidays_short_session_belongs_to_the_next_day() -> None:
    for group, rest in {EQUITY: "2026-11-27", METALS: "2026-11-27", CURRENCY: "2026-11-26"}.items():
        sessions = [session_of(one, HOURS[group]) for one in HOURS[group].between("2026-11-25", "2026-11-30")]
        assert [trade_date(*pair) for pair in pairwise(sessions)] == ["2026-11-25", rest, "2026-11-27"]


@pytest.mark.parametrize("group", THANKSGIVING)
def test_a_years_sessions_follow_each_other_through_daylight_saving(group: str) -> None:
    rows = HOURS[group].between("2026-01-01", "2026-12-31")
    assert len({day for day, _, _ in rows}) == len(rows) == {METALS: 258}.get(group, 259)
    for (_, _, close_us), (_, open_us, _) in pairwise(rows):
        assert open_us - close_us >= HOUR
    assert max(close_us - open_us for _, open_us, close_us in rows) == 23 * HOUR
    assert "2026-12-25" not in {day for day, _, _ in rows}


REGULAR_BARS = "9d375a202e63014b"
"""The digest of the standard market's session bars from before it had any bars outside of its sessions."""
FIRST, LAST = parse_time("2025-03-03T08:00:00Z"), parse_time("2025-03-05T03:00:00Z")


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return build_calendar(date(2025, 3, 3), 2)


@pytest.fixture(scope="module")
def market(calendar: Calendar) -> Market:
    return Market(GeneratedBars(7, calendar), calendar, SYMBOLS)


def every_bar(market: Market, symbol: str) -> list[Bar]:
    """Return all bars of a symbol, found without the market's own search."""
    days = [day(symbol, index) for index in (0, 1) for day in (market.day, market.extended)]
    return sorted(bar for day in days for bar in day.bars)


def test_session_bars_are_to_the_byte_what_they_were_without_extended_hours(market: Market) -> None:
    rows = [tuple(bar) for symbol in SYMBOLS for index in (0, 1) for bar in market.day(symbol, index).bars]
    assert hashlib.sha256(repr(rows).encode()).hexdigest()[:16] == REGULAR_BARS


def test_bars_around_a_session_are_few_and_outside_of_it(market: Market, calendar: Calendar) -> None:
    for symbol in SYMBOLS:
        for index, session in enumerate(calendar.market):
            bars = market.extended(symbol, index).bars
            assert 0 < len(bars) <= 24
            assert [bar.start_us for bar in bars] == sorted({bar.start_us for bar in bars})
            for bar in bars:
                assert session.pre_us <= bar.start_us < session.post_us
                assert not session.open_us <= bar.start_us < session.close_us
                assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
                assert calendar.is_extended(bar.start_us)


def test_a_night_begins_at_the_close_and_each_bar_where_the_one_before_it_ended(market: Market) -> None:
    evening = [bar for bar in market.extended("AAPL", 0).bars if bar.start_us > market.calendar.market[0].open_us]
    morning = [bar for bar in market.extended("AAPL", 1).bars if bar.start_us < market.calendar.market[1].open_us]
    assert evening[0].open == market.close_of("AAPL", 0)
    assert all(one.close == other.open for one, other in pairwise([*evening, *morning]))


def test_what_a_night_has_shown_says_nothing_of_where_it_goes(calendar: Calendar) -> None:
    """A bridge that is less spread than the gap would let a strategy buy what has risen since the close."""
    symbols = [symbol for symbol in default_symbols(700) if symbol.startswith("Z")]
    market = Market(GeneratedBars(11, calendar), calendar, symbols)
    seen, left = [], []
    for symbol in symbols:
        close, opening = market.close_of(symbol, -1), market.day(symbol, 0).bars[0].open
        shown = [bar for bar in market.extended(symbol, 0).bars if bar.start_us < calendar.market[0].open_us - 2 * HOUR]
        assert close is not None
        if shown:
            seen.append(shown[-1].close / close - 1)
            left.append(opening / close - 1 - seen[-1])
    assert len(seen) > 400
    products = sum(a * b for a, b in zip(seen, left, strict=True))
    scale = (sum(a * a for a in seen) * sum(b * b for b in left)) ** 0.5
    assert abs(products / scale) < 0.12


@given(symbol=st.sampled_from(SYMBOLS), now_us=st.integers(FIRST, LAST))
@settings(max_examples=60)
def test_the_last_bar_is_the_newest_complete_one_of_all(market: Market, symbol: str, now_us: int) -> None:
    complete = [bar for bar in every_bar(market, symbol) if bar.end_us <= now_us]
    assert market.last_bar(symbol, now_us) == (complete[-1] if complete else None)
    assert market.price(symbol, now_us) == (complete[-1].close if complete else market.close_of(symbol, -1))


@given(symbol=st.sampled_from(SYMBOLS), now_us=st.integers(FIRST, LAST))
@settings(max_examples=40)
def test_the_session_price_knows_sessions_alone(market: Market, symbol: str, now_us: int) -> None:
    bars = [bar for index in (0, 1) for bar in market.day(symbol, index).bars if bar.end_us <= now_us]
    assert market.session_price(symbol, now_us) == (bars[-1].close if bars else market.close_of(symbol, -1))


def test_flow_is_the_same_whatever_happens_outside_of_sessions(calendar: Calendar) -> None:
    class Silent(GeneratedBars):
        def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
            return ()

    rows = []
    for source in (GeneratedBars(7, calendar), Silent(7, calendar)):
        flow = Flow(Market(source, calendar, SYMBOLS), 7, 0.3)
        alerts, prints = [flow.session_alerts(index) for index in (0, 1)], Prints(flow)
        rows.append((alerts, [prints.session(symbol, 1) for symbol in SYMBOLS]))
    assert rows[0] == rows[1]


def test_after_an_early_close_trading_goes_on_for_four_hours() -> None:
    calendar = build_calendar(date(2024, 11, 29), 1)
    session = calendar.market[0]
    assert session.close_us == at_new_york("2024-11-29", 13)
    assert (session.pre_us, session.post_us) == (at_new_york("2024-11-29", 4), at_new_york("2024-11-29", 17))
    moments = [session.pre_us - 1, session.pre_us, session.open_us, session.close_us, session.post_us]
    assert [calendar.is_extended(us) for us in moments] == [False, True, False, True, False]


def test_a_snapshot_before_the_open_shows_the_morning_and_the_day_before(new_folder: Callable[[], Path]) -> None:
    world = open_world(new_folder(), to="2025-03-04T14:25:00Z")
    shown = world.get("/v2/stocks/AAPL/snapshot")
    assert "2025-03-04T09:00:00Z" <= shown["latestTrade"]["t"] <= "2025-03-04T14:25:00Z"
    assert shown["dailyBar"]["t"] == "2025-03-03T05:00:00Z"


def test_recorded_rows_outside_the_session_are_kept_and_counted_apart(tmp_path: Path) -> None:
    rows = ("03:59", "08:00", "09:30", "15:59", "16:00", "19:59", "20:00")
    lines = [f"2025-03-03 {clock}:00,AAPL,100,101,99,100.5,1000" for clock in rows]
    (tmp_path / "bars.csv").write_text("\n".join(["ts,symbol,open,high,low,close,volume", *lines]) + "\n")
    spec = MarketSpec(
        source="csv", path=str(tmp_path / "bars.csv"), bar_stamp="start", start=date(2025, 3, 3), sessions=1
    )
    create(tmp_path / "state", spec)
    market = open_exchange(tmp_path / "state").market
    session = market.calendar.market[0]
    assert [bar.start_us for bar in market.day("AAPL", 0).bars] == [session.open_us, session.close_us - 60_000_000]
    assert [bar.start_us for bar in market.extended("AAPL", 0).bars] == [
        at_new_york("2025-03-03", 8),
        session.close_us,
        session.post_us - 60_000_000,
    ]
    said = market_remarks(tmp_path / "state").sentences
    assert "skipped 2 rows of the recorded bars: 2 outside the market's sessions" in said[0]
    assert said[1].startswith("3 rows of the recorded bars outside regular hours")


def test_a_moment_long_before_the_market_has_reached_none_of_its_sessions(calendar: Calendar) -> None:
    moments = [at_new_york("2019-03-04", 12), calendar.market[0].pre_us - 1, calendar.market[0].pre_us]
    assert [calendar.last_reached(us) for us in moments] == [-1, -1, 0]
    assert calendar.last_reached(calendar.horizon_us + 24 * HOUR) == 1
