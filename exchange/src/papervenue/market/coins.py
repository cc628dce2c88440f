"""List the perpetuals of a simulated Kraken Futures: 56 coins with realistic ticks, margins, funding and volume."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from papervenue.chance import draw_bell, random_stream
from papervenue.market.hours import AROUND_THE_CLOCK
from papervenue.market.venue import Instrument, MarginLevel, Rules, TickStep, Venue
from papervenue.times import HOUR

FACE = "kraken"
RULES = Rules(
    client_ids="while_open",
    maker_fee=Decimal("0.0002"),
    taker_fee=Decimal("0.0005"),
    liquidation_fee=Decimal("0.005"),
    liquidation_part=Decimal("0.25"),
    edits=True,
)
COLLAR = Decimal("0.5")
"""The collar of a market that doesn't set one.

Kraken documents no figure: it refuses a limit that crosses the spread "an order of magnitude away from the mark price".
Half of it refuses any price with a digit too many or too few.
"""
_TABLE = """
XBT 92000 0 -4 900 18 1.0 1|ETH 3050 1 -3 600 26 1.5 1|SOL 138 2 -2 260 34 1.9 1|XRP 2.14 5 0 180 32 1.6 1
DOGE 0.152 6 0 90 38 1.9 2|ADA 0.43 5 0 60 36 1.8 2|LTC 86.4 2 -2 45 31 1.4 2|BCH 548 1 -2 32 33 1.4 2
LINK 13.1 3 -1 48 36 1.8 2|AVAX 14.2 3 -1 42 39 2.0 2|DOT 2.31 4 -1 26 38 1.9 2|TRX 0.276 6 0 34 19 0.8 2
XLM 0.252 5 0 22 36 1.6 2|SUI 1.56 4 0 70 44 2.2 2|HBAR 0.141 6 0 20 42 1.9 2|UNI 6.2 3 -1 18 42 1.9 2
AAVE 178 2 -2 24 42 1.9 2|NEAR 1.93 4 -1 20 44 2.1 2|ATOM 2.52 4 -1 12 37 1.7 2|ETC 13.6 3 -2 11 37 1.7 2
BNB 880 1 -2 60 22 1.1 2|TON 1.58 4 0 12 36 1.4 3|ICP 4.1 3 -1 14 46 1.9 3|APT 2.37 4 -1 13 44 2.0 3
ARB 0.212 6 0 14 45 2.1 3|OP 0.312 5 0 12 46 2.1 3|FIL 1.62 4 -1 10 44 2.0 3|INJ 5.7 3 -1 9 47 2.1 3
SEI 0.138 6 0 10 47 2.1 3|TIA 0.62 5 -1 10 52 2.2 3|LDO 0.66 5 0 8 49 2.2 3|CRV 0.41 5 0 11 49 1.9 3
ALGO 0.142 6 0 8 40 1.8 3|VET 0.0137 7 1 5 41 1.8 3|XTZ 0.49 5 0 4 38 1.7 3|SAND 0.158 6 0 5 42 1.9 3
MANA 0.163 6 0 4 41 1.8 3|AXS 0.95 5 -1 4 45 1.9 3|GRT 0.0472 7 0 5 44 1.9 3|COMP 33 2 -2 4 42 1.7 3
MKR 1390 1 -3 5 40 1.4 3|SNX 0.59 5 0 4 52 1.8 3|DYDX 0.21 6 0 6 49 2.0 3|IMX 0.29 6 0 6 46 2.1 3
RUNE 0.66 5 0 5 47 2.0 3|KAS 0.045 7 1 6 44 1.6 3|ENA 0.25 6 0 18 58 2.4 3|WLD 0.63 5 0 14 55 2.2 3
JUP 0.24 6 0 9 50 2.1 3|PYTH 0.076 7 0 7 52 2.1 3|PEPE 0.0000046 11 3 50 55 2.3 4|SHIB 0.0000085 11 3 30 39 1.9 4
BONK 0.0000096 11 3 22 57 2.4 4|WIF 0.37 5 0 16 61 2.5 4|FLOKI 0.0000455 10 2 9 54 2.3 4|FARTCOIN 0.31 5 0 20 72 2.6 4
"""
"""A coin, its level in USD, the places of its tick, the exponent of its lot, its trade in millions of USD a day, its
daily volatility in thousandths, its beta to the market, and its class of margin."""
_CLASSES = {
    1: ((0, "0.02", "0.01"), (500_000, "0.04", "0.02"), (1_000_000, "0.06", "0.03"), (5_000_000, "0.1", "0.05")),
    2: ((0, "0.02", "0.01"), (250_000, "0.05", "0.025"), (1_000_000, "0.1", "0.05"), (2_000_000, "0.2", "0.1")),
    3: ((0, "0.04", "0.02"), (100_000, "0.1", "0.05"), (500_000, "0.2", "0.1"), (1_000_000, "0.5", "0.25")),
    4: ((0, "0.1", "0.05"), (50_000, "0.2", "0.1"), (250_000, "0.4", "0.2"), (500_000, "0.5", "0.25")),
}
"""Margin levels by class: the USD value from which a level applies, and its initial and maintenance margin."""
_USUAL_FUNDING, _FUNDING_SPREAD = 0.000006, 0.000012
"""The average funding that a long position pays per dollar and hour, and how far coins deviate from it."""
_DIGITS = 6
_BASIS = 0.0003
"""How far a mark usually is from the last price, as a fraction of it."""


class _Coin(NamedTuple):
    name: str
    level: Decimal
    tick: Decimal
    lot: Decimal
    traded: Decimal
    volatility: Decimal
    beta: Decimal
    margins: int


def _read(row: str) -> _Coin:
    name, level, places, exponent, millions, thousandths, beta, margins = row.split()
    return _Coin(
        name,
        Decimal(level),
        Decimal(1).scaleb(-int(places)),
        Decimal(1).scaleb(int(exponent)),
        Decimal(millions) * 1_000_000,
        Decimal(thousandths) / 1_000,
        Decimal(beta),
        int(margins),
    )


_COINS = tuple(_read(row) for line in _TABLE.split("\n") for row in line.split("|") if row)
SYMBOLS = tuple(f"PF_{coin.name}USD" for coin in _COINS)
"""The symbols of all perpetuals, those of the largest coins first."""


def coins(seed: int, symbols: Collection[str] = SYMBOLS) -> tuple[Instrument, ...]:
    """Return the perpetuals, by default all of them; the seed determines their funding."""
    return tuple(_list_coin(coin, seed) for coin, symbol in zip(_COINS, SYMBOLS, strict=True) if symbol in symbols)


def kraken_venue(seed: int, symbols: Collection[str] = SYMBOLS, *, recorded: bool = False) -> Venue:
    """Return a simulated Kraken Futures that lists these symbols; if `recorded`, funding only comes from files."""
    listed = coins(seed, symbols)
    if recorded:
        listed = tuple(replace(coin, funding=Decimal(0)) for coin in listed)
    return Venue(dialect="plain", calendar=AROUND_THE_CLOCK, instruments=listed, rules=RULES, faces=(FACE,))


def basis_at(seed: int, start_us: int, symbol: str, at_us: int) -> float:
    """Return by which fraction of the last price a mark price exceeds it.

    The seed determines the value at the end of each hour, regardless of prices and of other hours. Between two of these
    times, it moves in a straight line. It is 0 until the market begins.
    """
    hour, elapsed_us = divmod(at_us - start_us, HOUR)
    begin, end = _basis_after(seed, symbol, hour), _basis_after(seed, symbol, hour + 1)
    return begin + (end - begin) * elapsed_us / HOUR


@lru_cache(maxsize=4096)
def _basis_after(seed: int, symbol: str, hours: int) -> float:
    return _BASIS * draw_bell(random_stream(seed, symbol, "basis", hours)) if hours > 0 else 0.0


def _list_coin(coin: _Coin, seed: int) -> Instrument:
    symbol = f"PF_{coin.name}USD"
    relative = _USUAL_FUNDING + _FUNDING_SPREAD * draw_bell(random_stream(seed, symbol, "funding"))
    return Instrument(
        symbol=symbol,
        ticks=(TickStep(Decimal(0), coin.tick),),
        level=coin.level,
        lot=coin.lot,
        minimum=coin.lot,
        margin_levels=tuple(
            MarginLevel(Decimal(0), Decimal(initial), Decimal(maintenance), Decimal(usd))
            for usd, initial, maintenance in _CLASSES[coin.margins]
        ),
        funding=_significant(Decimal(relative) * coin.level),
        volume=_whole_lots(coin.traded / coin.level, coin.lot),
        volatility=coin.volatility,
        beta=coin.beta,
    )


def _whole_lots(quantity: Decimal, lot: Decimal) -> Decimal:
    """Return a quantity in whole lots, without an exponent in its text."""
    lots = (quantity / lot).to_integral_value()
    return Decimal(f"{lots * lot:f}")


def _significant(number: Decimal) -> Decimal:
    """Return a number rounded to a few significant digits."""
    return Decimal(f"{Decimal(f'{number:.{_DIGITS - 1}e}'):f}") if number else number
