"""Features that are computed ahead from the market are those of the bars that the venue serves at each moment."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path

from papervenue import process
from papervenue.faces.tws.contracts import Contracts
from papervenue.faces.tws.history import TwsHistory
from papervenue.market.coins import kraken_venue
from papervenue.market.futures import futures_venue
from papervenue.market.spec import MarketSpec
from papervenue.market.venue import Venue
from papervenue.times import from_datetime
from tests.kit.core.venue import NoBars
from tests.lab.backtest.roads import Stub
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.app.settings import load
from tradebot.desk.features import BarFeatures
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.backtest.full_session_bars import FullSessionBars
from tradebot.lab.backtest.http_exchange import InProcess
from tradebot.lab.backtest.setup import BacktestSetup, assemble
from tradebot.model.bar import Session
from tradebot.model.view import BarNeed, FeatureNeed, Needs
from tradebot.signals.features import features
from tradebot.venues.ibkr.capabilities import IBKR

NEED = FeatureNeed("5Min", (), optional=tuple(name for name in features() if not features()[name].of_the_moment))


@contextmanager
def bot(symbol: str, market: Venue) -> Iterator[BacktestSetup]:
    spec = MarketSpec(start=date(2026, 11, 16), symbols=(symbol,), sessions=2, seed=7, venue=market)
    others = dict.fromkeys(("flow", "rotation", "smart_money"))
    changes = {
        "venue": "kraken_futures",
        "universe": [symbol],
        "strategies": {**others, "policy": {"mode": "training"}},
    }
    strategy = Stub("policy", needs=Needs(features=(NEED,)))
    made = assemble(load(None, {}, changes).settings, spec, [strategy], MemoryFacts())
    with closing(made):
        yield made


def compare(made: BacktestSetup, symbol: str, step: int) -> None:
    world = made.world
    told = BarFeatures(world.bars, world.ledger.sessions, world.venue.day)
    assert world.features is not None
    compared = 0
    for session in made.sessions:
        for minute in range(2, 24 * 60, step):
            if (now := session.open + timedelta(minutes=minute)) < session.close:
                made.advance(now)
                ahead, known = (of.row(NEED, symbol, now, "", None) for of in (world.features, told))
                assert ahead is not None
                assert known is not None
                assert ahead == known
                compared += len(ahead.values)
    assert compared > 45 * 4


def test_coins_have_the_features_of_the_bars_that_are_served() -> None:
    with bot("PF_XBTUSD", kraken_venue(7, ("PF_XBTUSD",))) as made:
        compare(made, "PF_XBTUSD", 467)


def test_contracts_have_the_bars_that_are_served_later(tmp_path: Path) -> None:
    start = date(2026, 12, 7)
    venue = futures_venue(start, 2, ("ES",))
    names = tuple(one.symbol for one in venue.instruments)
    process.create(tmp_path / "exchange", MarketSpec(start=start, symbols=names, sessions=2, seed=7, venue=venue))
    exchange = InProcess(tmp_path / "exchange")
    market = exchange.engine.market
    played = [*map(session_of, market.calendars["ESH7"].played)]

    def sessions(first: date, last: date) -> list[Session]:
        return [one for one in played if first <= one.date <= last]

    ahead = FullSessionBars(market, NoBars(), sessions, IBKR.day)
    until = session_of(market.calendars["ESH7"].market[1]).close
    found = ahead.closed(BarNeed("5Min", 600), ["ESH7", "NQH7"], until)
    assert found.keys() == {"ESH7"}
    exchange.tick_to(from_datetime(until))
    asked = {"end": "", "duration": "5 D", "size": "5 mins", "format": "2"}
    rows = TwsHistory(exchange.engine, Contracts(exchange.engine)).answer("1", "ESH7", asked).fields["bars"][-600:]
    series = found["ESH7"]
    prices = zip(series.starts, series.open, series.high, series.low, series.close, series.volume, strict=True)
    names = ("open", "high", "low", "close", "volume")
    assert [*prices] == [(int(row["date"]), *(float(row[name]) for name in names)) for row in rows]
