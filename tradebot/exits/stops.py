"""Compute the price or time at which each exit rule would close a position, without needing a quote."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.exits.rules import Held
from tradebot.limits import ExitRules
from tradebot.model.reasons import Reason


@dataclass(frozen=True, slots=True)
class Stop:
    """One exit rule: it closes at `price` (USD) or at the time `at`; if it isn't `armed`, it only arms there."""

    rule: Reason
    price: Decimal | None
    at: datetime | None
    armed: bool = True


def stops(held: Held, rules: ExitRules) -> tuple[Stop, ...]:
    """Return all exit rules of a position, in the order in which they are checked."""
    entry, side = held.position.average_price, held.direction
    closes_at = held.position.opened_at + timedelta(seconds=rules.time_exit_s)
    return (
        Stop(Reason.TIME_EXIT, None, closes_at),
        Stop(Reason.STOP_LOSS, entry * (1 - side * rules.stop_loss_fraction), None),
        Stop(Reason.PROFIT_TARGET, entry * (1 + side * rules.profit_target_fraction), None),
        _trailing(held, rules),
    )


def _trailing(held: Held, rules: ExitRules) -> Stop:
    if held.gain(held.best) >= rules.trailing_arm_fraction:
        return Stop(Reason.TRAILING_STOP, held.best * (1 - held.direction * rules.trailing_stop_fraction), None)
    arms = held.position.average_price * (1 + held.direction * rules.trailing_arm_fraction)
    return Stop(Reason.TRAILING_STOP, arms, None, armed=False)


def distance(stop: Stop, mark: Decimal, direction: int) -> Decimal | None:
    """Return the distance from the price `mark` to the rule's price as a fraction of `mark`; None for a time rule.

    The distance is positive before the price reaches the rule and negative after. `direction` is +1 for a long, -1 for
    a short.
    """
    if stop.price is None:
        return None
    # A profit target and the arming price of a trailing stop are on the winning side; the rest are on the other.
    towards = direction if stop.rule is Reason.PROFIT_TARGET or not stop.armed else -direction
    return towards * (stop.price - mark) / mark
