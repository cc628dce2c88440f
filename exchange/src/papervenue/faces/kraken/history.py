"""Serve the history of orders and accounts in pages: newest first.

Numbers are text here, and times are milliseconds since 1970. An order's `quantity` is the unfilled part, and `filled`
the filled part. A stop is a trigger until its first fill activates it; from then on it is an order with the same id.

A trade's cash row has its fee, its realized profit, and the funding booked with it; its position row has sizes and
average prices. The changes of cash rows add up to the account's cash minus its initial cash.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from papervenue.chance import uuid_of
from papervenue.engine.account import Account, Activity
from papervenue.engine.account_lists import PastUpdate
from papervenue.engine.engine import Engine
from papervenue.engine.orders import ASSIGNMENT, LIQUIDATION, MAKER, Fill, Order
from papervenue.faces.kraken import wire_format
from papervenue.faces.kraken.wire_format import SIGNALS, average, encoded, error, iso, milliseconds, number
from papervenue.faces.web import MADE_AT, Call, Reply
from papervenue.jsontext import plain
from papervenue.margined import accounts
from papervenue.margined.accounts import FUNDING
from papervenue.market.venue import Grid
from papervenue.times import HOUR, rfc3339

USUAL_COUNT, MOST_COUNT = 500, 1_000
_DIRECTIONS = {1: "Buy", -1: "Sell"}
_TYPES = {"lmt": "Limit", "post": "Post", "ioc": "IoC", "fok": "FoK", "mkt": "Market", "stp": "Stop"}
_TYPES |= {"take_profit": "TakeProfit", "trailing_stop": "TrailingStop"}
_FILLED = {"fill": "full_fill", "partial_fill": "partial_fill"}
_ENDED = frozenset({"canceled", "expired"})
_MILLISECOND = 1_000

Event = dict[str, Any]


class HistoryPage(NamedTuple):
    """The request for a page of history: moments in engine time, and the position to continue from."""

    since_us: int
    before_us: int
    ascending: bool
    most: int
    after: int | None
    symbol: str

    @classmethod
    def of(cls, call: Call, now_us: int) -> HistoryPage:
        """Parse a query; raise a Refusal if it is invalid."""
        query = call.query
        try:
            since, before = (int(query.get(name) or empty) for name, empty in (("since", 0), ("before", 0)))
            count = int(query.get("count") or USUAL_COUNT)
            token = query.get("continuation_token")
            after = int(base64.b64decode(token, validate=True)) if token else None
        except (ValueError, binascii.Error):
            raise error(now_us, "invalidArgument") from None
        if count < 1 or query.get("sort", "desc") not in ("asc", "desc"):
            raise error(now_us, "invalidArgument")
        before_us = before * _MILLISECOND if before else now_us + 1
        ascending, symbol = query.get("sort") == "asc", query.get("tradeable", "").upper()
        return cls(since * _MILLISECOND, min(before_us, now_us + 1), ascending, min(count, MOST_COUNT), after, symbol)

    def select(self, newest_first: Iterator[tuple[int, int, Any]]) -> tuple[list[Any], int | None]:
        """Return the items of a page, and the id of the last one if more follow.

        The input has each item with its id and its time in microseconds, newest first.
        """
        rows: list[tuple[int, Any]] = []
        for element_id, at_us, thing in newest_first:
            if at_us < self.since_us:
                break
            if at_us >= self.before_us or (self.after is not None and not self._follows(element_id)):
                continue
            rows.append((element_id, thing))
            if len(rows) > self.most and not self.ascending:
                break
        if self.ascending:
            rows.reverse()
        page = rows[: self.most]
        return [thing for _, thing in page], page[-1][0] if len(rows) > self.most else None

    def _follows(self, index: int) -> bool:
        assert self.after is not None
        return index > self.after if self.ascending else index < self.after


class HistoryReads:
    """Handles requests for an account's history."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Past events don't change, and clients request the newest ones repeatedly.
        self._orders_told, self._triggers_told = map(lru_cache(maxsize=MOST_COUNT), (self._orders, self._triggers))

    @property
    def now_us(self) -> int:
        """Return the end of the visible history: now, or the past moment that a script shows."""
        shown_us = self._engine.shown_us
        return self._engine.now_us if shown_us is None else shown_us

    def grid(self, symbol: str) -> Grid:
        return self._engine.market.grids[symbol]

    def rate(self, symbol: str, at_us: int) -> Decimal:
        """Return the funding rate that was in force for a symbol just before a moment."""
        return accounts.rate_at(self._engine, symbol, at_us)

    def orders(self, owner: Account, call: Call) -> Reply:
        """Return the events of orders, without those of triggers."""
        return self._answer_page(owner, call, self._order_events)

    def triggers(self, owner: Account, call: Call) -> Reply:
        """Return the events of stops before they are triggered."""
        return self._answer_page(owner, call, self._trigger_events)

    def executions(self, owner: Account, call: Call) -> Reply:
        """Return the account's executions, a page at a time."""
        return self._answer_page(owner, call, self._execution_events)

    def _answer_page(
        self, owner: Account, call: Call, events: Callable[[Account, HistoryPage], Iterator[tuple[int, int, Event]]]
    ) -> Reply:
        page = HistoryPage.of(call, self.now_us)
        elements, last = page.select(events(owner, page))
        token = {} if last is None else {"continuationToken": base64.b64encode(str(last).encode()).decode()}
        return self.answer({"accountUid": owner.number, "len": len(elements), "elements": elements, **token})

    def answer(self, body: Mapping[str, Any]) -> Reply:
        """Return a history response, stamped with the current time."""
        now_us = self._engine.now_us
        return Reply(200, encoded({**body, "serverTime": iso(now_us)}), {MADE_AT: rfc3339(now_us)})

    def _updates(self, owner: Account, page: HistoryPage) -> Iterator[PastUpdate]:
        for update in owner.updates.newest_first():
            if update.place.at_us < page.since_us:
                return
            if page.symbol in ("", update.order.symbol):
                yield update

    def _order_events(self, owner: Account, page: HistoryPage) -> Iterator[tuple[int, int, Event]]:
        for update in self._updates(owner, page):
            yield from self._orders_told(owner, update)

    def _trigger_events(self, owner: Account, page: HistoryPage) -> Iterator[tuple[int, int, Event]]:
        for update in self._updates(owner, page):
            yield from self._triggers_told(owner, update)

    def _orders(self, owner: Account, update: PastUpdate) -> tuple[tuple[int, int, Event], ...]:
        return tuple(self._element(owner, update, name, event) for name, event in self._of_order(owner, update))

    def _triggers(self, owner: Account, update: PastUpdate) -> tuple[tuple[int, int, Event], ...]:
        return tuple(self._element(owner, update, name, event) for name, event in self._of_trigger(owner, update))

    def _element(self, owner: Account, update: PastUpdate, name: str, event: Event) -> tuple[int, int, Event]:
        sequence, at_us, _ = update.place
        # Two events of one moment have places of their own.
        element_id = sequence * 2 + (name not in ("OrderPlaced", "OrderTriggerActivated"))
        uid = uuid_of(owner.number, "event", sequence, name)
        return element_id, at_us, {"uid": uid, "timestamp": milliseconds(at_us), "event": {name: event}}

    def _of_order(self, owner: Account, update: PastUpdate) -> Iterator[tuple[str, Event]]:
        """Yield the events that an update of an order consists of, the newest first."""
        order, word, execution = update.order, update.event, update.execution
        acted = order.stop is None or order.filled_qty > 0
        shown = self._order(owner, order, order.filled_qty)
        if word in _FILLED and execution is not None:
            before = order.filled_qty - execution.qty
            old = self._order(owner, order, before)
            body = {"newOrder": shown, "oldOrder": old, "reason": _FILLED[word], "reducedQuantity": ""}
            yield "OrderUpdated", body
            if order.stop is not None and not before:
                yield "OrderPlaced", _order_event(old, "stop_order_triggered")
        elif word == "new" and order.stop is None:
            yield "OrderPlaced", _order_event(shown, "new_user_order")
        elif word == "restated" and acted:
            yield "OrderUpdated", {"newOrder": shown, "reason": _change(order), "reducedQuantity": ""}
        elif word == "rejected" and acted:
            yield "OrderRejected", {"order": shown, "orderError": "rejected", "reason": "rejected"}
        elif word in _ENDED and acted:
            yield "OrderCancelled", _order_event(shown, _why(order))

    def _of_trigger(self, owner: Account, update: PastUpdate) -> Iterator[tuple[str, Event]]:
        order, word, execution = update.order, update.event, update.execution
        if order.stop is None:
            return
        before = order.filled_qty - (execution.qty if execution is not None else Decimal(0))
        shown = self._trigger(owner, order, before)
        if word in _FILLED and not before:
            yield "OrderTriggerActivated", {"order": shown}
        elif order.filled_qty:
            return
        elif word == "new":
            yield "OrderTriggerPlaced", {"order": shown, "reason": "new_user_order"}
        elif word == "restated":
            yield "OrderTriggerUpdated", {"newOrderTrigger": shown, "reason": _change(order)}
        elif word in _ENDED or word == "rejected":
            reason = _why(order) if word in _ENDED else "rejected"
            yield "OrderTriggerCancelled", {"order": shown, "reason": reason}

    def _order(self, owner: Account, order: Order, filled: Decimal) -> Event:
        grid, request = self._engine.market.grids[order.symbol], order.request
        return {
            "uid": order.id,
            "accountUid": owner.number,
            "tradeable": order.symbol,
            "direction": _DIRECTIONS[order.side],
            "quantity": plain((order.qty or Decimal(0)) - filled),
            "filled": plain(filled),
            "timestamp": milliseconds(order.submitted_us),
            "limitPrice": _text(grid, request.limit),
            "orderType": _TYPES.get(wire_format.order_type(request), request.type.capitalize()),
            "clientId": request.client_order_id or "",
            "reduceOnly": request.reduce_only,
            "lastUpdateTimestamp": milliseconds(order.updated_us),
            "spotData": None,
        }

    def _trigger(self, owner: Account, order: Order, filled: Decimal) -> Event:
        shown = self._order(owner, order, filled)
        del shown["filled"], shown["spotData"]
        options = {
            "triggerPrice": _text(self._engine.market.grids[order.symbol], order.stop),
            "triggerSide": "Above" if order.side > 0 else "Below",
            "triggerSignal": SIGNALS[order.request.trigger],
        }
        return {**shown, "triggerOptions": options}

    def _execution_events(self, owner: Account, page: HistoryPage) -> Iterator[tuple[int, int, Event]]:
        history = owner.activities
        for index in range(len(history) - 1, -1, -1):
            settled = history[index]
            if settled.at_us < page.since_us:
                return
            if isinstance(settled, Fill) and page.symbol in ("", settled.order.symbol):
                event = {"Execution": {"execution": self._execution(owner, settled), "takerReducedQuantity": ""}}
                uid = uuid_of(owner.number, "event of", settled.execution_id)
                yield index, settled.at_us, {"uid": uid, "timestamp": milliseconds(settled.at_us), "event": event}

    def _execution(self, owner: Account, fill: Fill) -> Event:
        grid, order = self._engine.market.grids[fill.order.symbol], fill.order
        settled = fill.settled
        before = self._order(owner, order, fill.cum_qty - fill.qty)
        # An order may have been made smaller since.
        before["quantity"] = plain(fill.leaves_qty + fill.qty)
        fee = settled.fee if settled is not None and settled.fee is not None else Decimal(0)
        value = grid.notional(fill.qty, fill.price)
        return {
            "uid": fill.execution_id,
            "order": before,
            "timestamp": milliseconds(fill.at_us),
            "quantity": plain(fill.qty),
            "price": _text(grid, fill.price),
            "markPrice": _text(grid, self.mark(order.symbol, fill.at_us) or fill.price),
            "limitFilled": settled is not None and settled.role == MAKER,
            "usdValue": plain(value.quantize(Decimal("0.01"))),
            "orderData": {
                "fee": plain(fee),
                "positionSize": plain(fill.position_qty),
                "fillType": wire_format.fill_type(fill),
                "feeCalculationInfo": [],
            },
        }

    def mark(self, symbol: str, at_us: int) -> int | None:
        """Return a symbol's mark price at a moment, or None before it has a price."""
        last = self._engine.market.price(symbol, at_us)
        return None if last is None else self._engine.market.mark(symbol, last, at_us)


def _order_event(order: Event, reason: str) -> Event:
    return {"order": order, "reason": reason, "reducedQuantity": "", "algoId": ""}


def _change(order: Order) -> str:
    """Return why an order changed: its position limited it to a smaller size, or its owner edited it."""
    return "edited_by_user" if order.qty == order.request.qty else "reduced_to_position"


def _why(order: Order) -> str:
    if order.why:
        return order.why
    waits_for_nobody = order.request.time_in_force == "ioc"
    return "ioc_order_failed_because_it_would_not_be_executed" if waits_for_nobody else "cancelled_by_user"


def _text(grid: Grid, units: int | None) -> str:
    return "0" if units is None else plain(grid.usd(units))


CASH = "usd"
TRADE, HOURLY, OTHER = "futures trade", "funding rate change", "transfer"
_FORCED = {LIQUIDATION: "futures liquidation", ASSIGNMENT: "futures assignor"}
MOST_ROWS = 100_000
_ZERO = Decimal(0)

Row = dict[str, Any]


class Booked:
    """The account-log rows of one account, for the part of its history that has been read."""

    def __init__(self, reads: HistoryReads, owner: Account) -> None:
        self.owner = owner
        self.rows: list[tuple[int, Row]] = []
        self._reads = reads
        self._read = 0
        moved = sum((activity.net_amount for activity in owner.activities), _ZERO)
        self._cash = owner.cash - moved

    def follow(self) -> None:
        """Add the rows for what happened since the last call."""
        history = self.owner.activities
        while self._read < len(history):
            activity = history[self._read]
            following = history[self._read + 1] if self._read + 1 < len(history) else None
            self._read += 1
            if isinstance(activity, Activity) and activity.kind == FUNDING and _goes_with(activity, following):
                assert isinstance(following, Fill)
                self._add_trade(following, activity.net_amount)
                self._read += 1
            elif isinstance(activity, Fill):
                self._add_trade(activity, _ZERO)
            else:
                assert isinstance(activity, Activity)
                self._add_entry(activity)

    def _add_trade(self, fill: Fill, funded: Decimal) -> None:
        settled, symbol, grid = fill.settled, fill.order.symbol, self._reads.grid(fill.order.symbol)
        assert settled is not None
        fee, liquidated = settled.fee or _ZERO, settled.role == LIQUIDATION
        qty_before, before, _ = fill.before
        common = {
            "info": _FORCED.get(settled.role, TRADE),
            "contract": symbol.lower(),
            "trade_price": wire_format.price(grid, fill.price),
            "mark_price": wire_format.price(grid, self._reads.mark(symbol, fill.at_us) or fill.price),
            "execution": fill.execution_id,
            "collateral": CASH,
        }
        cash = {
            "fee": number(_ZERO if liquidated else fee),
            "liquidation_fee": number(fee) if liquidated else None,
            "realized_pnl": number(settled.realized),
            "realized_funding": number(funded),
        }
        self._add(fill.at_us, CASH, self._cash, self._cash + funded + fill.net_amount, common | cash)
        self._cash += funded + fill.net_amount
        cost = settled.cost + settled.realized + grid.notional(fill.shares, fill.price)
        after = fill.position_qty
        averages = {
            "old_average_entry_price": average(before) if qty_before else None,
            "new_average_entry_price": average(cost / (after * grid.multiplier)) if after else None,
        }
        self._add(fill.at_us, symbol.lower(), qty_before, after, common | averages)

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
        index = len(self.rows) + 1
        row = {
            "id": index,
            "date": iso(at_us),
            "asset": asset,
            "booking_uid": uuid_of(self.owner.number, "booking", index),
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
"""The fields of a row that are null unless they are set."""


def _goes_with(entry: Activity, following: object) -> bool:
    """Return True if funding was booked because of the fill that follows it."""
    is_trade = isinstance(following, Fill) and following.order.symbol == entry.symbol
    return is_trade and isinstance(following, Fill) and following.at_us == entry.at_us and entry.at_us % HOUR != 0


class AccountLog:
    """Handles requests for the account log."""

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
        """Return rows between two times and two ids, all inclusive, the newest first unless requested otherwise."""
        query, count = call.query, self.count(call)
        rows = self.rows(owner)
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

    def rows(self, owner: Account) -> list[tuple[int, Row]]:
        """Return all rows of an account with their times, oldest first."""
        booked = self._booked.get(owner.number)
        if booked is None or booked.owner is not owner:
            # A script that shows an earlier account shows another object.
            booked = self._booked[owner.number] = Booked(self._reads, owner)
        booked.follow()
        return booked.rows


def _first(rows: Iterator[Row], count: int) -> Iterator[Row]:
    for index, row in enumerate(rows):
        if index == count:
            return
        yield row
