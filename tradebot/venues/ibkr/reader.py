"""Read account, prices, orders and executions through a Gateway; nothing here places an order."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from xml.parsers import expat
from zoneinfo import ZoneInfo

from tradebot.adapters.time.calendar import exchange_sessions
from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.account import Account, Activity, BrokerPosition, BrokerView
from tradebot.model.bar import Depth, Quote, Session, VenueClock
from tradebot.model.candidate import Purpose
from tradebot.model.instrument import AssetClass, Hours, Listing, MarginLevel
from tradebot.model.intent import Intent, Operation, is_our_order_id
from tradebot.model.order import Executed, Fee, Fill, Order, OrdersReported, TimeInForce
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.venue import End, Proof, Settlement
from tradebot.venues.ibkr import prices
from tradebot.venues.ibkr.capabilities import ARRIVES_WITHIN, IBKR
from tradebot.venues.ibkr.link import IbkrConnection, IbkrVenue
from tradebot.venues.ibkr.order_reports import (
    ASSETS,
    SIDES,
    OrderReports,
    executions,
    fees,
    merge_order_reports,
    number,
    parts_of,
    positive,
)

T = TypeVar("T")
VIEW_TRIES = 3
FAR, DAYS = timedelta(days=8), timedelta(days=1)
_VALUES = {"NetLiquidation", "UnrealizedPnL", "PreviousDayEquityWithLoanValue", "AvailableFunds"}
_VALUES |= {"InitMarginReq", "MaintMarginReq", "BuyingPower"}


class IbkrReader:
    """Reads one account and the prices of its symbols.

    After each `quotes` call, `rejected_quotes` says why symbols are missing; after each `fills` call,
    `unreadable_fills` counts the unreadable rows. Differences from the known shapes are counted in the tally.
    """

    capabilities = IBKR

    def __init__(self, venue: IbkrVenue, tally: DriftTally) -> None:
        self._venue, self._tally = venue, tally
        self.rejected_quotes: Mapping[str, str] = {}
        self._heard: dict[str, tuple[float, datetime]] = {}
        self.unreadable_fills = 0

    def _read(self, ask: Callable[[IbkrConnection], Awaitable[T]]) -> T:
        self._venue.before_read()
        return self._venue.link.read(ask)

    def clock(self) -> VenueClock:
        """Return the venue's time and its next open and close, from the venue's own hours or the calendar."""
        now, hours = self._hours(IBKR.calendar)
        today = IBKR.day.date_of(now)
        sessions = _sessions(today - DAYS, today + FAR, IBKR.calendar, hours)
        closes = [session.close for session in sessions if session.close > now]
        opens = [session.open for session in sessions if session.open > now]
        if not opens or not closes:
            raise TemporaryError(f"the calendar {IBKR.calendar} has no next session")
        return VenueClock(now, any(session.contains(now) for session in sessions), opens[0], closes[0])

    def account(self) -> Account:
        """Return the account's figures. Cash is the account's net value minus its unrealized profit."""
        return self._account(*self._read(_values))

    def _account(self, account: str, rows: Sequence[Any]) -> Account:
        self._venue.check_account(account)
        values = {
            row[0]: row[1]
            for row in rows
            if len(row) == 4 and row[0] in _VALUES and row[2] == IBKR.currency and row[3] == account
        }
        try:
            missing = next((name for name in sorted(_VALUES) if name not in values), None)
            if missing:
                raise RowError(missing, f"is missing in {IBKR.currency}")
            of = {name: number(name, values[name]) for name in _VALUES}
        except RowError as error:
            hint = "the account's base currency has to be USD"
            raise OperatorError(f"the account's figures can't be used: {error}", hint) from error
        return Account(
            number=account,
            status="ACTIVE",
            cash=of["NetLiquidation"] - of["UnrealizedPnL"],
            equity=of["NetLiquidation"],
            last_equity=of["PreviousDayEquityWithLoanValue"],
            buying_power=of["BuyingPower"],
            blocked=(),
            settlement=Settlement.MARGINED,
            initial_margin=of["InitMarginReq"],
            maintenance_margin=of["MaintMarginReq"],
            available=of["AvailableFunds"],
        )

    def view(self) -> BrokerView:
        """Return account, positions and open orders; the orders are read first and last.

        Messages dropped since the last view count as unreadable, because this view may lack their content.
        """
        steady, after = False, self._read_reports()
        for _ in range(VIEW_TRIES):
            before = after
            position_rows, (account, values) = self._read(lambda line: line.positions()), self._read(_values)
            after = self._read_reports()
            if steady := _ours(before) == _ours(after):
                break
        positions, lost = self._positions(position_rows, values)
        link = self._venue.link
        if dropped := link.dropped_count:
            self._tally.note("socket", "message", f"couldn't be decoded: {link.last_problem or 'cut off'}")
            link.mark_reported(dropped)
        orders = tuple(order for venue_id, order in after.orders.items() if venue_id in after.open)
        unreadable = after.unreadable + lost + dropped
        return BrokerView(self._account(account, values), positions, orders, unreadable, steady)

    def position(self, symbol: str) -> BrokerPosition | None:
        """Return the venue's position in one symbol; None if the venue has none."""
        positions, lost = self._positions(self._read(lambda line: line.positions()), self._read(_values)[1])
        broker_position = next((position for position in positions if position.symbol == symbol), None)
        if broker_position is None and lost:
            raise TemporaryError(f"{lost} positions can't be read, so nothing is known about {symbol}")
        return broker_position

    def _positions(self, rows: Iterable[Any], values: Iterable[Any]) -> tuple[tuple[BrokerPosition, ...], int]:
        marks = {row[0]: row[1] for row in values if len(row) == 2}
        by_symbol, lost = dict[str, BrokerPosition](), 0
        for _, contract, size, cost in rows:
            try:
                quantity = number("position", size)
                if not quantity:
                    continue
                broker_position = _position(contract, quantity, cost, marks.get(contract.conId))
                if by_symbol.setdefault(broker_position.symbol, broker_position) != broker_position:
                    raise RowError("position", f"is reported twice, with different values: {broker_position.symbol}")
            except RowError as error:
                self._tally.note("position", error.field_name, f"row refused: {error.problem}")
                lost += 1
        return tuple(by_symbol.values()), lost

    def _read_reports(self) -> OrderReports:
        """Fetch open orders, completed orders and executions, in the order in which an order moves through them."""
        link = self._venue.link
        before = link.dropped_count
        account, opened, completed, rows, _ = self._read(_everything)
        executed = executions(rows, account, self._tally)
        lists = merge_order_reports(opened, completed, executed, (account, self._venue.place[2]), self._tally)
        return OrderReports(
            lists.orders,
            lists.open,
            lists.own,
            lists.executions,
            lists.unreadable + link.dropped_count - before,
            lists.refs,
        )

    def order(self, client_order_id: str) -> Order | None:
        """Return the newest order with this client order id."""
        order_reports = self._read_reports()
        return _require_readable(order_reports, order_reports.by_client_id(client_order_id, self._tally))

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        """Determine what became of a request from open orders, completed orders and executions together.

        The venue drops completed orders and executions at the end of its day. After that, their absence proves nothing
        about an entry. An exit that is no longer open counts as ended, because the next exit checks the position, and
        any shares that this one sold are missing there.
        """
        order_reports, name = self._read_reports(), intent.client_order_id
        if intent.operation is not Operation.CANCEL:
            order = order_reports.by_client_id(name, self._tally)
            if order is not None:
                return Proof.of(order)
        if order_reports.unreadable:
            return Proof(End.UNKNOWN, "some of the broker's rows can't be read and might be about it")
        executed = [execution for execution in order_reports.executions if execution.order_ref == name]
        if executed:
            return Proof(End.UNKNOWN, "it has executions, but no list of orders contains it")
        until = intent.at + ARRIVES_WITHIN
        if now <= until:
            return Proof(End.UNKNOWN, f"it may show up until {until:%H:%M:%S}")
        if IBKR.day.date_of(intent.at) != IBKR.day.date_of(now):
            if intent.operation is Operation.SUBMIT and intent.purpose is not Purpose.OPEN:
                return Proof(End.OVER, "it is an exit of an earlier day and no longer open")
            return Proof(
                End.UNKNOWN, ("it is of an earlier day, and the venue lists only today's ended orders and executions")
            )
        return Proof(End.OVER, "neither open orders, completed orders nor executions contain it")

    def has_outlived(self, order: Order, sessions: Sequence[Session], now: datetime) -> str:
        """Return the evidence that a DAY order's session is over: by the next day, no list contains the order
        anymore.
        """
        sent = order.submitted_at
        if order.time_in_force is not TimeInForce.DAY or sent is None:
            return ""
        closes = min((session.close for session in sessions if session.close > sent), default=None)
        if closes is None or now < closes + ARRIVES_WITHIN:
            return ""
        return f"it is for one day, and its session closed at {closes:%Y-%m-%d %H:%M} UTC"

    def follower(self, venue_id: str) -> Order | None:
        """Return the order with this venue id; at this venue, an order keeps its id when it is changed."""
        order_reports = self._read_reports()
        return _require_readable(order_reports, order_reports.orders.get(venue_id))

    def order_reports(self) -> OrderReports:
        """Return all orders, with the data needed to change or cancel them."""
        return self._read_reports()

    def legs(self, venue_id: str) -> Sequence[Order]:
        """Return the stop attached to an entry; nothing if it has none."""
        return [order for order in self._read_reports().orders.values() if order.parent == venue_id]

    def ended(self, since: datetime) -> Sequence[Order]:
        """Return today's orders that have ended since `since`, oldest first; those without a time come last."""
        orders = [order for order in self._read_reports().orders.values() if order.status.terminal]
        ended = [order for order in orders if order.updated_at is None or order.updated_at >= since]
        return sorted(ended, key=lambda order: (order.updated_at is None, order.updated_at or since))

    def orders_of(self, symbols: Sequence[str]) -> OrdersReported:
        """Return the orders in these symbols, newest first."""
        lists = self._read_reports()
        orders = sorted(
            (order for order in lists.orders.values() if order.symbol in symbols),
            key=lambda order: -int(order.venue_id),
        )
        return OrdersReported(tuple(orders), lists.unreadable)

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        """Return today's executions after a time, oldest first, without repeats."""
        link = self._venue.link
        before = link.dropped_count
        account, rows, _ = self._read(_executions)
        reported_executions, unread = executions(rows, account, self._tally)
        self.unreadable_fills = unread + link.dropped_count - before
        fills = [execution.first for execution in reported_executions if after is None or execution.first.at > after]
        return sorted(fills, key=lambda fill: (fill.at, fill.activity_id))

    def activities(self, after: datetime) -> Sequence[Activity]:
        """Return today's known commissions, and the current values of corrected executions, oldest first."""
        account, rows, commissions = self._read(_executions)
        executed, _ = executions(rows, account, self._tally)
        every = (*fees(executed, commissions, self._tally), *(execution.correction for execution in executed))
        return sorted((row for row in every if row and row.at > after), key=lambda activity: (activity.at, activity.id))

    def calendar(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        """Return the sessions of a calendar. The next days' sessions come from the venue."""
        name = calendar or IBKR.calendar
        _, hours = self._hours(name)
        return _sessions(start, end, name, hours)

    def _hours(self, calendar: str) -> tuple[datetime, Hours | None]:
        """Return the venue's time and its hours for a calendar."""

        async def ask(line: IbkrConnection) -> tuple[datetime, Hours | None]:
            now = datetime.fromtimestamp(await line.time(), UTC)
            return now, await prices.calendar_hours(line, calendar, now)

        return self._read(ask)

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        """Return the listings of these contracts; a contract without exactly one match is left out."""
        now, rows = self._read(lambda line: self._list_contracts(line, tuple(dict.fromkeys(symbols))))
        by_symbol = {}
        for symbol, details, levels in rows:
            try:
                by_symbol[symbol] = prices.listing(details, now, levels)
            except RowError as error:
                self._tally.note("listing", error.field_name, f"row refused: {error.problem}")
        return by_symbol

    async def _list_contracts(
        self, line: IbkrConnection, symbols: Sequence[str]
    ) -> tuple[datetime, Iterable[tuple[str, Any, tuple[MarginLevel, ...]]]]:
        """Return the venue's time, and the details and margin levels of each contract that it has."""
        now, ticks = await prices.streaming_ticks(line, symbols)
        today = IBKR.day.date_of(now)
        details_found = [(symbol, await prices.details_of(line, symbol, today)) for symbol in ticks]
        rows = [(symbol, details) for symbol, details in details_found if details is not None]
        levels = await asyncio.gather(
            *(prices.levels(line, details, ticks[symbol], self._tally) for symbol, details in rows)
        )
        return now, [(symbol, details, level) for (symbol, details), level in zip(rows, levels, strict=True)]

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest usable quote of each symbol."""
        now, ticks = self._read(lambda line: prices.streaming_ticks(line, symbols))
        by_symbol, rejected = dict[str, Quote](), dict[str, str]()
        for symbol in symbols:
            try:
                by_symbol[symbol] = prices.quote(symbol, ticks.get(symbol), now)
            except RowError as error:
                rejected[symbol] = str(error)
        self.rejected_quotes = rejected
        self._heard.update((symbol, (ticks[symbol].seen, quote.at)) for symbol, quote in by_symbol.items())
        return by_symbol

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the current quotes; a quote without new data keeps its time."""
        rejected, before = self.rejected_quotes, dict(self._heard)
        by_symbol = self.quotes(symbols)
        self.rejected_quotes = rejected
        same = [s for s in by_symbol if s in before and self._heard[s][0] == before[s][0]]
        return {**by_symbol, **{symbol: replace(by_symbol[symbol], at=before[symbol][1]) for symbol in same}}

    def depth(self, symbol: str) -> Depth | None:
        """Return None: the order book isn't requested from this venue."""
        return None


def _position(contract: Any, quantity: Decimal, cost: object, mark: object) -> BrokerPosition:
    """Return a position; the venue's average cost of a future includes its multiplier and the commission."""
    multiplier = positive("multiplier", contract.multiplier or 1)
    price = None if mark is None else number("marketPrice", mark)
    return BrokerPosition(
        symbol=str(contract.localSymbol),
        asset_class=ASSETS.get(str(contract.secType), AssetClass.UNKNOWN),
        quantity=quantity,
        average_price=number("avgCost", cost) / multiplier,
        market_value=None if price is None else quantity * price * multiplier,
        current_price=price,
        multiplier=multiplier,
    )


def _require_readable(order_reports: OrderReports, order: Order | None) -> Order | None:
    """Return an order, or None if the venue has none; raise TemporaryError if it may be among what can't be read."""
    if order is None and order_reports.unreadable:
        raise TemporaryError(
            f"{pluralize(order_reports.unreadable, 'row')} about orders can't be read, and may be about this one"
        )
    return order


def _ours(lists: OrderReports) -> Mapping[str, Order]:
    """Return the parts of our orders that must not change while a view is read."""
    return {
        venue_id: order for venue_id, order in lists.orders.items() if is_our_order_id(lists.refs.get(venue_id, ""))
    }


async def _values(line: IbkrConnection) -> tuple[str, list[Any]]:
    return line.account, await line.values()


async def _executions(line: IbkrConnection) -> tuple[str, list[Any], Mapping[str, Any]]:
    return line.account, await line.executions(), dict(line.receiver.commissions)


async def _everything(line: IbkrConnection) -> tuple[str, list[Any], list[Any], list[Any], Mapping[str, Any]]:
    """Fetch account number, open orders, completed orders, executions and commissions, in this order.

    So an order that ends meanwhile is in the completed list, and its executions aren't missed.
    """
    opened, completed = await line.open_orders(), await line.completed_orders()
    return line.account, opened, completed, await line.executions(), dict(line.receiver.commissions)


def _sessions(start: date, end: date, calendar: str, hours: Hours | None) -> Sequence[Session]:
    usual = exchange_sessions(start, end, calendar)
    return [session for session in hours.over(usual) if start <= session.date <= end] if hours else usual


ZONE = ZoneInfo("America/New_York")
"""The time zone of statements, which don't name it. It is the default for accounts; an owner can choose another."""
_NEEDS = "include Trades in the Flex query, at level Execution with all fields, dates as yyyyMMdd and times as HHmmss"
_ROWS, _EXECUTION = frozenset({"Trade", "TradeConfirm"}), frozenset({"EXECUTION", ""})


def read(text: bytes, account: str) -> tuple[Executed, ...]:
    """Parse an account's executions, oldest first, each as last corrected; raise OperatorError if they can't be
    read.
    """
    newest = dict[str, tuple[str, Executed]]()
    try:
        for row in _rows(text, account):
            name, part = parts_of(_text(row, "ibExecID", "execID"))
            if name not in newest or part > newest[name][0]:
                newest[name] = part, Executed(_fill(name, row), row.get("orderReference", ""))
    except (expat.ExpatError, RowError) as error:
        raise OperatorError(f"the statement can't be used: {error}", _NEEDS) from error
    return tuple(sorted((row for _, row in newest.values()), key=lambda row: (row.fill.at, row.fill.activity_id)))


def _rows(text: bytes, account: str) -> list[Mapping[str, str]]:
    """Return the rows of the account's executions in futures."""
    accounts, rows = [""], list[Mapping[str, str]]()

    def begins(tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "FlexStatement":
            accounts.append(attributes.get("accountId", ""))
        level = attributes.get("levelOfDetail", "") in _EXECUTION
        if tag in _ROWS and level and attributes.get("assetCategory") == "FUT" and accounts[-1] == account:
            rows.append(attributes)

    def declares(*_: object) -> None:
        raise RowError("file", "declares entities")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EntityDeclHandler = begins, declares
    parser.Parse(text, True)
    if account not in accounts:
        raise RowError("accountId", f"has no statement of account …{account[-4:]}")
    return rows


def _fill(name: str, fields: Mapping[str, str]) -> Fill:
    side = SIDES.get(fields.get("buySell", ""))
    if side is None:
        raise RowError("buySell", "is neither BUY nor SELL")
    commission = fields.get("ibCommission") or fields.get("commission")
    currency = fields.get("ibCommissionCurrency") or fields.get("commissionCurrency") or fields.get("currency", "")
    return Fill(
        activity_id=name,
        venue_order_id=fields.get("ibOrderID") or fields.get("orderID", ""),
        symbol=_text(fields, "symbol"),
        side=side,
        quantity=abs(number("quantity", fields.get("quantity"))),
        price=positive("tradePrice", fields.get("tradePrice") or fields.get("price")),
        at=_time(_text(fields, "dateTime")),
        multiplier=positive("multiplier", fields.get("multiplier") or Decimal(1)),
        fee=Fee(-number("ibCommission", commission), currency) if commission else Fee(None),
    )


def _text(attributes: Mapping[str, str], *names: str) -> str:
    text = next((attributes[name] for name in names if attributes.get(name)), "")
    if not text:
        raise RowError(names[0], "is missing")
    return text


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(re.sub(r"\D", "", text), "%Y%m%d%H%M%S").replace(tzinfo=ZONE).astimezone(UTC)
    except ValueError as error:
        raise RowError("dateTime", f"isn't yyyyMMdd and HHmmss: {text}") from error
