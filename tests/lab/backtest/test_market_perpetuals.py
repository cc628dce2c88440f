"""A backtest on recorded prices of a perpetual: the same whatever the files' shape, with their funding."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from commands.backtest.report import _waits
from papervenue.market.coins import kraken_venue
from papervenue.market.spec import MarketSpec, Reading
from tests.lab.backtest.roads import Stub, play_to_end
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.app.settings import load
from tradebot.lab.backtest.market import open_market_in_memory
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.lab.backtest.setup import missing_bars
from tradebot.model.account import ActivityKind
from tradebot.model.candidate import Side
from tradebot.model.series import DAY, PriceKind
from tradebot.model.view import BarNeed, Needs, Open, StrategyView, Want

COIN, START = "PF_XBTUSD", date(2026, 11, 10)
BEGINS = int(datetime(2026, 11, 10, tzinfo=UTC).timestamp())
HOURS = 6
RATE = Decimal("0.75")


class Holds(Stub, frozen=True):
    """Buys once and holds."""

    def propose(self, view: StrategyView) -> Sequence[Want]:
        near = Decimal("0.09")
        return [] if view.lots else [Open(COIN, Side.BUY, 0.8, 1.0, stop_loss_fraction=near, atr_fraction=near)]


def written(shape: str) -> str:
    chance, price, lines = random.Random(5), 60_000, []  # noqa: S311
    for minute in range(HOURS * 60):
        close, start = price + chance.randint(-9, 9), BEGINS + 60 * minute
        prices = f"{price},{max(price, close) + 2},{min(price, close) - 2},{close}"
        moment = datetime.fromtimestamp(start, UTC).isoformat()
        shapes = {
            "PF_XBTUSD_1.csv": f"{start},{prices},5.5,3",
            "PF_XBTUSD-1m.csv": f"{start}000,{prices},5.5,{start + 59}999,1,1,1,1,0",
            "own.csv": f"{moment},{COIN},{prices},5.5",
        }
        lines.append(shapes[shape])
        price = close
    header = {"own.csv": "ts,symbol,open,high,low,close,volume\n"}.get(shape, "")
    return header + "\n".join(lines) + "\n"


def spec_of(folder: Path) -> MarketSpec:
    return MarketSpec(
        start=START,
        sessions=1,
        symbols=(COIN,),
        venue=kraken_venue(7, (COIN,), recorded=True),
        source="csv",
        path=str(folder),
        bar_stamp="start",
        reading=Reading(),
        cash=Decimal(50_000),
    )


def files_of(folder: Path, shape: str) -> Path:
    folder.mkdir()
    (folder / shape).write_text(written(shape))
    rows = (f"{datetime.fromtimestamp(BEGINS + 3600 * hour, UTC).isoformat()},{RATE}" for hour in range(1, HOURS + 1))
    (folder / "PF_XBTUSD_funding.csv").write_text("timestamp,fundingRate\n" + "\n".join(rows) + "\n")
    return folder


CHANGES = {
    "venue": "kraken_futures",
    "universe": [COIN],
    "strategies": {"flow": None, "rotation": None, "sometimes": {"exits": []}},
    "timetable": {"trade-once": "every 60m from open+1m until close", "score": "at close-10m"},
}


def played(folder: Path) -> BacktestRun:
    settings = load(None, {}, CHANGES).settings
    return play_to_end(
        create_run(BacktestPlan(settings, spec_of(folder), level=RecordLevel.FULL), [Holds("sometimes")])
    )


@pytest.mark.campaign
def test_backtest_is_the_same_from_every_shape_and_pays_the_files_funding_to_the_cent(tmp_path: Path) -> None:
    shapes = ("PF_XBTUSD_1.csv", "PF_XBTUSD-1m.csv", "own.csv")
    first, *others = (played(files_of(tmp_path / f"{number}", shape)) for number, shape in enumerate(shapes))
    books = first.made.ledger
    fills = [row.fill for row in books.fills()]
    assert (first.opening, first.closing, len(fills) > 0) == (0, 0, True)
    for other in others:
        there = [row.fill for row in other.made.ledger.fills()]
        assert [(each.side, each.quantity, each.price, each.at) for each in there] == [
            (each.side, each.quantity, each.price, each.at) for each in fills
        ]
        assert [end.equity for end in other.ends] == [end.equity for end in first.ends]
    paid = sum(row.amount_usd for row in books.cash_movements() if row.meaning is ActivityKind.FUNDING)
    until = BEGINS + 3600 * HOURS
    hours = sum(fill.quantity * Decimal(until - fill.at.timestamp()) / 3600 for fill in fills)
    assert {fill.side for fill in fills} == {fills[0].side}, "the position only grew"
    assert round(paid, 2) == round(-hours * RATE, 2) != 0


def test_files_say_which_prices_are_missing_and_from_when_on_a_strategy_has_its_bars(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "PF_XBTUSD_1.csv").write_text(written("PF_XBTUSD_1.csv"))
    daily = (f"{BEGINS + 86_400 * day},60000,60002,59998,60000,7,7" for day in range(-3, 4))
    (folder / "XBTUSD_1440.csv").write_text("\n".join(daily) + "\n")
    market = open_market_in_memory(spec_of(folder))
    assert market.assumed == (
        "no mark prices for PF_XBTUSD: the mark is the last trade; no funding rates for PF_XBTUSD: no funding is paid"
    )
    settings = load(None, {}, CHANGES).settings
    needs = [Needs(bars=(BarNeed(DAY, depth, price=PriceKind.SPOT),)) for depth in (3, 4)]
    strategies = [Holds("sometimes", needs=need) for need in needs]
    late = missing_bars(settings, strategies, market)
    assert [(row.symbol, row.depth, row.since) for row in late] == [(None, 4, None), (COIN, 4, None)]
    looks = [BarNeed(DAY, depth, price=PriceKind.SPOT, least=3) for depth in (3, 5)]
    later = missing_bars(settings, [Holds("sometimes", needs=Needs(bars=(need,))) for need in looks], market)
    assert [(row.symbol, row.depth, row.since, row.can_decide) for row in later] == [(COIN, 5, None, True)]
    assert list(_waits(later)) == ["sometimes looks back over 5 bars of 1Day; available: PF_XBTUSD never"]
