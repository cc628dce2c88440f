"""No answer depends on later bars at edge 0, and the same seed gives the same bytes."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.flow_shapes import path_of
from exchange.tests.kit.app import SYMBOLS, World, open_world
from papervenue.exchange import Exchange, open_exchange
from papervenue.flow.series import ENDPOINTS
from papervenue.market.bars import Bar, BarSource, Market
from papervenue.market.generator import GeneratedBars, session_bars
from papervenue.market.sessions import build_calendar
from papervenue.state import read_market
from papervenue.times import MINUTE, parse_time, rfc3339

FIRST, LAST = parse_time("2025-03-03T14:00:00Z"), parse_time("2025-03-05T12:00:00Z")
EVERYTHING = [
    f"/v2/stocks/bars?symbols={','.join(SYMBOLS)}&timeframe=1Min&start=2025-03-01",
    f"/v2/stocks/bars?symbols={','.join(SYMBOLS)}&timeframe=15Min&start=2025-03-01&sort=desc",
    f"/v2/stocks/bars?symbols={','.join(SYMBOLS)}&timeframe=1Day&start=2025-03-01",
    *(f"/v2/stocks/{kind}/latest?symbols={','.join(SYMBOLS)}" for kind in ("bars", "quotes", "trades")),
    f"/v2/stocks/snapshots?symbols={','.join(SYMBOLS)}",
    *(
        f"/v2/stocks/{kind}?symbols={','.join(SYMBOLS)}&sort=desc&limit=500"
        for kind in ("trades", "quotes", "auctions")
    ),
    "/v1beta1/screener/stocks/most-actives",
    "/v1beta1/screener/stocks/movers",
    "/api/option-trades/flow-alerts?limit=200",
    "/api/option-trades/flow-alerts?ticker_symbol=AAPL&limit=200",
    *(f"/api/darkpool/{symbol}" for symbol in SYMBOLS),
    "/api/darkpool/AAPL?date=2025-03-03",
    "/api/market/market-tide?interval_5m=true",
    "/api/market/market-tide?interval_5m=false",
    *(f"/api/stock/AAPL/{kind}" for kind in ("greek-exposure", "iv-rank?timespan=1y", "oi-change")),
    "/v2/account",
    "/v2/positions",
]
SERIES = [path_of(endpoint) for endpoint in ENDPOINTS]
TIME = re.compile(r'"(?:t|tape_time|last_updated|created_at|executed_at|timestamp|updated_at)":"([^"]+)"')
MOMENTS = st.integers(FIRST, LAST).map(lambda us: us // 1_000_000 * 1_000_000)


class ChangedAfter:
    """A bar source whose bars that end after a moment are others, or missing."""

    def __init__(self, bars: BarSource, moment_us: int) -> None:
        self._bars = bars
        self._moment_us = moment_us
        self.past_minutes, self.past_days = bars.past_minutes, bars.past_days

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        return tuple(self._changed(self._bars.bars(symbol, index)))

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        return tuple(self._changed(self._bars.extended_hours(symbol, index)))

    def _changed(self, bars: tuple[Bar, ...]) -> Iterator[Bar]:
        for bar in bars:
            if bar.end_us <= self._moment_us:
                yield bar
            elif bar.start_us // MINUTE % 3:
                yield bar._replace(
                    open=bar.open * 2, high=bar.high * 2, low=bar.low * 2, close=bar.close * 2, volume=bar.volume + 1
                )

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        return self._bars.history_close(symbol, sessions_before)

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        return self._bars.history_day(symbol, sessions_before)

    def liquid(self, symbol: str) -> bool:
        return self._bars.liquid(symbol)


def world_changed_after(folder: Path, moment_us: int) -> World:
    stored = read_market(folder)
    original = open_exchange(folder).market
    source = ChangedAfter(GeneratedBars(stored.spec.seed, original.calendar), moment_us)
    return World(Exchange(folder, stored, Market(source, original.calendar, stored.symbols)))


def served(world: World, moment_us: int, targets: Sequence[str] = EVERYTHING) -> dict[str, bytes]:
    """Place an order early on, go to a moment, and ask for everything there is, or for some of it."""
    open_us = world.exchange.market.calendar.market[0].open_us
    if moment_us > open_us + 2 * MINUTE:
        world.tick(to="open")
        assert world.order("AAPL", "buy", 10).status == 200
    world.tick(to=rfc3339(moment_us))
    return {target: world.ask("GET", target).body for target in targets}


@given(moment_us=MOMENTS)
@settings(max_examples=max(settings().max_examples // 16, 1))
def test_every_time_served_is_at_or_before_engine_time(new_folder: Callable[[], Path], moment_us: int) -> None:
    world = World(open_exchange(new_folder()))
    seen = 0
    for target, body in served(world, moment_us).items():
        for text in TIME.findall(body.decode()):
            seen += 1
            assert parse_time(text) <= moment_us, target
    assert seen


@given(moment_us=MOMENTS)
@settings(max_examples=max(settings().max_examples // 16, 1))
def test_answers_at_a_moment_do_not_depend_on_later_bars_at_edge_zero(
    new_folder: Callable[[], Path], moment_us: int
) -> None:
    as_is = served(World(open_exchange(new_folder())), moment_us)
    assert served(world_changed_after(new_folder(), moment_us), moment_us) == as_is


@given(moment_us=MOMENTS)
@settings(max_examples=3)
def test_flow_series_at_a_moment_do_not_depend_on_later_bars_at_edge_zero(
    new_folder: Callable[[], Path], moment_us: int
) -> None:
    as_is = served(World(open_exchange(new_folder())), moment_us, SERIES)
    assert served(world_changed_after(new_folder(), moment_us), moment_us, SERIES) == as_is


def test_changed_bars_are_served_once_their_time_has_passed(new_folder: Callable[[], Path]) -> None:
    moment_us = parse_time("2025-03-03T16:00:00Z")
    later_us = moment_us + 5 * MINUTE
    as_is = served(World(open_exchange(new_folder())), later_us)
    changed = served(world_changed_after(new_folder(), moment_us), later_us)
    different = {target for target in EVERYTHING if changed[target] != as_is[target]}
    assert {EVERYTHING[0], "/v2/account", "/v2/positions"} <= different


def test_cursor_in_the_future_returns_no_future_alert(world: World) -> None:
    world.tick(to="2025-03-03T18:00:00Z")
    until = quote("2025-03-04T20:00:00+00:00")
    rows = world.get(f"/api/option-trades/flow-alerts?older_than={until}&limit=200")["data"]
    assert rows
    assert max(datetime.fromisoformat(row["created_at"]) for row in rows) <= datetime.fromisoformat(
        "2025-03-03T18:00:00Z"
    )


def playthrough(world: World) -> dict[str, str]:
    """Trade a little, then hash the log and everything served."""
    world.tick(to="open")
    world.tick(seconds=3600)
    world.order("AAPL", "buy", "12.5", client_order_id="a")
    world.order("SPY", "sell", 4)
    world.order("SPY", "sell", "nothing")
    world.tick(to="close")
    world.tick(to="next_open")
    world.tick(seconds=1800)
    served = b"".join(world.ask("GET", target).body for target in EVERYTHING)
    series = b"".join(world.ask("GET", target).body for target in SERIES)
    log = b"\n".join(world.exchange.log.lines())
    return {"served": sha256(served), "series": sha256(series), "log": sha256(log)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def test_the_same_seed_and_commands_give_the_same_bytes(new_folder: Callable[[], Path]) -> None:
    assert playthrough(open_world(new_folder())) == {
        "served": "a009c19ca68458b5910a3039",
        "series": "4c76e3552a82f777b65a7566",
        "log": "5bfbc9bb28864ce6e2d6518b",
    }


def test_bars_of_a_symbol_do_not_depend_on_other_symbols() -> None:
    calendar = build_calendar(date(2025, 3, 3), 2)
    few, again = GeneratedBars(7, calendar), GeneratedBars(7, calendar)
    alone = [few.bars(symbol, 1) for symbol in SYMBOLS]
    session_bars.cache_clear()
    again.bars("XOM", 1)
    assert [again.bars(symbol, 1) for symbol in SYMBOLS] == alone
    assert GeneratedBars(8, calendar).bars("AAPL", 1) != few.bars("AAPL", 1)
