"""How the venue lets positions be protected and closed, going by what it answered last."""

from datetime import timedelta

from tradebot.model.books import Books
from tradebot.model.intent import TARGET_DONE, IntentState, Operation
from tradebot.model.order import OrderClass
from tradebot.model.resting import Whose

EXITS, TIGHTENS = 1, 2
"""Legs of the requests that change what rests, so that they differ from a cancel of the same order, which is leg 0."""

RETRY = timedelta(minutes=15)
"""How long a venue that refused every kind of protection for a position isn't asked again."""


def exit_is_refused(books: Books) -> bool:
    """Return True if the venue refused, the last time, that the limit of a pair goes through the market."""
    for record in reversed(books.intents):
        intent = record.intent
        if intent.rests and not intent.protects and intent.operation is Operation.REPLACE:
            if record.state is IntentState.ACKED:
                return False
            if record.state is IntentState.REJECTED and record.code != TARGET_DONE:
                return True
    return False


def class_to_try(books: Books, whose: Whose) -> OrderClass | None:
    """Return what to protect a position with: a pair unless the venue refused that last, then a plain stop.

    None if it refused a plain stop too, a short while ago.
    """
    for record in reversed(books.intents):
        intent = record.intent
        if not (intent.protects and intent.operation is Operation.SUBMIT):
            continue
        if (intent.key.strategy, intent.key.symbol) != whose or record.state is IntentState.ABANDONED:
            continue
        if record.state is not IntentState.REJECTED:
            return intent.order_class
        if intent.order_class is OrderClass.OCO:
            return OrderClass.SIMPLE
        return OrderClass.OCO if books.at - record.updated_at >= RETRY else None
    return OrderClass.OCO
