"""Reasons about orders in flight and about exits. `reasons` merges them into the one table."""

from tradebot.model.reason_codes import Cause, Reason, ReasonRow
from tradebot.model.reason_codes import row as _row
from tradebot.model.units import Unit

ORDER_REASONS: dict[Reason, ReasonRow] = {
    Reason.COOLDOWN: _row(Cause.IDLE, "The symbol was traded a short while ago.", "Wait for the cooldown to end."),
    Reason.DUPLICATE_INTENT: _row(
        Cause.IDLE,
        "This exact order was already promised.",
        "Nothing to do: an order is never sent twice.",
    ),
    Reason.DUPLICATE_ORDER: _row(
        Cause.BLOCKED,
        "Another slot or strategy sent the same side of the same symbol moments ago.",
        "Nothing to do: it may be proposed again once limits.duplicate_window_s has passed.",
    ),
    Reason.DESK_STALE: _row(
        Cause.BLOCKED,
        "The pass took so long that prices and positions may have changed before the order could be sent.",
        "Nothing to do: the next pass takes a fresh look. If it happens often, run tradebot doctor.",
        Unit.SECONDS,
    ),
    Reason.SENT: _row(Cause.IDLE, "The order was sent and accepted.", "Nothing to do; tradebot status shows it."),
    Reason.VENUE_REJECTED: _row(
        Cause.BLOCKED,
        "The broker rejected the order.",
        "Read the broker's message in the record: tradebot why-no-orders SYMBOL",
    ),
    Reason.VENUE_UNKNOWN: _row(
        Cause.UNKNOWN,
        "The broker didn't answer, so the order may or may not exist.",
        "Run tradebot reconcile.",
    ),
    Reason.STOP_LOSS: _row(Cause.IDLE, "The loss reached the stop.", "Nothing to do; the position is being closed."),
    Reason.TRAILING_STOP: _row(
        Cause.IDLE,
        "The price pulled back from its best by the trailing stop.",
        "Nothing to do; the position is being closed.",
    ),
    Reason.PROFIT_TARGET: _row(
        Cause.IDLE,
        "The profit target was reached.",
        "Nothing to do; the position is being closed.",
    ),
    Reason.TIME_EXIT: _row(
        Cause.IDLE,
        "The position has been held as long as it may be.",
        "Nothing to do; the position is being closed.",
        Unit.SECONDS,
    ),
    Reason.STRATEGY_CLOSES: _row(
        Cause.IDLE,
        "The strategy wants to close the position or a part of it, for the reason it gives.",
        "Nothing to do; the position is being closed.",
        Unit.NONE,
    ),
    Reason.FRACTION_REFUSED: _row(
        Cause.BLOCKED,
        "The broker refused to trade a fraction of a share today, and less than one share is left to close.",
        "Nothing to do: the next session tries again. Or close the rest on the broker's website.",
    ),
    Reason.FLATTEN: _row(
        Cause.BLOCKED,
        "Everything is being closed.",
        "tradebot status shows who asked for it; tradebot unhalt ends it.",
    ),
    Reason.CLOSED_BY_HAND: _row(
        Cause.IDLE,
        "A person asked to close the position.",
        "Nothing to do; tradebot orders --all shows what happened to the order.",
    ),
    Reason.HOLD: _row(Cause.IDLE, "No exit rule is met.", "Nothing to do."),
    Reason.STALE_ENTRY: _row(
        Cause.IDLE,
        "An entry stayed unfilled too long and is being canceled.",
        "Nothing to do; a later pass may try again.",
    ),
    Reason.STALE_EXIT: _row(
        Cause.IDLE,
        "An exit stayed unfilled and is being repriced.",
        "Nothing to do: the order keeps working while its price changes, or the next pass sends another.",
    ),
    Reason.STOP_MISSING: _row(
        Cause.IDLE,
        "No order rests at the broker for these shares, so a stop is being placed.",
        "Nothing to do; tradebot positions shows what protects each position.",
        Unit.SHARES,
    ),
    Reason.STOP_TIGHTENED: _row(
        Cause.IDLE,
        "The stop that rests at the broker is being moved closer, to this price.",
        "Nothing to do: a stop never moves away from profit.",
        Unit.USD,
    ),
    Reason.STOP_NEEDLESS: _row(
        Cause.IDLE,
        "The shares that a stop at the broker protects are gone, so it is being canceled.",
        "Nothing to do.",
    ),
    Reason.EXIT_NEEDS_SHARES: _row(
        Cause.IDLE,
        "The stop that rests at the broker holds the shares that an exit needs, so it is being canceled.",
        "Nothing to do: the exit follows at once. The event protection_gap says how long there was no stop.",
    ),
    Reason.LEFT_TO_BROKER: _row(
        Cause.IDLE,
        "The price has reached a stop or a target that rests at the broker, which closes the position.",
        "Nothing to do. If the price runs on and the broker doesn't act, the bot does.",
    ),
}
