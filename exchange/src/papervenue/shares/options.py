"""Model positions in option contracts: parse OCC symbols, and value contracts until and at their expiry.

Contracts can't be traded here: they arrive by a journal entry and leave by expiry, exercise, assignment or settlement.

At the close of its last session, a contract that is in the money by a cent or more is exercised if long and assigned if
short; any other expires. Before a split or merger of the stock, its contracts are settled in cash at their price,
because no adjusted contracts are listed here.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from papervenue.engine import order_lifecycle
from papervenue.engine.account import Account, Activity, Position
from papervenue.engine.engine_state import EngineState, enter
from papervenue.flow.options import rough_price
from papervenue.market.bars import UNITS, Market, usd
from papervenue.market.profiles import profile
from papervenue.market.sessions import Calendar, Session
from papervenue.times import new_york_date

SHARES = 100

"""Shares per contract."""

_OCC = re.compile(r"([A-Z]{1,6})(\d{2})(\d{2})(\d{2})([CP])(\d{8})", re.ASCII)

_CENT = UNITS // 100


class Contract(NamedTuple):
    """One option: its underlying's root (without a dot), its ISO expiry, its right (C or P), its strike in units."""

    root: str
    expiry: str
    right: str
    strike: int

    @property
    def stock_side(self) -> int:
        """Return +1 if exercising the contract buys shares, and -1 if that sells them."""
        return 1 if self.right == "C" else -1

    def intrinsic(self, price: int) -> int:
        """Return what exercise gains per share at this price of the underlying, in price units; never negative."""
        return max(0, (price - self.strike) * self.stock_side)


@lru_cache(maxsize=10_000)
def contract_of(symbol: str) -> Contract | None:
    """Parse an OCC symbol; return None for other text, and for an invalid date."""
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
    """Return how many shares one unit of a position stands for: 100 for an option contract, otherwise 1."""
    return 1 if contract_of(symbol) is None else SHARES


def underlying(market: Market, contract: Contract) -> str | None:
    if contract.root in market.known:
        return contract.root
    return next((symbol for symbol in market.symbols if symbol.replace(".", "") == contract.root), None)


def value(market: Market, symbol: str, now_us: int) -> int | None:
    """Return the price of one share of a position, in price units: a stock's last price or an option's rough price.

    The rough price is the same as in the derived option flow: intrinsic value plus some time value (rough_price).
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
    sessions = [session for session in calendar.all if session.date <= contract.expiry]
    return sessions[-1] if sessions else calendar.all[0]


_ZERO = Decimal(0)


def move(floor: EngineState, account: Account, entry: Activity) -> None:
    """Book an activity that adds shares to a position, or removes them if negative, at its price.

    Cancel orders that no longer fit the resulting position.
    """
    assert entry.symbol is not None
    assert entry.qty is not None
    account.shift(entry.symbol, entry.qty, entry.price or _ZERO)
    enter(floor, account, entry)
    order_lifecycle.withdraw_misfits(floor, account, entry.symbol)


def rename(floor: EngineState, account: Account, position: Position, new: str, words: tuple[str, str]) -> None:
    """Move a position to another symbol: one entry removes the old position, and another adds the new one."""
    old, qty = position.symbol, position.qty
    del account.positions[old]
    enter(floor, account, Activity(*words, old, f"{old} is now {new}", -qty))
    account.positions[new] = Position(new, qty, position.average, position.overnight)
    enter(floor, account, Activity(*words, new, f"{new} was {old}", qty))


_IN_THE_MONEY = UNITS // 100


def schedule_expiry(floor: EngineState, account: Account, symbol: str, contract: Contract) -> None:
    """Schedule the end of a position in a contract for the close of the contract's last session."""
    ends_us = last_session(floor.market.calendar, contract).close_us
    floor.agenda.note(ends_us, "end_option", account.number, symbol, contract)


def end_contract(floor: EngineState, number: str, symbol: str, contract: Contract) -> None:
    """Exercise an account's position in a contract that has reached its end, or let it expire."""
    account = floor.accounts.get(number)
    if account is None or symbol not in account.positions:
        return
    stock = underlying(floor.market, contract)
    price = floor.market.price(stock, floor.now_us) if stock is not None else None
    if stock is None or price is None or contract.intrinsic(price) < _IN_THE_MONEY:
        expire(floor, account, symbol, account.qty(symbol))
    else:
        exercise(floor, account, symbol, account.qty(symbol))


def expire(floor: EngineState, account: Account, symbol: str, qty: Decimal) -> None:
    """Remove contracts from a position without payment."""
    move(floor, account, Activity("OPEXP", None, symbol, "Option Expiration", -qty))


def exercise(floor: EngineState, account: Account, symbol: str, qty: Decimal) -> None:
    """Exercise long contracts, or assign short ones (if `qty` is negative): shares change hands at the strike."""
    contract = contract_of(symbol)
    assert contract is not None
    stock = underlying(floor.market, contract)
    assert stock is not None
    kind, description = ("OPEXC", "Option Exercise") if qty > 0 else ("OPASN", "Option Assignment")
    move(floor, account, Activity(kind, None, symbol, description, -qty))
    shares, strike = qty * SHARES * contract.stock_side, usd(contract.strike)
    move(floor, account, Activity("OPTRD", None, stock, "Option Trade", shares, strike, net_amount=-shares * strike))


def _positions_on(floor: EngineState, stock: str) -> list[tuple[Account, str, Contract]]:
    positions = []
    for account in floor.accounts.values():
        for symbol in account.positions:
            contract = contract_of(symbol)
            if contract is not None and contract.root == stock.replace(".", ""):
                positions.append((account, symbol, contract))
    return positions


def settle_on(floor: EngineState, stock: str) -> None:
    """Settle all positions in contracts on a stock in cash, at each contract's price."""
    for account, symbol, _ in _positions_on(floor, stock):
        # The stock's price is already per new share, but the contract was on the old ones.
        worth = value(floor.market, symbol, floor.now_us - 1)
        assert worth is not None
        qty, price = account.qty(symbol), usd(worth)
        description = "settled in cash: no adjusted contract is listed"
        move(floor, account, Activity("OPCA", None, symbol, description, -qty, price, net_amount=qty * SHARES * price))


def rename_on(floor: EngineState, stock: str, new: str) -> None:
    for account, symbol, contract in _positions_on(floor, stock):
        renamed = new.replace(".", "") + symbol[len(contract.root) :]
        rename(floor, account, account.positions[symbol], renamed, ("OPCA", "NC.SNC"))
        adjusted = contract_of(renamed)
        assert adjusted is not None
        schedule_expiry(floor, account, renamed, adjusted)
