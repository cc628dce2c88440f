"""Send orders through a Gateway, each once. Only the venue's own messages prove the outcome."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from tradebot.adapters.failpoint import around
from tradebot.adapters.wire.http import printable
from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.errors import TemporaryError, TradebotError
from tradebot.model.intent import TARGET_DONE, Intent, stop_of
from tradebot.model.order import Order, OrderClass, OrderStatus, OrderType, Reply, WriteOutcome
from tradebot.model.struct_tools import replace
from tradebot.ports.broker import Ending
from tradebot.venues.ibkr.capabilities import (
    CANCELED,
    CANNOT_CANCEL,
    INACTIVE,
    NO_SUCH_ORDER,
    NOT_CANCELABLE,
    NOTICES,
    READ_ONLY_WORDS,
    REDUCES,
    REFUSED,
    SENT_AS,
    SENT_LIVES,
    STATUSES,
)
from tradebot.venues.ibkr.link import IbkrConnection, IbkrVenue
from tradebot.venues.ibkr.order_reports import order_of
from tradebot.venues.ibkr.prices import contract_of
from tradebot.venues.ibkr.reader import IbkrReader
from tradebot.venues.ibkr.wrapper import GoneError, VenueError

_DOUBTED = NO_SUCH_ORDER, CANNOT_CANCEL, NOT_CANCELABLE
"""Responses to a cancel that is too late, refused, or already sent: the lists of orders determine which."""
_ENDED, _ENDING = frozenset({"ApiCancelled", "Cancelled"}), "PendingCancel"
END_WITHIN_S = 0.2
"""How long to wait for an order's end once its cancel is accepted; then the lists have to tell of it."""


class IbkrOrders:
    """Sends, changes and cancels orders of one account."""

    def __init__(self, venue: IbkrVenue, tally: DriftTally) -> None:
        self._venue, self._tally = venue, tally
        self._reader = IbkrReader(venue, tally)

    def submit(self, intent: Intent) -> Reply:
        """Send one order, with its attached stop, if any; a refused order leaves nothing working."""
        try:
            group = self._group(intent)
        except TradebotError as error:
            return Reply(WriteOutcome.REJECTED, code="not_sent", message=error.message)

        async def send(line: IbkrConnection) -> Reply:
            contract = await contract_of(line, intent.instrument.symbol)
            hung = intent.order_class is OrderClass.BRACKET
            parent = _order(line, intent, transmit=not hung)
            if group:
                parent.ocaGroup, parent.ocaType = group, REDUCES
            ids = [parent.orderId]
            if hung:
                child = _stop(line, intent, parent)
                ids.append(child.orderId)
            for number in ids:
                line.ears.listen_to(number)
            with around("ibkr.send"):
                line.client.placeOrder(parent.orderId, contract, parent)
            if hung:
                with around("ibkr.send_stop"):
                    line.client.placeOrder(child.orderId, contract, child)
            reply = await self._wait_for_replies(line, ids, intent)
            if hung and reply.outcome is not WriteOutcome.ACCEPTED:
                # Whatever the venue made of them: an entry without its stop isn't to stay.
                line.client.cancelOrder(parent.orderId)
            return reply

        return self._ask(send)

    def _group(self, intent: Intent) -> str:
        """Return the group that an order belongs to, if any; raise TradebotError if what it joins isn't there."""
        if intent.is_target:
            return self._beside(intent)
        if not intent.key.joins:
            return intent.client_order_id if intent.protects else ""
        stop = self._reader.order_reports().own.get(intent.key.joins)
        if stop is None or not stop[2].ocaGroup:
            raise TemporaryError("the stop that the exit would join doesn't rest any more")
        return str(stop[2].ocaGroup)

    def _beside(self, intent: Intent) -> str:
        """Return the group of the one stop that is as large as a target beside it, so that only one of them fills."""
        groups = {
            str(order.ocaGroup)
            for _, contract, order in self._reader.order_reports().own.values()
            if (contract.localSymbol, order.action, order.orderType)
            == (intent.instrument.symbol, intent.side.value.upper(), SENT_AS[OrderType.STOP])
            and order.totalQuantity == intent.quantity
        }
        return groups.pop() if len(groups) == 1 else ""

    def replace(self, intent: Intent) -> Reply:
        """Change the price of an order, which keeps its ids."""
        order = self._own(str(intent.target_venue_id))
        if isinstance(order, Reply):
            return order
        order_id, contract, before, _ = order

        async def send(line: IbkrConnection) -> Reply:
            changed = _order(line, intent, order_id)
            changed.orderRef, changed.parentId = before.orderRef, before.parentId
            changed.ocaGroup, changed.ocaType = before.ocaGroup, before.ocaType
            line.ears.listen_to(order_id)
            with around("ibkr.change"):
                line.client.placeOrder(order_id, contract, changed)
            return await self._wait_for_replies(line, [order_id], replace(intent, client_order_id=str(before.orderRef)))

        return self._ask(send)

    def cancel(self, intent: Ending) -> Reply:
        """Request a cancel once; an order that has already ended counts as accepted."""
        venue_id = str(intent.target_venue_id)
        target = self._own(venue_id, ending=True)
        if isinstance(target, Reply):
            return target
        order_id, _, _, order = target

        async def send(line: IbkrConnection) -> Reply:
            line.ears.listen_to(order_id)
            with around("ibkr.cancel"):
                line.client.cancelOrder(order_id)
            return await _wait_for_cancel(line, order_id, order)

        reply = self._ask(send)
        if reply.code is None or not reply.code.isdecimal() or int(reply.code) not in _DOUBTED:
            return reply
        again = self._own(venue_id, ending=True)
        if isinstance(again, Reply):
            return again
        # It is listed as open after the venue has said no.
        return reply if again[3].status is OrderStatus.PENDING_CANCEL else replace(reply, outcome=WriteOutcome.REJECTED)

    def _ask(self, send: Callable[[IbkrConnection], Any]) -> Reply:
        """Return what became of a request; it wasn't sent if the connection wasn't whole before."""
        try:
            with self._venue.link.sending() as line:
                return self._send_request(send, line)
        except TradebotError as error:
            return Reply(WriteOutcome.REJECTED, code="not_sent", message=error.message)

    def _send_request(self, send: Callable[[IbkrConnection], Any], line: IbkrConnection) -> Reply:
        try:
            reply: Reply = self._venue.link.run(send, line)
        except (VenueError, GoneError, ConnectionError, TimeoutError) as error:
            return Reply(WriteOutcome.UNKNOWN, code="no_answer", message=printable(str(error)) or "no answer")
        return reply

    def _own(self, venue_id: str, *, ending: bool = False) -> tuple[int, Any, Any, Order] | Reply:
        """Return order id, contract, message and state of an open order of this client id; or what any other is."""
        try:
            order_reports = self._reader.order_reports()
        except TradebotError as error:
            return Reply(WriteOutcome.REJECTED, code="not_sent", message=error.message)
        if venue_id in order_reports.own:
            return *order_reports.own[venue_id], order_reports.orders[venue_id]
        order = order_reports.orders.get(venue_id)
        if order is not None and order.status.terminal:
            return Reply(
                WriteOutcome.ACCEPTED if ending else WriteOutcome.REJECTED, code=TARGET_DONE, message="it has ended"
            )
        if venue_id in order_reports.open:
            return Reply(
                WriteOutcome.REJECTED, code="another_client", message="it is of another client id, or a person's"
            )
        if order is not None or order_reports.unreadable:
            return Reply(WriteOutcome.UNKNOWN, code="not_listed", message="no list says what became of it")
        return Reply(WriteOutcome.REJECTED, code="not_found", message="the venue has no such order")

    async def _wait_for_replies(self, line: IbkrConnection, ids: Sequence[int], intent: Intent) -> Reply:
        """Return what the venue says of the orders of a request, once it has said something of each, or time is up."""
        clock = asyncio.get_running_loop()
        until = clock.time() + line.patience.order
        while True:
            reply = self._judge_replies(line, ids, intent)
            remaining = until - clock.time()
            if reply is not None:
                return reply
            if line.ears.gone or remaining <= 0:
                return Reply(WriteOutcome.UNKNOWN, code="no_answer", message="the venue has not said what became of it")
            try:
                await asyncio.wait_for(line.ears.something(), remaining)
            except TimeoutError:
                continue

    def _judge_replies(self, line: IbkrConnection, ids: Sequence[int], intent: Intent) -> Reply | None:
        """Return what is proven by now; None if it is too early."""
        orders, heard = [], [line.ears.said_of(number) for number in ids]
        errors = [what for said in heard for name, what in said if name == "error" and what.code not in NOTICES]
        if errors:
            return _refusal(errors[0], whole=len(ids) == 1)
        for said in heard:
            opened = [what for name, what in said if name == "open" and what[1].permId]
            words = [what.word for name, what in said if name == "status"] or [reply[2].status for reply in opened]
            if not opened or words[-1] == INACTIVE:
                return None
            try:
                orders.append(_as_told(opened[-1], words[-1], self._tally))
            except RowError as error:
                return Reply(WriteOutcome.UNKNOWN, code="unreadable", message=str(error))
        first, *legs = orders
        if not intent.asked_for(first):
            mismatch = f"it is another order: {first.client_order_id}"
            # A change is told by the order as it is after it; before that, the old one may be told once more.
            return None if intent.target_venue_id else Reply(WriteOutcome.UNKNOWN, code="mismatch", message=mismatch)
        submitted = first if intent.target_venue_id else replace(first, submitted_at=intent.at)
        if not legs:
            return Reply(WriteOutcome.ACCEPTED, submitted)
        entry = replace(submitted, order_class=OrderClass.BRACKET)
        waits = OrderStatus.HELD if not first.filled_quantity and not first.status.terminal else OrderStatus.NEW
        stops = tuple(
            replace(
                leg,
                parent=first.venue_id,
                order_class=OrderClass.BRACKET,
                submitted_at=intent.at,
                status=waits if leg.status is OrderStatus.NEW else leg.status,
            )
            for leg in legs
        )
        return Reply(WriteOutcome.ACCEPTED, entry, legs=stops)


def _refusal(error: VenueError, *, whole: bool) -> Reply:
    """Return a rejection for the numbers that prove one; a part of a bracket that is refused proves nothing alone."""
    refused = error.code in REFUSED and whole
    words = printable(error.words)
    if READ_ONLY_WORDS in words.lower():
        words = f"{words}: look at the Gateway's settings: API, Settings, Read-Only API"
    return Reply(WriteOutcome.REJECTED if refused else WriteOutcome.UNKNOWN, code=str(error.code), message=words)


def _as_told(row: tuple[Any, Any, Any], word: str, tally: DriftTally) -> Order:
    """Return an order as the venue told it; what it has filled, executions will say."""
    contract, order, state = row
    state.status = word if word in STATUSES else state.status
    return order_of(contract, order, state, None, (), tally)


async def _wait_for_cancel(line: IbkrConnection, order_id: int, order: Order) -> Reply:
    """Return what the venue says of a cancel, with the order as it ended once it says so.

    No list may have that for long, and what takes the order's place waits for it.
    """
    clock, accepted = asyncio.get_running_loop(), False
    until = clock.time() + line.patience.order
    while True:
        said = line.ears.said_of(order_id)
        if ended := next((what for name, what in said if name == "status" and what.word in _ENDED), None):
            filled = max(order.filled_quantity, Decimal(str(ended.filled)))
            over = replace(order, status=OrderStatus.CANCELED, filled_quantity=filled)
            return Reply(WriteOutcome.ACCEPTED, over if order.quantity and filled < order.quantity else None)
        for name, what in said:
            if (name == "status" and what.word == _ENDING) or (name == "error" and what.code == CANCELED):
                # The state that it ended in comes at once after this, or a little before.
                accepted, until = True, min(until, clock.time() + END_WITHIN_S)
            elif name == "error" and what.code not in NOTICES:
                unsure = what.code in _DOUBTED or what.code not in REFUSED
                outcome = WriteOutcome.UNKNOWN if unsure else WriteOutcome.REJECTED
                return Reply(outcome, code=str(what.code), message=printable(what.words))
        remaining = until - clock.time()
        if line.ears.gone or remaining <= 0:
            unheard = Reply(WriteOutcome.UNKNOWN, code="no_answer", message="the venue has not said what became of it")
            return Reply(WriteOutcome.ACCEPTED) if accepted else unheard
        try:
            await asyncio.wait_for(line.ears.something(), remaining)
        except TimeoutError:
            continue


def _order(line: IbkrConnection, intent: Intent, order_id: int | None = None, *, transmit: bool = True) -> Any:
    """Return the order of an intent, as the library sends it."""
    from ib_async.order import Order as Message

    order = Message(
        orderId=line.client.getReqId() if order_id is None else order_id,
        action=intent.side.value.upper(),
        totalQuantity=_plain(intent.quantity),
        orderType=SENT_AS[intent.order_type],
        tif=SENT_LIVES[intent.time_in_force],
        account=line.account,
        orderRef=intent.client_order_id,
        # Stops act whenever the market is open, and not only in the hours of the pits.
        outsideRth=True,
        transmit=transmit,
    )
    if intent.order_type is OrderType.LIMIT and intent.limit_price is not None:
        order.lmtPrice = _plain(intent.limit_price)
    if intent.order_type is OrderType.STOP and intent.stop_price is not None:
        order.auxPrice = _plain(intent.stop_price)
    return order


def _stop(line: IbkrConnection, intent: Intent, parent: Any) -> Any:
    """Return the stop that hangs on an entry: the last message, and the one that lets both work."""
    from ib_async.order import Order as Message

    assert intent.stop_price is not None
    return Message(
        orderId=line.client.getReqId(),
        action="SELL" if parent.action == "BUY" else "BUY",
        totalQuantity=parent.totalQuantity,
        orderType=SENT_AS[OrderType.STOP],
        auxPrice=_plain(intent.stop_price),
        tif="GTC",
        account=parent.account,
        orderRef=stop_of(intent.client_order_id),
        parentId=parent.orderId,
        ocaGroup=intent.client_order_id,
        ocaType=REDUCES,
        outsideRth=True,
        transmit=True,
    )


def _plain(number: Decimal) -> Decimal:
    """Return a number that is written without an exponent."""
    return Decimal(f"{number:f}")
