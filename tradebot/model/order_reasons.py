"""The reasons that concern working orders, exits and expiring contracts."""

from typing import TYPE_CHECKING

from tradebot.model.reason_codes import Unit, blocked, broken, idle, unknown

if TYPE_CHECKING:
    from tradebot.model.reasons import Reason

_SHOWN = "Nothing to do; tradebot positions shows what protects each position."


def _closes(meaning: str, unit: Unit | None = None) -> "Reason":
    return idle(meaning, "Nothing to do; the position is being closed.", unit)


class OrderReasons:
    COOLDOWN = idle("The symbol was traded recently.", "Wait for the cooldown to end.")
    LOSS_COOLDOWN = idle("The symbol recently lost money.", "Wait for loss_cooldown_s to pass since the last loss.")
    WASH_SALE = idle(
        "The symbol was sold at a loss within wash_sale_days, so buying it would be a wash sale.",
        "Wait until wash_sale_days have passed since that sale.",
    )
    DUPLICATE_INTENT = idle(
        "This exact order was already recorded for sending.", "Nothing to do: an order is never sent twice."
    )
    DUPLICATE_ORDER = blocked(
        "Another slot or strategy sent an order on the same side of the same symbol moments ago.",
        "Nothing to do: it may be proposed again once limits.duplicate_window_s has passed.",
    )
    APPROVAL_WAITING = idle(
        "The entry passed all gates, or lacks only room, and waits for a person's approval.",
        "tradebot approvals lists them; tradebot approve ID accepts one, tradebot reject ID refuses it.",
        Unit.SECONDS,
    )
    APPROVAL_REFUSED = idle(
        "A person rejected this entry.",
        "Nothing to do: approval isn't requested again in this session, or in this slot of the strategy.",
        Unit.NONE,
    )
    APPROVAL_EXPIRED = blocked(
        "Nobody approved this entry in time.",
        "Nothing to do: it is requested again in an hour or the next slot. approval.wait_s sets the wait.",
        Unit.SECONDS,
    )
    APPROVAL_PRICE_WORSE = blocked(
        "The price is now worse than the approved one by more than allowed.",
        "Wait: the price may come back. approval.max_worse_fraction sets how much worse it may be.",
        Unit.USD,
    )
    DESK_STALE = blocked(
        "The pass took so long that prices and positions may have changed before the order could be sent.",
        "Nothing to do: the next pass reads them again. If it happens often, run tradebot doctor.",
        Unit.SECONDS,
    )
    DECISION_LATE = blocked(
        "The decision took too long after prices and positions were known.",
        "Nothing to do: the next pass decides again. limits.max_decision_ms limits the time.",
        Unit.MILLISECONDS,
    )
    SENDING_LATE = blocked(
        "Too much time passed between the decision and sending the order, so it wasn't sent.",
        "Nothing to do: the next pass decides again. limits.max_sending_ms sets how long it may take.",
        Unit.MILLISECONDS,
    )
    SENT = idle("The order was sent and accepted.", "Nothing to do; tradebot status shows it.")
    VENUE_REJECTED = blocked(
        "The broker rejected the order.", "Read the broker's message in the record: tradebot why-no-orders SYMBOL"
    )
    VENUE_UNKNOWN = unknown(
        "The broker didn't answer, or its reply proves nothing, so the order may or may not exist.",
        "Run tradebot reconcile.",
    )
    STOP_LOSS = _closes("The loss reached the stop.")
    TRAILING_STOP = _closes("The price moved back from its best by the trailing stop's distance.")
    PROFIT_TARGET = _closes("The profit target was reached.")
    TIME_EXIT = _closes("The position has reached its maximum holding time.", Unit.SECONDS)
    SCALE_OUT = idle(
        "The gain reached a level at which a part of the position is closed.",
        "Nothing to do; a part of the position is being closed.",
    )
    LADDER = idle(
        "The gain, in multiples of the initial risk, reached a step at which part of the position is closed.",
        "Nothing to do; a part of the position is being closed.",
    )
    ATR_TRAIL = _closes("The price moved back from its best by a multiple of its average true range.")
    BREAK_EVEN = _closes("Part of the position was closed, and the price has come back to the entry price.")
    TICK_STOP = _closes("The loss reached the stop, set in ticks from the entry price.", Unit.TICKS)
    TICK_TARGET = _closes("The gain reached the target, set in ticks from the entry price.", Unit.TICKS)
    END_OF_DAY = _closes("The session is about to close, and the position isn't held overnight.", Unit.SECONDS)
    STALE_POSITION = _closes("Days after the entry, the price is still close to the entry price.")
    SIGNAL_DECAY = _closes("The entry's score has dropped by more than its noise, without recovering.", Unit.NONE)
    FLOW_REVERSAL = _closes("Options flow has turned against the position.", Unit.NONE)
    OPEN_INTEREST_GONE = _closes("Most contracts behind the entry were closed overnight.")
    REGIME = _closes("The market's regime is unfavorable for this side, and the position is losing.")
    POSITION_DRAWDOWN = _closes("The position gave back too much of its best gain.")
    LOW_MOVEMENT = _closes("The price hardly moved while the position was held.")
    MOMENTUM_REVERSAL = _closes("The price moved too far against the position within the last hour.")
    EVENT_AHEAD = _closes("An event of the company, such as its earnings report, is near.", Unit.SECONDS)
    LIQUIDATION_NEAR = idle(
        "The price is close to liquidation, so the position is reduced or closed.",
        "Add money, or let strategies take smaller positions. tradebot positions shows each distance.",
        Unit.SHARE_OF_WHOLE,
    )
    URGENCY = idle(
        "Taken together, the evidence against the position is strong enough to close it or a part of it.",
        "Nothing to do; the position or a part of it is being closed.",
        Unit.NONE,
    )
    EXIT_INPUT_MISSING = unknown(
        "An exit rule can't decide, because one of its inputs is unknown. The other rules still apply.",
        "Run tradebot audit; docs/internals/EXITS.md says where each rule's inputs come from.",
        Unit.NONE,
    )
    STRATEGY_CLOSES = _closes(
        "The strategy wants to close the position or a part of it, for the reason it gives.", Unit.NONE
    )
    DISPLACED = idle(
        "The book is full, and the position makes room for a clearly better candidate.",
        "Nothing to do: the position is being closed. The settings displacement: and auction: control this.",
        Unit.NONE,
    )
    FRACTION_REFUSED = blocked(
        "The broker refused to trade a fraction of a share today, and less than one share is left to close.",
        "Nothing to do: the next session tries again. Or close the rest on the broker's website.",
    )
    FLATTEN = blocked(
        "All positions are being closed.", "tradebot status shows who asked for it; tradebot unhalt ends it."
    )
    CLOSED_BY_HAND = idle(
        "A person asked to close the position.",
        "Nothing to do; tradebot orders --all shows what happened to the order.",
    )
    CANCELED_BY_HAND = idle(
        "A person canceled the order.",
        "Nothing to do; a later pass may send another. To prevent entries, use tradebot halt.",
    )
    STOP_CANCELED_BY_HAND = idle(
        "A person canceled an order that protects the position.",
        "Nothing to do if the settings require a stop: the next exit pass places another.",
    )
    HOLD = idle("No exit rule is met.", "Nothing to do.")
    STALE_ENTRY = idle(
        "An entry stayed unfilled too long and is being canceled.", "Nothing to do; a later pass may try again."
    )
    STALE_EXIT = idle(
        "An exit stayed unfilled and is being repriced.",
        "Nothing to do: the order keeps working while its price changes, or the next pass sends another.",
    )
    ENTRY_STEP = idle(
        "A passive entry has waited long enough and moves closer to the other side of the spread.",
        "Nothing to do; execution.patience_s and execution.steps set how long it waits and how far it moves.",
    )
    STOP_MISSING = idle(
        "No order rests at the broker for these shares, so a stop is being placed.", _SHOWN, Unit.SHARES
    )
    STOP_TIGHTENED = idle(
        "The stop at the broker is being moved closer, to this price.",
        "Nothing to do: a stop is only ever tightened.",
        Unit.USD,
    )
    STOP_NEEDLESS = idle(
        "A stop is being canceled: its shares are gone, or exits.protection is bot.",
        "Nothing to do.",
    )
    EXIT_NEEDS_SHARES = idle(
        "The stop at the broker reserves the shares that an exit needs, so it is being canceled.",
        "Nothing to do: the exit follows at once. tradebot events shows how long there was no stop.",
    )
    SHARES_HELD = blocked(
        "A stop reserves the shares and its cancel isn't confirmed, so no exit can be sent yet.",
        "Wait a minute and run tradebot evaluate-exits. If it stays like this, cancel the stop at the broker.",
    )
    STOP_LAPSED = idle(
        "The broker canceled or suspended a stop: its paired target is canceled, and a new stop is placed.",
        _SHOWN,
    )
    LEFT_TO_BROKER = idle(
        "The price has reached a stop or a target at the broker, which closes the position.",
        "Nothing to do. If the price moves on and the broker doesn't act, the bot does.",
    )
    TARGET_MISSING = idle(
        "No order rests at the broker at this target, so one is being placed beside the stop.", _SHOWN, Unit.SHARES
    )
    STOP_RESIZED = idle(
        "The number of shares that a stop or target must close has changed, so another order replaces it.",
        _SHOWN,
        Unit.SHARES,
    )
    STOP_SPARE = idle(
        "More stops or targets rest than the shares need, so one is being canceled.",
        _SHOWN,
    )
    TARGET_MOVED = idle(
        "The entry filled at a different price than its target assumed, so the target is being moved.",
        _SHOWN,
        Unit.USD,
    )
    OVERFILLED = idle(
        "A closing order filled after the shares were gone, so the position reversed.",
        "Nothing to do; the position is being closed. tradebot orders --all shows which orders filled.",
        Unit.SHARES,
    )


class ContractReasons:
    CONTRACT_DIFFERS = broken(
        "The broker lists the contract, or another month of it, with terms that tradebot doesn't expect.",
        "Compare the terms with the exchange's page. If they have changed, update tradebot.",
    )
    HOURS_NOT_LIQUID = idle(
        "The contract can be traded now, but outside its liquid hours.",
        "Wait for those hours, or set limits.liquid_hours_only: false to enter whenever it trades.",
    )
    CONTRACT_ROLLS = idle(
        "The contract expires soon, so positions roll into the next one, and nothing is opened in it.",
        "Nothing to do: the next contract is traded.",
    )
    CONTRACT_OVERDUE = broken(
        "A position is still open right before the contract's notice period or last trading day.",
        "Close it: tradebot flatten SYMBOL. To see what blocked the exits: tradebot why-no-orders SYMBOL",
    )
    ROLLED = idle(
        "The contract expires soon, so the position is closed here and opened again in the next one.",
        "Nothing to do: tradebot orders --all shows both orders.",
    )
