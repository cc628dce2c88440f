"""Elsewhere, a made-up venue that is everything Alpaca is not; the package that brings it, and its market.

It trades around the clock, on margin, in contracts of 50 units. Its fees and the ends of its orders are told later, no
order can be changed, and none is paired with another. A client order id is unique only while its order is open.
"""

import os
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from msgspec import structs

from papervenue.market.spec import NEXT_BAR, FillSpec, MarketSpec
from papervenue.market.venue import Instrument, MarginLevel, Rules, TickStep, Venue

NAME, WITH_BRACKETS = "elsewhere", "elsewhere_brackets"
"""The venue, and the same one with another ability: there, a stop may hang on the order that opens a position."""
SITE, ROOT = Path(__file__).with_name("site"), Path(__file__).resolve().parents[3]
TOLD_AFTER = timedelta(seconds=5)
"""How much later than the market its history is: an order that ends at once is nowhere for so long."""
ARRIVES_WITHIN = timedelta(minutes=8)
"""Every request says until when it may arrive, and the venue refuses what comes later."""
MULTIPLIER = Decimal(50)
SYMBOLS = ("TIDE", "REEF")
RULES = Rules(
    client_ids="while_open",
    taker_fee=Decimal("0.0005"),
    maker_fee=Decimal("0.0002"),
    fees_after_us=7_000_000,
    liquidation_fee=Decimal("0.01"),
)


def install() -> None:
    """Let this process and those that it starts find the package, as if it were installed."""
    for place in (str(ROOT), str(SITE)):
        if place not in sys.path:
            sys.path.append(place)
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*filter(None, known), str(ROOT), str(SITE)]))


def instrument(symbol: str) -> Instrument:
    """Return a contract of Elsewhere's: ticks that change with the price, two margin levels, funding each hour."""
    return Instrument(
        symbol=symbol,
        ticks=(TickStep(Decimal(0), Decimal("0.0005")), TickStep(Decimal(10), Decimal("0.005"))),
        level=Decimal(4),
        multiplier=MULTIPLIER,
        margin_levels=(
            MarginLevel(Decimal(0), Decimal("0.05"), Decimal("0.03")),
            MarginLevel(Decimal(1_000), Decimal("0.1"), Decimal("0.06")),
        ),
        funding=Decimal("0.0001"),
    )


def market(
    start: date,
    *,
    symbols: tuple[str, ...] = SYMBOLS,
    sessions: int = 4,
    seed: int = 8,
    fill: FillSpec = NEXT_BAR,
    brackets: bool = False,
) -> MarketSpec:
    """Return a market of Elsewhere's, with or without brackets."""
    venue = played(symbols, brackets=brackets)
    return MarketSpec(start=start, symbols=symbols, sessions=sessions, seed=seed, fill=fill, venue=venue)


def played(symbols: Sequence[str], *, brackets: bool = False) -> Venue:
    """Return how the exchange plays Elsewhere with these symbols."""
    rules, instruments = structs.replace(RULES, brackets=brackets), tuple(map(instrument, symbols))
    return Venue(dialect="plain", calendar="24/7", instruments=instruments, rules=rules, faces=(NAME,))
