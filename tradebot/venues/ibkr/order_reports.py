"""Combine open orders, completed orders and executions, because none of these lists is enough alone."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct, field

from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.model.account import Activity, ActivityKind, Corrects
from tradebot.model.candidate import Side
from tradebot.model.instrument import AssetClass
from tradebot.model.intent import stop_of
from tradebot.model.order import Fee, Fill, Order, OrderClass, OrderStatus, OrderType, TimeInForce, fee_id
from tradebot.model.struct_tools import replace
from tradebot.venues.ibkr.capabilities import IBKR, INACTIVE, LIVES, STATUSES, TYPES
from tradebot.venues.ibkr.wrapper import ReportedStatus

SIDES: Mapping[str, Side] = {"BUY": Side.BUY, "SELL": Side.SELL, "BOT": Side.BUY, "SLD": Side.SELL}
ASSETS: Mapping[str, AssetClass] = {"FUT": AssetClass.FUTURE, "STK": AssetClass.US_EQUITY, "OPT": AssetClass.US_OPTION}
_HIGHEST = Decimal(10) ** 15
_REJECTED, _FILLED = "rejected", "Filled"
_FIRST, _MOST = "0001", 100
"""The revision of an uncorrected execution, which ends its id, and a number above any revision."""


def number(name: str, value: object) -> Decimal:
    """Parse a number from the library; raise RowError for anything else."""
    try:
        decimal = Decimal(str(value))
    except ArithmeticError as error:
        raise RowError(name, "is not a number") from error
    if not decimal.is_finite() or abs(decimal) > _HIGHEST:
        raise RowError(name, "is missing or out of range")
    return decimal


def positive(name: str, value: object) -> Decimal:
    """Parse a number above zero; raise RowError for anything else."""
    amount = number(name, value)
    if amount <= 0:
        raise RowError(name, f"is not above zero: {amount}")
    return amount


class ReportedExecution(Struct, frozen=True):
    """One execution as first reported, and its later corrections, which replace it."""

    first: Fill
    order_ref: str
    revisions: tuple[tuple[str, Decimal, Decimal, datetime], ...]
    """The last part of the id, quantity, price and time of each row, the newest last."""

    @property
    def quantity(self) -> Decimal:
        return self.revisions[-1][1]

    @property
    def worth(self) -> Decimal:
        return self.quantity * self.revisions[-1][2]

    @property
    def correction(self) -> Activity | None:
        """Return the current values of a corrected execution, even if its earlier values were never reported."""
        part, quantity, price, at = self.revisions[-1]
        name, number = self.first.activity_id, int(part)
        if part <= _FIRST:
            return None
        spans = range(2, number), range(number + 1, _MOST)
        earlier, later = (tuple(_correction(name, execution) for execution in span) for span in spans)
        kind = ActivityKind.CORRECTION
        return Activity(
            _correction(name, number),
            kind.value,
            "",
            self.first.symbol,
            quantity,
            price,
            Decimal(0),
            at,
            kind,
            corrects=Corrects(name, earlier, later),
        )


def _correction(name: str, number: int) -> str:
    """Return the id of an execution's correction, given the execution's name and the revision."""
    return f"correction:{name}.{number:0{len(_FIRST)}}"


def executions(rows: Iterable[tuple[Any, Any]], account: str, tally: DriftTally) -> tuple[list[ReportedExecution], int]:
    """Return the executions of an account, oldest first, and the number of unreadable rows."""
    by_name, unread = defaultdict[str, dict[str, tuple[Fill, str]]](dict), 0
    for contract, report in rows:
        if report.acctNumber != account:
            continue
        try:
            name, part = parts_of(str(report.execId))
            by_name[name][part] = parse_fill(name, contract, report), str(report.orderRef or "")
        except RowError as error:
            tally.note("execution", error.field_name, f"row refused: {error.problem}")
            unread += 1
    reported_executions = []
    for parts in by_name.values():
        rows_of = sorted(parts.items())
        _, (first, ref) = rows_of[0]
        revisions = tuple((part, fill.quantity, fill.price, fill.at) for part, (fill, _) in rows_of)
        reported_executions.append(ReportedExecution(first, ref, revisions))
    return sorted(reported_executions, key=lambda execution: (execution.first.at, execution.first.activity_id)), unread


def parts_of(exec_id: str) -> tuple[str, str]:
    """Split an execution's id into its name and revision; a correction has a higher revision."""
    name, dot, part = exec_id.rpartition(".")
    if not dot or not part.isdecimal() or not name:
        raise RowError("execId", "doesn't end in a revision")
    return name, part.rjust(len(_FIRST), "0")


def parse_fill(name: str, contract: Any, report: Any) -> Fill:
    """Parse one execution. Its commission arrives separately, so it is unknown here."""
    side = SIDES.get(str(report.side))
    if side is None:
        raise RowError("side", "is neither BOT nor SLD")
    if not report.permId:
        raise RowError("permId", "is missing")
    return Fill(
        activity_id=name,
        venue_order_id=str(report.permId),
        symbol=str(contract.localSymbol),
        side=side,
        quantity=positive("shares", report.shares),
        price=positive("price", report.price),
        at=report.time.astimezone(UTC),
        multiplier=positive("multiplier", contract.multiplier or 1),
        fee=Fee(None),
        liquidation=bool(report.liquidation),
    )


def fees(executions: Iterable[ReportedExecution], commissions: Mapping[str, Any], tally: DriftTally) -> list[Activity]:
    """Return commissions as activities. A commission in another currency is counted in the tally and left out."""
    paid, newest = [], dict[str, Any]()
    for exec_id in sorted(commissions):
        newest[exec_id.rpartition(".")[0]] = commissions[exec_id]
    for execution in executions:
        report = newest.get(execution.first.activity_id)
        if report is None:
            continue
        if report.currency != IBKR.currency:
            tally.note("commission", "currency", f"is not {IBKR.currency}: {report.currency}")
            continue
        try:
            amount = number("commission", report.commission)
        except RowError as error:
            tally.note("commission", error.field_name, error.problem)
            continue
        kind, fill = ActivityKind.COMMISSION, execution.first
        paid.append(
            Activity(
                fee_id(fill.activity_id),
                kind.value,
                kind.value,
                fill.symbol,
                None,
                None,
                -amount,
                fill.at,
                kind,
                fill_id=fill.activity_id,
            )
        )
    return paid


class OrderReports(Struct, frozen=True):
    """All orders by venue id, most recently reported last; `unreadable` counts unreadable rows.

    `open` has the ids of orders that the venue lists as open. `own` has the data needed to change the orders that our
    client id sent: order id, contract and order.
    """

    orders: Mapping[str, Order]
    open: frozenset[str]
    own: Mapping[str, tuple[int, Any, Any]]
    executions: Sequence[ReportedExecution] = ()
    unreadable: int = 0
    refs: Mapping[str, str] = field(default_factory=dict)

    def by_client_id(self, name: str, tally: DriftTally) -> Order | None:
        """Return the order with our client order id.

        Several orders with the same id count as drift; of these, return one that we sent, or else the newest.
        """
        orders = [order for order in self.orders.values() if order.client_order_id == name]
        if len(orders) > 1:
            ids = ", ".join(sorted(order.venue_id for order in orders))
            tally.note("order", "orderRef", f"belongs to {len(orders)} orders: {ids}")
        id_groups: tuple[Collection[str], ...] = (self.own, self.open)
        return max(
            orders,
            key=lambda report: (*(report.venue_id in ids for ids in id_groups), int(report.venue_id)),
            default=None,
        )


def merge_order_reports(
    opened: Sequence[Any],
    completed: Sequence[Any],
    lists: tuple[Sequence[ReportedExecution], int],
    mine: tuple[str, int],
    tally: DriftTally,
) -> OrderReports:
    """Combine the open orders, completed orders and executions of an account and client id."""
    account, client_id = mine
    words = {row.perm_id: row for row in opened if isinstance(row, ReportedStatus)}
    counted = defaultdict[str, list[ReportedExecution]](list)
    for execution in lists[0]:
        counted[execution.first.venue_order_id].append(execution)
    orders, own, refs, listed, unread = (
        dict[str, Order](),
        dict[str, tuple[int, Any, Any]](),
        dict[str, str](),
        set(),
        0,
    )
    rows = [row for row in completed if row[1].account in (account, "")]
    live = [row for row in opened if not isinstance(row, ReportedStatus) and row[1].account in (account, "")]
    for contract, order, state in (*rows, *live):
        try:
            venue_id = str(int(positive("permId", order.permId)))
            read = build_order(contract, order, state, words.get(order.permId), counted.get(venue_id, ()), tally)
        except RowError as error:
            tally.note("order", error.field_name, f"row refused: {error.problem}")
            unread += 1
            continue
        orders[venue_id], refs[venue_id] = read, str(order.orderRef or "")
    for contract, order, _ in live:
        if str(order.permId) in orders:
            listed.add(str(order.permId))
            if order.clientId == client_id and order.orderId > 0:
                own[str(order.permId)] = order.orderId, contract, order
    return OrderReports(_with_parents(orders, refs), frozenset(listed), own, tuple(lists[0]), unread + lists[1], refs)


def _with_parents(orders: Mapping[str, Order], refs: Mapping[str, str]) -> Mapping[str, Order]:
    """Link each stop to its entry: the stop's client order id names the entry's.

    If a message arrived twice, two entries have the same client order id. A stop then belongs to the newest entry that
    is older than the stop.
    """
    by_mark = defaultdict[str, list[int]](list)
    for venue_id, ref in refs.items():
        by_mark[stop_of(ref)].append(int(venue_id))
    older = {
        stop: [order for order in by_mark[ref] if order < int(stop)] for stop, ref in refs.items() if ref in by_mark
    }
    parents = {stop: str(max(entries)) for stop, entries in older.items() if entries}
    leading = set(parents.values())
    linked = dict(orders)
    for venue_id in leading:
        linked[venue_id] = replace(orders[venue_id], order_class=OrderClass.BRACKET)
    for venue_id, parent in parents.items():
        order, entry = orders[venue_id], orders[parent]
        waits = order.status is OrderStatus.NEW and not entry.status.terminal and not entry.filled_quantity
        status = OrderStatus.HELD if waits else order.status
        linked[venue_id] = replace(order, parent=parent, order_class=OrderClass.BRACKET, status=status)
    return linked


def build_order(
    contract: Any,
    order: Any,
    state: Any,
    reported: ReportedStatus | None,
    counted: Sequence[ReportedExecution],
    tally: DriftTally,
) -> Order:
    """Build an order. Its filled quantity is the larger of the executions' sum and the reported quantity."""
    side = SIDES.get(str(order.action))
    if side is None:
        raise RowError("action", "is neither BUY nor SELL")
    executed = sum((execution.quantity for execution in counted), Decimal(0))
    worth = sum((execution.worth for execution in counted), Decimal(0))
    claimed = max(
        _quantity_or_zero(reported.filled if reported else 0),
        _quantity_or_zero(getattr(order, "filledQuantity", 0)),
    )
    word = reported.word if reported else str(state.status)
    # For an ended order, the venue reports only the filled quantity and not the order's size.
    size = _quantity_or_zero(order.totalQuantity) or (claimed if word == _FILLED else None) or None
    # The list of executions may be incomplete, except for corrected ones. A sum above the order's size isn't believed.
    believed = (size is None or claimed <= size) and not any(execution.correction for execution in counted)
    filled = max(executed, claimed) if believed else executed
    kind = TYPES.get(str(order.orderType), OrderType.UNKNOWN)
    times = [execution.revisions[-1][3] for execution in counted]
    times += [ended for ended in [_ended_at(str(getattr(state, "completedTime", "")))] if ended]
    stops = kind in (OrderType.STOP, OrderType.STOP_LIMIT)
    status = _status(word, size, filled, claimed, str(getattr(state, "completedStatus", "")), tally)
    if size is None and not status.terminal and word != INACTIVE:
        raise RowError("totalQuantity", "is not above zero")
    return Order(
        venue_id=str(order.permId),
        client_order_id=str(order.orderRef or ""),
        symbol=str(contract.localSymbol),
        asset_class=ASSETS.get(str(contract.secType), AssetClass.UNKNOWN),
        side=side,
        quantity=size,
        filled_quantity=filled,
        filled_average_price=worth / executed if executed else None,
        order_type=kind,
        limit_price=number("lmtPrice", order.lmtPrice) if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
        time_in_force=LIVES.get(str(order.tif), TimeInForce.UNKNOWN),
        status=status,
        submitted_at=None,
        updated_at=max(times, default=None),
        stop_price=number("auxPrice", order.auxPrice) if stops else None,
    )


def _ended_at(text: str) -> datetime | None:
    """Parse the time at which an order ended; None if it is missing or unreadable."""
    moment, _, zone = text.rpartition(" ")
    try:
        return datetime.strptime(moment, "%Y%m%d %H:%M:%S").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, ZoneInfoNotFoundError):
        return None


def _quantity_or_zero(value: object) -> Decimal:
    """Parse a quantity; zero if it is missing, or if it is the library's number for a missing value."""
    try:
        filled = number("filled", value or 0)
    except RowError:
        return Decimal(0)
    return max(filled, Decimal(0))


def _status(
    word: str, size: Decimal | None, filled: Decimal, claimed: Decimal, completed: str, tally: DriftTally
) -> OrderStatus:
    status = STATUSES.get(word)
    if status is None or word == INACTIVE:
        if completed.lower().startswith(_REJECTED) and not filled:
            return OrderStatus.REJECTED
        if word != INACTIVE:
            tally.note("order", "status", f"has an unknown value: {word}")
        return OrderStatus.UNKNOWN
    if size is not None and filled >= size:
        return OrderStatus.FILLED
    if status is OrderStatus.FILLED or (status.terminal and filled < claimed):
        # Its executions haven't arrived yet.
        return OrderStatus.UNKNOWN
    if status is OrderStatus.CANCELED and completed.lower().startswith(_REJECTED) and not filled:
        return OrderStatus.REJECTED
    return OrderStatus.PARTIALLY_FILLED if filled and status is OrderStatus.NEW else status
