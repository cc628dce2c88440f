"""Tell what changed an account's balances: two rows for each trade, and one for the funding of each hour.

A trade's row of cash holds its fee, the profit it realized, and the funding booked with it; its row of the position
holds sizes and average prices. What rows of cash change adds up to the account's cash less what it began with.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from papervenue.chance import uuid_of
from papervenue.engine.account import Account, Activity
from papervenue.engine.orders import LIQUIDATION, Fill
from papervenue.faces.kraken import wire_format
from papervenue.faces.kraken.history import USUAL_COUNT, HistoryReads
from papervenue.faces.kraken.wire_format import average, error, iso, number
from papervenue.faces.web import Call, Reply
from papervenue.margined.funding import FUNDING
from papervenue.times import HOUR

CASH = "usd"
TRADE, LIQUIDATED, HOURLY, OTHER = "futures trade", "futures liquidation", "funding rate change", "transfer"
MOST_ROWS = 100_000
_MILLISECOND = 1_000
_ZERO = Decimal(0)

Row = dict[str, Any]


class Booked:
    """The rows of one account, made from its history as far as that has come."""

    def __init__(self, reads: HistoryReads, owner: Account) -> None:
        self.owner = owner
        self.rows: list[tuple[int, Row]] = []
        self._reads = reads
        self._read = 0
        moved = sum((one.net_amount for one in owner.activities), _ZERO)
        self._cash = owner.cash - moved

    def follow(self) -> None:
        """Add the rows of what has happened since."""
        made = self.owner.activities
        while self._read < len(made):
            one = made[self._read]
            following = made[self._read + 1] if self._read + 1 < len(made) else None
            self._read += 1
            if isinstance(one, Activity) and one.kind == FUNDING and _goes_with(one, following):
                assert isinstance(following, Fill)
                self._add_trade(following, one.net_amount)
                self._read += 1
            elif isinstance(one, Fill):
                self._add_trade(one, _ZERO)
            else:
                assert isinstance(one, Activity)
                self._add_entry(one)

    def _add_trade(self, made: Fill, funded: Decimal) -> None:
        settled, symbol, grid = made.settled, made.order.symbol, self._reads.grid(made.order.symbol)
        assert settled is not None
        fee, liquidated = settled.fee or _ZERO, settled.role == LIQUIDATION
        held, before, _ = made.before
        common = {
            "info": LIQUIDATED if liquidated else TRADE,
            "contract": symbol.lower(),
            "trade_price": wire_format.price(grid, made.price),
            "mark_price": wire_format.price(grid, self._reads.mark(symbol, made.at_us) or made.price),
            "execution": made.execution_id,
            "collateral": CASH,
        }
        cash = {
            "fee": number(_ZERO if liquidated else fee),
            "liquidation_fee": number(fee) if liquidated else None,
            "realized_pnl": number(settled.realized),
            "realized_funding": number(funded),
        }
        self._add(made.at_us, CASH, self._cash, self._cash + funded + made.net_amount, common | cash)
        self._cash += funded + made.net_amount
        cost = settled.cost + settled.realized + grid.notional(made.shares, made.price)
        left = made.position_qty
        averages = {
            "old_average_entry_price": average(before) if held else None,
            "new_average_entry_price": average(cost / (left * grid.multiplier)) if left else None,
        }
        self._add(made.at_us, symbol.lower(), held, left, common | averages)

    def _add_entry(self, entry: Activity) -> None:
        after, symbol = self._cash + entry.net_amount, entry.symbol
        about: Row = {"contract": symbol.lower() if symbol else None, "collateral": CASH}
        if entry.kind == FUNDING and symbol is not None:
            about |= {
                "info": HOURLY,
                "realized_funding": number(entry.net_amount),
                "funding_rate": number(self._reads.rate(symbol, entry.at_us)),
                "mark_price": wire_format.price(self._reads.grid(symbol), self._reads.mark(symbol, entry.at_us)),
            }
        elif entry.about:
            about |= {"info": TRADE, "fee": number(-entry.net_amount), "execution": entry.about.rpartition("::")[2]}
        else:
            about["info"] = OTHER
        self._add(entry.at_us, CASH, self._cash, after, about)
        self._cash = after

    def _add(self, at_us: int, asset: str, old: Decimal, new: Decimal, about: Row) -> None:
        place = len(self.rows) + 1
        row = {
            "id": place,
            "date": iso(at_us),
            "asset": asset,
            "booking_uid": uuid_of(self.owner.number, "booking", place),
            "margin_account": wire_format.MARGINED,
            "old_balance": number(old),
            "new_balance": number(new),
            **dict.fromkeys(_UNSET),
            **about,
        }
        self.rows.append((at_us, row))


_UNSET = (
    *("contract", "info", "old_average_entry_price", "new_average_entry_price", "trade_price", "mark_price"),
    *("realized_pnl", "fee", "execution", "collateral", "funding_rate", "realized_funding"),
    *("conversion_spread_percentage", "liquidation_fee"),
)
"""The fields of a row that say nothing unless they are set."""


def _goes_with(entry: Activity, following: object) -> bool:
    """Return True if funding was booked because of the fill that follows it."""
    is_trade = isinstance(following, Fill) and following.order.symbol == entry.symbol
    return is_trade and isinstance(following, Fill) and following.at_us == entry.at_us and entry.at_us % HOUR != 0


class AccountLog:
    """Answers reads of the account log."""

    def __init__(self, reads: HistoryReads) -> None:
        self._reads = reads
        self._booked: dict[str, Booked] = {}

    def count(self, call: Call) -> int:
        """Return how many rows a request wants."""
        text = call.query.get("count") or str(USUAL_COUNT)
        if not text.isdecimal() or not 1 <= int(text) <= MOST_ROWS:
            raise error(self._reads.now_us, "invalidArgument: count")
        return int(text)

    def log(self, owner: Account, call: Call) -> Reply:
        """Return rows between two times and two ids, all inclusive, the newest first unless asked otherwise."""
        query, count = call.query, self.count(call)
        rows = self._rows(owner)
        try:
            since, before = (int(query[name]) if query.get(name) else None for name in ("since", "before"))
            first, last = (int(query[name]) if query.get(name) else None for name in ("from", "to"))
        except ValueError:
            raise error(self._reads.now_us, "invalidArgument") from None
        ascending, kind = query.get("sort") == "asc", query.get("info")
        ordered = rows if ascending else reversed(rows)
        wanted = (
            row
            for at_us, row in ordered
            if (since is None or at_us >= since * _MILLISECOND)
            and (before is None or at_us < (before + 1) * _MILLISECOND)
            and (first is None or row["id"] >= first)
            and (last is None or row["id"] <= last)
            and (not kind or row["info"] == kind)
        )
        return self._reads.answer({"accountUid": owner.number, "logs": list(_first(wanted, count))})

    def _rows(self, owner: Account) -> list[tuple[int, Row]]:
        booked = self._booked.get(owner.number)
        if booked is None or booked.owner is not owner:
            # A script that shows an account as it was shows another one.
            booked = self._booked[owner.number] = Booked(self._reads, owner)
        booked.follow()
        return booked.rows


def _first(rows: Iterator[Row], count: int) -> Iterator[Row]:
    for place, row in enumerate(rows):
        if place == count:
            return
        yield row
