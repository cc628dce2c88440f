"""Book the cash of an activity into an account. Nothing here looks at orders."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tradebot.exchange.chance import uuid_of
from tradebot.exchange.engine.account import Account, Activity
from tradebot.exchange.engine.floor import Floor
from tradebot.exchange.events import Event
from tradebot.exchange.jsontext import plain
from tradebot.exchange.times import to_datetime

_ZERO = Decimal(0)


class Entry(NamedTuple):
    """One activity: Alpaca's words for it, shares, USD per share, and the cash it moved."""

    kind: str
    sub_type: str | None
    symbol: str | None
    description: str
    qty: Decimal | None = None
    price: Decimal | None = None
    per_share: Decimal | None = None
    net_amount: Decimal = _ZERO


def enter(floor: Floor, account: Account, entry: Entry) -> None:
    """Book an entry's cash, add its activity, and emit both with the resulting cash and position."""
    account.cash += entry.net_amount
    account.version += 1
    identity = activity_id(floor, account)
    account.activities.append(
        Activity(
            id=identity,
            at_us=floor.now_us,
            kind=entry.kind,
            symbol=entry.symbol,
            qty=entry.qty,
            price=entry.price,
            per_share=entry.per_share,
            net_amount=entry.net_amount,
            description=entry.description,
            sub_type=entry.sub_type,
        )
    )
    floor.emit(Event(floor.now_us, "activity", _described(account, entry, identity), account.number))


def activity_id(floor: Floor, account: Account) -> str:
    stamp = to_datetime(floor.now_us).strftime("%Y%m%d%H%M%S%f")[:17]
    return f"{stamp}::{uuid_of(account.number, 'activity', len(account.activities) + 1)}"


def _described(account: Account, entry: Entry, identity: str) -> dict[str, str | None]:
    return {
        "activity_id": identity,
        "activity_type": entry.kind,
        "symbol": entry.symbol,
        "qty": None if entry.qty is None else plain(entry.qty),
        "price": None if entry.price is None else plain(entry.price),
        "net_amount": plain(entry.net_amount),
        "cash": plain(account.cash),
        "position": None if entry.symbol is None else plain(account.qty(entry.symbol)),
    }
