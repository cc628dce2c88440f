"""Coins for the tests of the smart-money strategy, and packages of strategies that need no pip."""

import random
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

from tradebot.model.bar import Quote
from tradebot.model.costs import CostModel
from tradebot.model.position import EntryTerms, Lot, Position, RoundTrip
from tradebot.model.series import PriceKind, Series
from tradebot.model.view import StrategyView

# Packages of strategies that are installed in a folder without pip, one way to propose each.

WELL = "return list(self.well(view))"
MODULE = """
from tradebot.model.struct_tools import replace
from tradebot.ports import BarNeed, Needs, Open, Side

class Base:
    needs = Needs(facts=frozenset({"flow_alerts"}))
    times = ""

    def __init__(self, settings):
        assert not settings, settings

    def well(self, view):
        for symbol in view.universe:
            yield Open(symbol, Side.BUY, 0.9, 1.0)
"""


def install(folder: Path, bodies: Mapping[str, str], package: str, needs: Mapping[str, str] | None = None) -> None:
    """Install a package of strategies into a folder, each with its own way to propose; `needs` are bars by name."""
    text, points = [MODULE], []
    for name, body in bodies.items():
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        bars = f"    needs = Needs(bars=({needs[name]},))\n" if needs else ""
        text.append(f"class {name.title()}(Base):\n    name = {name!r}\n{bars}    def propose(self, view):\n{lines}\n")
        points.append(f"{name} = {package}:{name.title()}")
    (folder / f"{package}.py").write_text("\n".join(text))
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[tradebot.strategies]", *points]))


NOW = datetime(2026, 11, 20, tzinfo=UTC)
MIDDLE = 100_000
"""The tick around which prices are turned over."""
COSTS = CostModel(Decimal(5), Decimal(2), Decimal(2), Decimal(10))
WIDTHS = {"1Day": 86_400, "4Hour": 14_400, "1Hour": 3_600, "15Min": 900}
COUNTS = {"1Day": 260, "4Hour": 260, "1Hour": 200, "15Min": 8}
Row = tuple[int, int, int, int]
"""Open, high, low and close in ticks."""


@cache
def rows(seed: int, timeframe: str) -> Sequence[Row]:
    """Return bars that walk around the middle, in trends of some length."""
    chance = random.Random(f"{seed} {timeframe}")
    price, found, drift = MIDDLE, list[Row](), 0
    for place in range(COUNTS[timeframe]):
        if place % 30 == 0:
            drift = chance.randint(-250, 250)
        opened = price + chance.randint(-90, 90)
        # Far from the middle, it is drawn back: a price below zero would be none.
        price = opened + drift + chance.randint(-700, 700) + (MIDDLE - opened) // 60
        above, below = chance.randint(0, 400), chance.randint(0, 400)
        found.append((opened, max(opened, price) + above, min(opened, price) - below, price))
    if timeframe == "15Min":
        # The newest price is the one at which the structure's last bar closed.
        shift = rows(seed, "4Hour")[-1][3] - found[-1][3]
        found = [tuple(price + shift for price in bar) for bar in found]  # type: ignore[misc]
    return found


def turned(bars: Sequence[Row]) -> list[Row]:
    """Return bars turned over around the middle: what rose falls."""
    return [tuple(2 * MIDDLE - bar[place] for place in (0, 2, 1, 3)) for bar in bars]  # type: ignore[misc]


def series(symbol: str, timeframe: str, bars: Sequence[Row], tick: Decimal) -> Series:
    width = WIDTHS[timeframe]
    end = int(NOW.timestamp()) // width * width
    starts = array("q", [end - width * (len(bars) - place) for place in range(len(bars))])
    opens, highs, lows, closes = (array("d", [float(bar[place] * tick) for bar in bars]) for place in range(4))
    volume = array("d", [1.0] * len(bars))
    return Series(symbol, timeframe, True, starts, opens, highs, lows, closes, volume, PriceKind.SPOT)


def view(
    seeds: Sequence[int],
    *,
    over: bool = False,
    tick: Decimal = Decimal("0.01"),
    funding: Decimal = Decimal(0),
    lots: Mapping[str, Position] | None = None,
    kept: Mapping[str, EntryTerms] | None = None,
    trades: Mapping[str, Sequence[RoundTrip]] | None = None,
) -> StrategyView:
    """Return what a strategy sees of one coin per seed; `funding` is a share of the mark that longs pay an hour."""
    found, quotes, symbols = {}, {}, [f"PF_{seed}USD" for seed in seeds]
    for seed, symbol in zip(seeds, symbols, strict=True):
        for timeframe in WIDTHS:
            bars = rows(seed, timeframe)
            one = series(symbol, timeframe, turned(bars) if over else bars, tick)
            found[one.key] = one
        last = Decimal(repr(one.close[-1]))
        quotes[symbol] = Quote(
            symbol, NOW, last, last, last, last, "test", mark=last, index=last, funding_rate=last * funding
        )
    return StrategyView(
        NOW,
        tuple(symbols),
        series=found,
        quotes=quotes,
        lots=lots or {},
        kept=kept or {},
        trades=trades or {},
        costs=COSTS,
    )


def lot(symbol: str, quantity: int, price: str, age: timedelta = timedelta(days=1)) -> Position:
    at = NOW - age
    return Position("smart_money", symbol, (Lot(Decimal(quantity), Decimal(price), at),), Decimal(0), at)


def trade(symbol: str, profit: str, closed: timedelta, opened: timedelta | None = None) -> RoundTrip:
    """Return a trade that cost 100 USD and ended so long ago."""
    began = NOW - (opened or closed + timedelta(hours=1))
    return RoundTrip("smart_money", symbol, NOW - closed, Decimal(profit), Decimal(100), began)
