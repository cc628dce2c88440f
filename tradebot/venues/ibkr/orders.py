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
from tradebot.venues.ibkr.order_reports import build_order
from tradebot.venues.ibkr.prices import contract_of
from tradebot.venues.ibkr.reader import IbkrReader
from tradebot.venues.ibkr.wrapper import GoneError, VenueError

_DOUBTED = NO_SUCH_ORDER, CANNOT_CANCEL, NOT_CANCELABLE
"""Responses to a cancel that is too late, refused, or already sent: only the lists of orders tell which."""
_ENDED, _ENDING = frozenset({"ApiCancelled", "Cancelled"}), "PendingCancel"
END_WITHIN_S = 0.2
"""How long to wait for an order's end after its cancel is accepted, in seconds; then the lists are read."""


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
                line.receiver.listen_to(number)
            with around("ibkr.send"):
                line.client.placeOrder(parent.orderId, contract, parent)
            if hung:
                with around("ibkr.send_stop"):
                    line.client.placeOrder(child.orderId, contract, child)
            reply = await self._wait_for_replies(line, ids, intent)
            if hung and reply.outcome is not WriteOutcome.ACCEPTED:
                # Whatever became of them: an entry must not stay without its stop.
                line.client.cancelOrder(parent.orderId)
            return reply

        return self._ask(send)

    def _group(self, intent: Intent) -> str:
        """Return the group that an order belongs to, if any; raise TradebotError if the order that it would join is
        gone.
        """
        if intent.is_target:
            return self._beside(intent)
        if not intent.key.joins:
            return intent.client_order_id if intent.protects else ""
        stop = self._reader.order_reports().own.get(intent.key.joins)
        if stop is None or not stop[2].ocaGroup:
            raise TemporaryError("the stop that the exit would join isn't open any more")
        return str(stop[2].ocaGroup)

    def _beside(self, intent: Intent) -> str:
        """Return the group of the stop that protects the same shares as a target, so that only one of the two fills.

        Return an empty text unless stops with the target's symbol, side and quantity are in exactly one group.
        """
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
            line.receiver.listen_to(order_id)
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
            line.receiver.listen_to(order_id)
            with around("ibkr.cancel"):
                line.client.cancelOrder(order_id)
            return await _wait_for_cancel(line, order_id, order)

        reply = self._ask(send)
        if reply.code is None or not reply.code.isdecimal() or int(reply.code) not in _DOUBTED:
            return reply
        again = self._own(venue_id, ending=True)
        if isinstance(again, Reply):
            return again
        # The order stays listed as open after the venue has refused it.
        return reply if again[3].status is OrderStatus.PENDING_CANCEL else replace(reply, outcome=WriteOutcome.REJECTED)

    def _ask(self, send: Callable[[IbkrConnection], Any]) -> Reply:
        """Send a request and return its outcome; nothing is sent if the connection wasn't working before."""
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
        """Return id, contract, message and state of an open order of this client id; otherwise the reply for it."""
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
                WriteOutcome.REJECTED, code="another_client", message="another client id or a person placed it"
            )
        if order is not None or order_reports.unreadable:
            return Reply(WriteOutcome.UNKNOWN, code="not_listed", message="no list shows its outcome")
        return Reply(WriteOutcome.REJECTED, code="not_found", message="the venue has no such order")

    async def _wait_for_replies(self, line: IbkrConnection, ids: Sequence[int], intent: Intent) -> Reply:
        """Wait until the venue has reported on each order of a request, or until a timeout; return the outcome."""
        clock = asyncio.get_running_loop()
        until = clock.time() + line.patience.order
        while True:
            reply = self._judge_replies(line, ids, intent)
            remaining = until - clock.time()
            if reply is not None:
                return reply
            if line.receiver.gone or remaining <= 0:
                return Reply(WriteOutcome.UNKNOWN, code="no_answer", message=("the venue has not reported its outcome"))
            try:
                await asyncio.wait_for(line.receiver.something(), remaining)
            except TimeoutError:
                continue

    def _judge_replies(self, line: IbkrConnection, ids: Sequence[int], intent: Intent) -> Reply | None:
        """Return what the replies so far prove; None if it is too early to tell."""
        orders, heard = [], [line.receiver.messages_about(number) for number in ids]
        errors = [what for messages in heard for name, what in messages if name == "error" and what.code not in NOTICES]
        if errors:
            return _refusal(errors[0], whole=len(ids) == 1)
        for messages in heard:
            opened = [what for name, what in messages if name == "open" and what[1].permId]
            words = [what.word for name, what in messages if name == "status"] or [reply[2].status for reply in opened]
            if not opened or words[-1] == INACTIVE:
                return None
            try:
                orders.append(_as_reported(opened[-1], words[-1], self._tally))
            except RowError as error:
                return Reply(WriteOutcome.UNKNOWN, code="unreadable", message=str(error))
        first, *legs = orders
        if not intent.matches_order(first):
            mismatch = f"it is another order: {first.client_order_id}"
            # A change is reported as the changed order. Before that, the old one may be reported once more.
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
    """Return a rejection for the codes that prove one; the refusal of one leg of a bracket proves nothing alone."""
    refused = error.code in REFUSED and whole
    words = printable(error.words)
    if READ_ONLY_WORDS in words.lower():
        words = f"{words}: check the Gateway's settings: API, Settings, Read-Only API"
    return Reply(WriteOutcome.REJECTED if refused else WriteOutcome.UNKNOWN, code=str(error.code), message=words)


def _as_reported(row: tuple[Any, Any, Any], word: str, tally: DriftTally) -> Order:
    """Return an order as its status message reports it; the filled quantity comes from executions."""
    contract, order, state = row
    state.status = word if word in STATUSES else state.status
    return build_order(contract, order, state, None, (), tally)


async def _wait_for_cancel(line: IbkrConnection, order_id: int, order: Order) -> Reply:
    """Return the venue's reply to a cancel, with the ended order once it is reported.

    The lists may lack the end for a while, and the replacement order waits for it.
    """
    clock, accepted = asyncio.get_running_loop(), False
    until = clock.time() + line.patience.order
    while True:
        messages = line.receiver.messages_about(order_id)
        if ended := next((what for name, what in messages if name == "status" and what.word in _ENDED), None):
            filled = max(order.filled_quantity, Decimal(str(ended.filled)))
            over = replace(order, status=OrderStatus.CANCELED, filled_quantity=filled)
            return Reply(WriteOutcome.ACCEPTED, over if order.quantity and filled < order.quantity else None)
        for name, what in messages:
            if (name == "status" and what.word == _ENDING) or (name == "error" and what.code == CANCELED):
                # The final state follows immediately, or came just before.
                accepted, until = True, min(until, clock.time() + END_WITHIN_S)
            elif name == "error" and what.code not in NOTICES:
                unsure = what.code in _DOUBTED or what.code not in REFUSED
                outcome = WriteOutcome.UNKNOWN if unsure else WriteOutcome.REJECTED
                return Reply(outcome, code=str(what.code), message=printable(what.words))
        remaining = until - clock.time()
        if line.receiver.gone or remaining <= 0:
            unheard = Reply(WriteOutcome.UNKNOWN, code="no_answer", message=("the venue has not reported its outcome"))
            return Reply(WriteOutcome.ACCEPTED) if accepted else unheard
        try:
            await asyncio.wait_for(line.receiver.something(), remaining)
        except TimeoutError:
            continue


def _order(line: IbkrConnection, intent: Intent, order_id: int | None = None, *, transmit: bool = True) -> Any:
    """Build the library's order for an intent."""
    from ib_async.order import Order as Message

    order = Message(
        orderId=line.client.getReqId() if order_id is None else order_id,
        action=intent.side.value.upper(),
        totalQuantity=_plain(intent.quantity),
        orderType=SENT_AS[intent.order_type],
        tif=SENT_LIVES[intent.time_in_force],
        account=line.account,
        orderRef=intent.client_order_id,
        # Let stops trigger whenever the market is open, not only in regular hours.
        outsideRth=True,
        transmit=transmit,
    )
    if intent.order_type is OrderType.LIMIT and intent.limit_price is not None:
        order.lmtPrice = _plain(intent.limit_price)
    if intent.order_type is OrderType.STOP and intent.stop_price is not None:
        order.auxPrice = _plain(intent.stop_price)
    return order


def _stop(line: IbkrConnection, intent: Intent, parent: Any) -> Any:
    """Build the stop attached to an entry: it is sent last, and activates both orders."""
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
    """Return a number that prints without an exponent."""
    return Decimal(f"{number:f}")
