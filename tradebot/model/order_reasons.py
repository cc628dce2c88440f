"""The reasons about orders on their way, and about exits: a part of the one table in `reasons`."""

from tradebot.model.reason_codes import Cause, Reason, ReasonRow
from tradebot.model.reason_codes import row as _row
from tradebot.model.units import Unit

ORDER_REASONS: dict[Reason, ReasonRow] = {
    Reason.COOLDOWN: _row(Cause.IDLE, "The symbol was traded a short while ago.", "Wait for the cooldown to end."),
    Reason.DUPLICATE_INTENT: _row(
        Cause.IDLE,
        "This very order was promised before.",
        "Nothing to do: an order is sent once or not at all.",
    ),
    Reason.DUPLICATE_ORDER: _row(
        Cause.BLOCKED,
        "The same side of the same symbol was sent moments ago, by another slot or strategy.",
        "Nothing to do: it may be proposed again once limits.duplicate_window_s has passed.",
    ),
    Reason.DESK_STALE: _row(
        Cause.BLOCKED,
        "The pass took so long that prices and book may have changed before the order could go out.",
        "Nothing to do: the next pass looks anew. If it happens often, tradebot doctor.",
        Unit.SECONDS,
    ),
    Reason.SENT: _row(Cause.IDLE, "The order was sent and accepted.", "tradebot status shows it."),
    Reason.VENUE_REJECTED: _row(
        Cause.BLOCKED,
        "The venue refused the order.",
        "Its own words are in the record: tradebot why-no-orders SYMBOL",
    ),
    Reason.VENUE_UNKNOWN: _row(
        Cause.UNKNOWN, "The venue did not answer, so the order may or may not exist.", "tradebot reconcile"
    ),
    Reason.STOP_LOSS: _row(Cause.IDLE, "The loss reached the stop.", "Nothing to do; the position is being closed."),
    Reason.TRAILING_STOP: _row(
        Cause.IDLE,
        "The price fell back from its best by the trailing stop.",
        "Nothing to do; the position is being closed.",
    ),
    Reason.PROFIT_TARGET: _row(
        Cause.IDLE, "The profit target was reached.", "Nothing to do; the position is being closed."
    ),
    Reason.TIME_EXIT: _row(
        Cause.IDLE, "The position was held as long as it may be.", "Nothing to do; it is being closed.", Unit.SECONDS
    ),
    Reason.FLATTEN: _row(
        Cause.BLOCKED,
        "Everything is being closed.",
        "tradebot status shows who asked; tradebot unhalt ends it.",
    ),
    Reason.CLOSED_BY_HAND: _row(
        Cause.IDLE, "A person asked to close it.", "Nothing to do; tradebot orders --all shows what became of it."
    ),
    Reason.HOLD: _row(Cause.IDLE, "No exit rule is met.", "Nothing to do."),
    Reason.STALE_ENTRY: _row(
        Cause.IDLE,
        "An entry stayed unfilled too long and is being cancelled.",
        "Nothing to do; a later cycle may try again.",
    ),
    Reason.STALE_EXIT: _row(
        Cause.IDLE,
        "An exit stayed unfilled and is being re-priced.",
        "Nothing to do; it works on while its price changes, or the next pass sends another.",
    ),
}
