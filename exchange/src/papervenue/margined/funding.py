"""Let positions pay and earn funding: it accrues at every moment, and is booked on the hour and with each fill.

A rate is what a long position pays for each unit, times the multiplier, and hour; a short position earns it. Amounts
are booked in the smallest unit of cash, rounded toward zero, and the rest is carried to the next booking.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from papervenue.engine.account import Account, Activity
from papervenue.engine.engine_state import Floor, enter
from papervenue.events import Event
from papervenue.jsontext import plain
from papervenue.margined.accounts import NetPosition, net_position, net_positions
from papervenue.market.instruments import CASH_UNIT
from papervenue.times import HOUR

FUNDING = "FUNDING"


def rate_of(floor: Floor, symbol: str) -> Decimal:
    """Return the funding rate of a symbol in force now."""
    changes = floor.funding_changes.get(symbol)
    return changes[-1][1] if changes else floor.market.grids[symbol].instrument.funding


def rate_at(floor: Floor, symbol: str, at_us: int) -> Decimal:
    """Return the funding rate of a symbol that was in force before a moment."""
    changes = [rate for us, rate in floor.funding_changes.get(symbol, ()) if us < at_us]
    return changes[-1] if changes else floor.market.grids[symbol].instrument.funding


def set_rate(floor: Floor, symbol: str, rate: Decimal) -> None:
    """Change a funding rate from now on."""
    for account in floor.accounts.values():
        held = net_position(account, symbol)
        if held is not None:
            held.owed, held.since_us = _accrued(floor, held), floor.now_us
    floor.funding_changes.setdefault(symbol, []).append((floor.now_us, rate))
    floor.emit(Event(floor.now_us, "funding_rate_set", {"symbol": symbol, "rate": plain(rate)}))


def funding_due(floor: Floor, held: NetPosition) -> Decimal:
    """Return the funding that a position has to pay and that isn't booked yet."""
    return (_accrued(floor, held) / HOUR).quantize(CASH_UNIT, ROUND_DOWN)


def book(floor: Floor, account: Account, symbol: str) -> None:
    """Book what a position has to pay or earns up to now."""
    held = net_position(account, symbol)
    if held is None:
        return
    amount = funding_due(floor, held)
    held.owed, held.since_us = _accrued(floor, held) - amount * HOUR, floor.now_us
    if amount:
        enter(floor, account, Activity(FUNDING, None, symbol, "funding", net_amount=-amount))


def book_all(floor: Floor) -> None:
    """Book the funding of all positions on the hour."""
    for account in floor.accounts.values():
        for held in net_positions(account):
            book(floor, account, held.symbol)
    note_next(floor)


def note_next(floor: Floor) -> None:
    floor.agenda.note((floor.now_us // HOUR + 1) * HOUR, "book_funding")


def _accrued(floor: Floor, held: NetPosition) -> Decimal:
    """Return what a position has to pay since the last booking, in currency times microseconds."""
    multiplier = floor.market.grids[held.symbol].multiplier
    return held.owed + held.qty * multiplier * rate_of(floor, held.symbol) * (floor.now_us - held.since_us)
