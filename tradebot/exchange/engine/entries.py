"""Book the cash of an activity into an account. Nothing here looks at orders."""

from __future__ import annotations

from functools import lru_cache

from tradebot.exchange.chance import uuid_of
from tradebot.exchange.engine.account import Account, Activity
from tradebot.exchange.engine.floor import Floor
from tradebot.exchange.events import Event
from tradebot.exchange.jsontext import plain
from tradebot.exchange.times import to_datetime


def enter(floor: Floor, account: Account, entry: Activity) -> None:
    """Book an activity's cash, add it to its account, and emit both with the resulting cash and position."""
    account.cash += entry.net_amount
    account.version += 1
    entry = entry._replace(id=activity_id(floor, account), at_us=floor.now_us)
    account.activities.append(entry)
    floor.emit(Event(floor.now_us, "activity", _described(account, entry), account.number))


@lru_cache(maxsize=1)
def id_stamp(now_us: int) -> str:
    """Return what the ids of activities begin with: a time to the millisecond."""
    return to_datetime(now_us).strftime("%Y%m%d%H%M%S%f")[:17]


def activity_id(floor: Floor, account: Account) -> str:
    return f"{id_stamp(floor.now_us)}::{uuid_of(account.number, 'activity', len(account.activities) + 1)}"


def _described(account: Account, entry: Activity) -> dict[str, str | None]:
    return {
        "activity_id": entry.id,
        "activity_type": entry.kind,
        "symbol": entry.symbol,
        "qty": None if entry.qty is None else plain(entry.qty),
        "price": None if entry.price is None else plain(entry.price),
        "net_amount": plain(entry.net_amount),
        "cash": plain(account.cash),
        "position": None if entry.symbol is None else plain(account.qty(entry.symbol)),
    }
