"""Minutes of the past are those of the obvious model, and candles of any span are made of them, whoever asks when.

Past trade updates equal those that were streamed when they happened.
Daily bars of the sessions before a market begins: made from the same seed, and served once they are over.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.app import SYMBOLS, World, open_world
from exchange.tests.kit.kraken import PEPE, XBT
from exchange.tests.kit.random_commands import Commands
from exchange.tests.kit.ring import keep, without_snapshot
from papervenue.chance import random_stream
from papervenue.commands.command import Command
from papervenue.engine import account_lists
from papervenue.events import Event, EventPosition
from papervenue.exchange import Exchange, open_exchange
from papervenue.faces.data.history import DataHistory
from papervenue.faults.streaming import StreamFaults
from papervenue.jsontext import encode
from papervenue.market.bars import UNITS, Bar, without_wicks
from papervenue.market.coins import kraken_venue
from papervenue.market.generator import PAST_DAYS, GeneratedBars, _bars, _bridge
from papervenue.market.profiles import MARKET_VOLATILITY, BarProfile, of_instrument, of_share, shock_shifts, shocks_of
from papervenue.market.sessions import HISTORY_SESSIONS, Session, build_calendar
from papervenue.market.spec import MarketSpec
from papervenue.market.venue import Grid
from papervenue.process import create
from papervenue.streams.server_sent import UpdateFeed
from papervenue.streams.trade_updates import StreamEvent, TradeUpdates, Window, update_json
from papervenue.times import HOUR, MINUTE

# The obvious model of minutes before a market: made one by one, from floats and a few draws each.


def past_session_bars(seed: int, symbol: str, session: Session, day: Bar, maker: BarProfile) -> tuple[Bar, ...]:
    """Return minute bars of a symbol whose first open, highest high, lowest low, last close and volume are a day's."""
    rng, character = random_stream(seed, symbol, session.date), maker.character
    opening, high, low, close = (units / maker.scale for units in day[1:5])
    common = _bridge(
        random_stream(seed, "market factor", session.date),
        (session.close_us - session.open_us) // MINUTE,
        MARKET_VOLATILITY,
    )
    own = _bridge(rng, len(common), character.daily_volatility)
    line = [opening + (close - opening) * (minute + 1) / len(common) for minute in range(len(common))]
    if maker.sudden(session.date):
        ahead = shock_shifts(seed, session, maker.sudden(session.date), len(common))
        line = [min(max(at + opening * jump, low), high) for at, jump in zip(line, ahead, strict=True)]
    away = [opening * (character.beta * c + o) for c, o in zip(common, own, strict=True)]
    # The farthest point on each side of the line just reaches the day's high and low.
    up = min(((high - at) / by for at, by in zip(line, away, strict=True) if by > 0), default=0.0)
    down = min(((at - low) / -by for at, by in zip(line, away, strict=True) if by < 0), default=0.0)
    path = [at + by * (up if by > 0 else down) for at, by in zip(line, away, strict=True)]
    return _fitted(_bars(path, session.open_us, character.shares_a_day / len(path), maker, rng), day)


def _fitted(bars: list[Bar], day: Bar) -> tuple[Bar, ...]:
    """Return bars that differ from those of a day by wicks, cents and volume at most, with nothing left to differ."""
    if not bars:
        return ()
    highest = max(range(len(bars)), key=lambda index: bars[index].high)
    lowest = min(range(len(bars)), key=lambda index: bars[index].low)
    busiest = max(range(len(bars)), key=lambda index: bars[index].volume)
    total = sum(bar.volume for bar in bars)
    fitted = [_within(bar, day, total) for bar in bars]
    fitted[0] = _with(fitted[0], open=day.open)
    fitted[-1] = _with(fitted[-1], close=day.close)
    fitted[highest] = _with(fitted[highest], high=day.high)
    fitted[lowest] = _with(fitted[lowest], low=day.low)
    rest = day.volume - sum(bar.volume for bar in fitted)
    fitted[busiest] = _with(fitted[busiest], volume=fitted[busiest].volume + rest)
    return tuple(fitted)


def _within(bar: Bar, day: Bar, total: int) -> Bar:
    """Return a bar with prices within those of its day, and with its part of `total` as a part of the day's volume."""
    us, opening, high, low, close, shares = bar
    if high > day.high or low < day.low:
        opening, high, low, close = (min(max(units, day.low), day.high) for units in (opening, high, low, close))
    return Bar(us, opening, high, low, close, shares * day.volume // total or 1)


def _with(bar: Bar, **changes: int) -> Bar:
    """Return a bar with some values changed; its high and low contain them."""
    bar = bar._replace(**changes)
    return bar._replace(high=max(bar[1:5]), low=min(bar[1:5]))


SEED = 5
AROUND, NEW_YORK = (build_calendar(date(2026, 11, 24), 4, name) for name in ("24/7", "XNYS"))
GRIDS = [Grid(one) for one in kraken_venue(SEED, (XBT, PEPE)).instruments]
SHOCK = max(day for day in shocks_of(SEED, AROUND.all) if day < "2026-11-01")
THIN = next(symbol for symbol in ("JPM", "XOM", "KO", "T", "PFE") if of_share(symbol).character.missing_rate)


def coins() -> GeneratedBars:
    return GeneratedBars(SEED, AROUND, GRIDS)


def merged(bars: tuple[Bar, ...], span_us: int) -> list[Bar]:
    places = sorted({bar.start_us // span_us for bar in bars})
    groups = [[bar for bar in bars if bar.start_us // span_us == index] for index in places]
    return [
        Bar(
            index * span_us,
            group[0].open,
            max(bar.high for bar in group),
            min(bar.low for bar in group),
            group[-1].close,
            sum(bar.volume for bar in group),
        )
        for index, group in zip(places, groups, strict=True)
    ]


def maker_of(symbol: str) -> BarProfile:
    grid = next(grid for grid in GRIDS if grid.instrument.symbol == symbol)
    return of_instrument(grid.instrument, 0.0, tuple(shocks_of(SEED, AROUND.all).items()))


@pytest.mark.parametrize(("symbol", "index"), [(XBT, -2), (PEPE, -2), (XBT, AROUND.position_of(SHOCK) - AROUND.first)])
def test_minutes_of_the_past_are_those_of_the_obvious_model(symbol: str, index: int) -> None:
    day, session = coins().history_day(symbol, -index), AROUND.session(index)
    assert day is not None
    assert coins().bars(symbol, index) == past_session_bars(SEED, symbol, session, day, maker_of(symbol))


def test_minutes_of_shares_lack_those_of_the_obvious_model_and_add_up_with_what_is_around_them() -> None:
    shares = GeneratedBars(SEED, NEW_YORK)
    day = shares.history_day(THIN, 3)
    assert day is not None
    regular = day._replace(volume=day.volume - sum(bar.volume for bar in shares.extended_hours(THIN, -3)))
    minutes = shares.bars(THIN, -3)
    assert minutes == past_session_bars(SEED, THIN, NEW_YORK.session(-3), regular, of_share(THIN))
    assert len(minutes) < 390


@pytest.mark.parametrize("span_us", [15 * MINUTE, 4 * HOUR])
def test_candles_of_the_past_are_made_of_its_minutes_in_any_order(span_us: int) -> None:
    markets = coins()
    later = markets.past_candles(PEPE, -9, span_us, wicks=True)
    bars = markets.bars(PEPE, -9)
    assert later == merged(bars, span_us) == coins().past_candles(PEPE, -9, span_us, wicks=True)
    closes = tuple(without_wicks(bar) for bar in bars)
    assert markets.past_candles(PEPE, -9, span_us, wicks=False) == merged(closes, span_us)


def test_candles_before_the_minutes_add_up_to_their_day() -> None:
    day = coins().history_day(XBT, PAST_DAYS)
    assert day is not None
    candles = coins().past_candles(XBT, -PAST_DAYS, 4 * HOUR, wicks=True)
    assert [candle.start_us for candle in candles] == [day.start_us + 4 * HOUR * index for index in range(6)]
    (whole,) = merged(tuple(candles), 24 * HOUR)
    assert whole == day


COMMANDS = 60
EVERYTHING = Window(0, None, None, None)


class Told(NamedTuple):
    """An update as it was streamed: its time, its id, and its JSON."""

    at_ns: int
    id: str
    data: bytes


class Ear:
    """Keeps the updates of each account as they are when they happen."""

    def __init__(self) -> None:
        self.events_by_account = defaultdict[str, list[Told]](list)

    def capture(self, event: Event, index: EventPosition) -> None:
        if event.update is not None and event.account is not None:
            row = update_json(event.update, index)
            self.events_by_account[event.account].append(Told(index.at_ns, row["event_id"], encode(row)))

    def publish(self, captured: object) -> None: ...


def feed_of(exchange: Exchange, number: str, window: Window = EVERYTHING) -> UpdateFeed:
    streamed = TradeUpdates(exchange.engine, StreamFaults(exchange.engine, exchange.faults.book))
    return UpdateFeed(exchange, exchange.engine.accounts[number], streamed, window)


def past(exchange: Exchange, number: str, window: Window = EVERYTHING) -> list[Told]:
    """Return what a client of an account is told of the past."""
    return told_by(asyncio.run(feed_of(exchange, number, window).past()))


def told_by(events: Iterable[StreamEvent]) -> list[Told]:
    return [Told(event.at_ns, event.id, event.encoded()) for event in events]


def windows(events: list[Told], first: int, last: int) -> dict[Window, list[Told]]:
    """Return windows from one update to another, each with the updates in it."""
    return {
        Window(events[first].at_ns, events[last].at_ns, None, None): events[first : last + 1],
        Window(events[first].at_ns, None, None, None): events[first:],
        Window(None, None, events[first].id, events[last].id): events[first + 1 : last + 1],
        Window(None, None, events[first].id, None): events[first + 1 :],
    }


@settings(max_examples=settings().max_examples // 10)
@given(seed=st.integers(0, 10**9), cut=st.integers(0, COMMANDS), data=st.data())
def test_past_updates_equal_those_streamed_live_and_those_of_a_replay(
    new_folder: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory, seed: int, cut: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("past")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(account_lists, "_BLOCK", 8)
        live, ear = new_folder(), Ear()
        world = open_world(live)
        world.exchange.listeners.append(ear)
        commands = Commands(world, seed)
        world.tick(to="open")
        for number in range(COMMANDS):
            if number == cut:
                keep(world.exchange, live)
            commands.step()
        replayed = open_exchange(without_snapshot(live, folder / "replayed"))
        started = open_exchange(live)
    assert (replayed.log.known_lines, started.log.known_lines > 0) == (0, cut < COMMANDS)
    for account in world.engine.accounts:
        streamed = ear.events_by_account[account]
        assert past(world.exchange, account) == past(replayed, account) == past(started, account) == streamed
        for _ in range(3 if streamed else 0):
            first = data.draw(st.integers(0, len(streamed) - 1))
            last = data.draw(st.integers(first, len(streamed) - 1))
            for window, expected in windows(streamed, first, last).items():
                assert past(started, account, window) == expected


def test_past_updates_wait_for_their_lines_and_end_where_the_feed_started(world: World) -> None:
    exchange, account = world.exchange, world.engine.main.number
    submit(world)

    async def past_events() -> list[Told]:
        asking = asyncio.ensure_future(feed_of(exchange, account).past())
        await asyncio.sleep(0)
        assert not asking.done()
        submit(world)
        exchange.record()
        return told_by(await asking)

    assert [json.loads(row.data)["event"] for row in asyncio.run(past_events())] == ["accepted"]
    assert len(past(exchange, account)) == 2


def submit(world: World) -> None:
    """Submit an order whose lines aren't written yet."""
    body = '{"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "qty": "1"}'
    world.exchange.run(Command("POST", "/v2/orders", body=body, account=world.engine.main.number))


LONG_AGO = "start=2021-01-04&end=2025-02-28&limit=10000"


def bars(world: World, symbol: str, timeframe: str, query: str = LONG_AGO) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = world.get(f"/v2/stocks/{symbol}/bars?timeframe={timeframe}&{query}")["bars"]
    return rows


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_days_before_the_first_session_have_the_known_closes(world: World, symbol: str) -> None:
    days = bars(world, symbol, "1Day")
    market = world.exchange.market
    known = range(-PAST_DAYS, 0)
    assert [day["t"][:10] for day in days] == [market.calendar.session(index).date for index in known]
    closes = [market.close_of(symbol, index) for index in known]
    assert [round(day["c"] * UNITS) for day in days] == closes
    for day in days:
        assert 0 < day["l"] <= min(day["o"], day["c"]) <= max(day["o"], day["c"]) <= day["h"]
        assert day["l"] <= day["vw"] <= day["h"]
        assert day["v"] > day["n"] > 0
    assert max(day["h"] / day["l"] for day in days) < 1.5


def test_volume_does_not_jump_between_history_and_the_first_session(world: World) -> None:
    world.tick(to="2025-03-04T21:00:00Z")
    before = bars(world, "AAPL", "1Day")
    sessions = bars(world, "AAPL", "1Day", "start=2025-03-03")
    usual = sum(day["v"] for day in before) / len(before)
    assert all(0.5 < day["v"] / usual < 2 for day in [*before, *sessions])
    assert all(0.2 < day["n"] / before[-1]["n"] < 5 for day in sessions)


def test_snapshot_shows_the_daily_bars_of_the_days_before(world: World) -> None:
    last_but_one, last = bars(world, "AAPL", "1Day")[-2:]
    early = world.get("/v2/stocks/AAPL/snapshot")
    assert (early["prevDailyBar"], early["dailyBar"]) == (last_but_one, last)
    world.tick(to="2025-03-03T15:00:00Z")
    assert world.get("/v2/stocks/AAPL/snapshot")["prevDailyBar"] == last


def test_week_of_the_first_session_combines_history_and_sessions(tmp_path: Path) -> None:
    create(tmp_path, MarketSpec(symbols=("AAPL",), sessions=2, start=date(2025, 3, 5)))
    world = open_world(tmp_path, to="2025-03-06T21:00:00Z")
    (week,) = bars(world, "AAPL", "1Week", "start=2025-03-03")
    days = bars(world, "AAPL", "1Day", "start=2025-03-03")
    assert [day["t"][:10] for day in days] == ["2025-03-03", "2025-03-04", "2025-03-05", "2025-03-06"]
    assert (week["o"], week["c"], week["v"]) == (days[0]["o"], days[-1]["c"], sum(day["v"] for day in days))


def test_split_adjusts_the_days_before_the_first_session(world: World) -> None:
    raw = bars(world, "AAPL", "1Day")
    split = {"type": "forward_split", "symbol": "AAPL", "new_rate": 2, "old_rate": 1, "date": "2025-03-04"}
    assert world.ask("POST", "/exchange/v1/actions", split).status == 200
    world.tick(to="2025-03-04T15:00:00Z")
    adjusted = bars(world, "AAPL", "1Day", f"{LONG_AGO}&adjustment=split")
    assert bars(world, "AAPL", "1Day") == raw
    for old, new in zip(raw, adjusted, strict=True):
        assert Decimal(str(new["c"])) * 2 == Decimal(str(old["c"]))
        assert new["v"] == old["v"] * 2


def test_daily_bar_is_served_only_after_its_close(world: World) -> None:
    history, last = DataHistory(world.exchange.market), world.exchange.market.calendar.all[HISTORY_SESSIONS - 1]
    assert history.day("AAPL", -1, last.close_us - MINUTE) is None
    assert history.day("AAPL", -1, last.close_us) is not None
    assert history.day("AAPL", -PAST_DAYS, last.close_us) is not None
    assert history.day("AAPL", -PAST_DAYS - 1, last.close_us) is None


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_minutes_of_a_past_session_add_up_to_its_daily_bar(world: World, symbol: str) -> None:
    market = world.exchange.market
    for index in (-1, -2, -60, -250, -market.past_minutes):
        regular, day = market.day(symbol, index).bars, market.history_day(symbol, -index)
        whole = market.whole_day(symbol, index)
        assert day is not None
        assert whole is not None
        assert whole[1:] == day[1:]
        session = market.calendar.session(index)
        assert all(session.open_us <= bar.start_us < session.close_us for bar in regular)
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in regular)
        assert all(bar.volume > 0 for bar in (*regular, *market.extended(symbol, index).bars))


def test_minutes_of_past_sessions_are_served_with_trades_outside_regular_hours_marked(world: World) -> None:
    query = "start=2024-12-05&end=2024-12-07&limit=10000"
    minutes, days = bars(world, "AAPL", "1Min", query), bars(world, "AAPL", "1Day", query)
    assert sum(bar["v"] for bar in minutes) == sum(day["v"] for day in days)
    assert [day["t"][:10] for day in days] == ["2024-12-05", "2024-12-06"]
    trades = world.get("/v2/stocks/AAPL/trades?start=2024-12-05T14:00:00Z&end=2024-12-05T14:31:00Z&limit=10000")[
        "trades"
    ]
    marked = {trade["t"] < "2024-12-05T14:30" for trade in trades if "T" in trade["c"]}
    assert marked == {True}
    assert any("T" not in trade["c"] for trade in trades)


def test_past_is_the_same_for_every_caller_and_ends_at_a_fixed_day(world: World) -> None:
    whole = bars(world, "AAPL", "1Week")
    assert bars(world, "AAPL", "1Week", "start=2024-06-03&end=2024-06-21") == [
        week for week in whole if "2024-06-03" <= week["t"][:10] <= "2024-06-21"
    ]
    hours = bars(world, "AAPL", "1Hour", "start=2024-06-03&end=2024-06-07")
    assert bars(world, "AAPL", "1Hour", "start=2024-06-05&end=2024-06-07") == [
        h for h in hours if h["t"] >= "2024-06-05"
    ]
    first = world.exchange.market.calendar.session(-PAST_DAYS).date
    assert bars(world, "AAPL", "1Day")[0]["t"][:10] == first
    assert bars(world, "AAPL", "1Min", f"start={first}&end=2023-01-01") == []


def test_sessions_and_their_year_of_days_are_those_that_a_seed_always_had() -> None:
    source, parts = GeneratedBars(7, build_calendar(date(2025, 3, 3), 3)), list[object]()
    for symbol in ("AAPL", "SPY", "ZAAC"):
        parts += [(source.bars(symbol, index), source.extended_hours(symbol, index)) for index in range(3)]
        parts += [source.history_day(symbol, before) for before in range(1, HISTORY_SESSIONS + 1)]
    assert sha256(repr(parts).encode()).hexdigest()[:16] == "1fe9c78b978a9109"


def test_history_does_not_depend_on_other_symbols_or_the_market_s_length(world: World, tmp_path: Path) -> None:
    create(tmp_path, MarketSpec(symbols=("AAPL", "XOM"), sessions=9, start=date(2025, 3, 3)))
    assert bars(open_world(tmp_path), "AAPL", "1Day") == bars(world, "AAPL", "1Day")


def test_recorded_market_has_no_days_outside_its_file(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("ts,symbol,open,high,low,close,volume\n2025-03-03 09:31:00,AAPL,100,101,99,100.5,1000\n")
    spec = MarketSpec(source="csv", path=str(path), bar_stamp="end", start=date(2025, 3, 3), sessions=1)
    create(tmp_path / "state", spec)
    world = open_world(tmp_path / "state")
    assert bars(world, "AAPL", "1Day") == []
    snapshot = world.get("/v2/stocks/AAPL/snapshot")
    assert (snapshot["dailyBar"], snapshot["prevDailyBar"]) == (None, None)
