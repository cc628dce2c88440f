"""Find closes that ended before the position was closed and that no rule would request again.

Exit passes continue them: closes that a person requested, and closes that make room for another symbol.
"""

from collections.abc import Sequence

from tradebot.exits.exit_reasons import ReasonPart, compose
from tradebot.model.candidate import Purpose
from tradebot.model.intent import Intent, IntentRecord, IntentState, Operation
from tradebot.model.order import OrderStatus
from tradebot.model.position import Position
from tradebot.ports.stores import Orders

BY_HAND, CANCELED_BY_HAND = ReasonPart("closed_by_hand"), ReasonPart("canceled_by_hand")


def describe_unfinished(unfinished: Intent) -> str:
    """Describe an unfinished close, as the beginning of a sentence."""
    why = f"to make room for {unfinished.displaced_by}" if unfinished.displaced_by else "by hand"
    return f"a close {why} isn't finished"


def unfinished_close(ledger: Orders, records: Sequence[IntentRecord], position: Position) -> Intent | None:
    """Return the last close that we canceled before it filled completely; None if there is none.

    Only closes that a person requested, or that make room for another symbol, count.

    Such a close is over once the venue has filled it or ended it, once a person has canceled it, or once the position
    has grown or was opened again. A cancel counts only once the venue has confirmed it. `records` are the recent
    intents in the order in which they were recorded.
    """
    for record in reversed(records):
        intent = record.intent
        if intent.holding != position.holding or intent.purpose is Purpose.OPEN:
            continue
        if record.state in (IntentState.REJECTED, IntentState.ABANDONED):
            continue
        canceled = intent.operation is Operation.CANCEL and record.state is IntentState.ACKED
        close = _canceled_close(ledger, intent.target_venue_id or "") if canceled else None
        if close is None and intent.purpose is Purpose.PROTECT:
            continue
        grown = close is not None and any(lot.at > close.at for lot in position.lots)
        return None if grown or intent.why == compose((CANCELED_BY_HAND,)) else close
    return None


def _canceled_close(ledger: Orders, venue_id: str) -> Intent | None:
    """Return the intent behind an order that we canceled before it filled completely, or None.

    Also return None if a rule or a strategy would request the close again.

    A stop that we cancel also cancels the close whose leg it is.
    """
    chain = ledger.order_chains([venue_id]).get(venue_id, ())
    if not chain or chain[0].venue_id != venue_id or chain[0].status not in (OrderStatus.CANCELED, OrderStatus.ENDED):
        return None
    recorded = ledger.recorded_intents([order.client_order_id for order in chain])
    order = next((order for order in chain if order.client_order_id in recorded), None)
    if order is None or not order.status.terminal or order.status is OrderStatus.FILLED:
        return None
    intent = recorded[order.client_order_id].intent
    return intent if (intent.displaced_by or intent.why == compose((BY_HAND,))) else None
