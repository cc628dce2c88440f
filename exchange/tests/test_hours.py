"""Named calendars: New York's sessions, days of 24 hours, and Globex's; and bars for sessions of any length."""

from datetime import date
from itertools import pairwise

import pytest

from exchange.tests.kit.ring import D, instrument
from papervenue.market.bars import Market
from papervenue.market.generator import GeneratedBars
from papervenue.market.hours import HOURS
from papervenue.market.sessions import Calendar, build_calendar, full_calendar, own_calendar
from papervenue.market.spec import MarketError
from papervenue.market.venue import Grid
from papervenue.times import DAY, HOUR, MINUTE, parse_time, rfc3339

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
