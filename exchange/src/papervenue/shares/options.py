"""Model held option contracts: what an OCC symbol means, and what a contract is worth until and at its expiry.

Contracts can't be traded here: they arrive by a journal entry and leave by expiry, exercise, assignment or settlement.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from papervenue.flow.options import rough_price
from papervenue.market.bars import UNITS, Market
from papervenue.market.profiles import profile
from papervenue.market.sessions import Calendar, Session
from papervenue.times import new_york_date

SHARES = 100
"""Shares per contract."""
_OCC = re.compile(r"([A-Z]{1,6})(\d{2})(\d{2})(\d{2})([CP])(\d{8})", re.ASCII)
_CENT = UNITS // 100


class Contract(NamedTuple):
    """One option: the root of its underlying (without a dot), ISO expiry, right C or P, and strike in price units."""

    root: str
    expiry: str
    right: str
    strike: int

    @property
    def stock_side(self) -> int:
        """Return +1 if its exercise buys shares and -1 if it sells them."""
        return 1 if self.right == "C" else -1

    def intrinsic(self, price: int) -> int:
        """Return the gain per share from exercise at a price of the underlying, in price units; never negative."""
        return max(0, (price - self.strike) * self.stock_side)


@lru_cache(maxsize=10_000)
def contract_of(symbol: str) -> Contract | None:
    """Parse an OCC symbol; return None for any other text or an invalid date."""
    match = _OCC.fullmatch(symbol)
    if match is None:
        return None
    root, year, month, day, right, strike = match.groups()
    expiry = f"20{year}-{month}-{day}"
    try:
        date.fromisoformat(expiry)
    except ValueError:
        return None
    return Contract(root, expiry, right, int(strike) * UNITS // 1000)


def shares_of(symbol: str) -> int:
    """Return how many shares one unit of a position represents: 100 for an option contract, else 1."""
    return 1 if contract_of(symbol) is None else SHARES


def underlying(market: Market, contract: Contract) -> str | None:
    if contract.root in market.known:
        return contract.root
    return next((symbol for symbol in market.symbols if symbol.replace(".", "") == contract.root), None)


def value(market: Market, symbol: str, now_us: int) -> int | None:
    """Return the price of one share of a position, in price units: a stock's last price or an option's rough price.

    The rough price is that of the derived option flow: intrinsic value plus some time value (rough_price).
    """
    contract = contract_of(symbol)
    if contract is None:
        return market.price(symbol, now_us)
    stock = underlying(market, contract)
    price = market.price(stock, now_us) if stock is not None else None
    if stock is None or price is None:
        return None
    volatility = profile(market.actions.entity(stock)).implied_volatility
    terms = contract.right, contract.strike / UNITS, contract.expiry
    return rough_price(*terms, price / UNITS, volatility, new_york_date(now_us)) * _CENT


def last_session(calendar: Calendar, contract: Contract) -> Session:
    """Return the session at whose close a contract expires: the last one on or before its expiry date."""
    held = [session for session in calendar.all if session.date <= contract.expiry]
    return held[-1] if held else calendar.all[0]
