"""Change positions without an order: shares that come and go, with an activity for each entry."""

from __future__ import annotations

from decimal import Decimal

from tradebot.exchange.engine import life
from tradebot.exchange.engine.account import Account, Activity, Position
from tradebot.exchange.engine.entries import enter
from tradebot.exchange.engine.floor import Floor

_ZERO = Decimal(0)


def move(floor: Floor, account: Account, entry: Activity) -> None:
    """Add an entry's shares (remove them if negative) at its price, and book it.

    Cancel orders that no longer fit the resulting position.
    """
    assert entry.symbol is not None
    assert entry.qty is not None
    account.shift(entry.symbol, entry.qty, entry.price or _ZERO)
    enter(floor, account, entry)
    life.withdraw_misfits(floor, account, entry.symbol)


def rename(floor: Floor, account: Account, held: Position, new: str, words: tuple[str, str]) -> None:
    """Move a position to another symbol: one entry removes the old one, another adds the new one."""
    old, qty = held.symbol, held.qty
    del account.positions[old]
    enter(floor, account, Activity(*words, old, f"{old} is now {new}", -qty))
    account.positions[new] = Position(new, qty, held.average, held.overnight)
    enter(floor, account, Activity(*words, new, f"{new} was {old}", qty))
