"""Where each exit rule stands: the price or the time at which it would close a position, without asking for one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.exits.rules import Held
from tradebot.limits import ExitRules
from tradebot.model.reasons import Reason


@dataclass(frozen=True, slots=True)
class Stop:
    """One rule: it acts at `price` (USD) or at the time `at`; one that is not `armed` only begins to act there."""

    rule: Reason
    price: Decimal | None
    at: datetime | None
    armed: bool = True


def stops(held: Held, rules: ExitRules) -> tuple[Stop, ...]:
    """Return every rule of a position, in the order in which they are asked."""
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
    """Return the way from a price to where the rule stands, as a fraction of the price; None for a rule of time.

    It is positive while the rule is still away, negative where the price has passed it; `direction` is +1 for a long
    and -1 for a short.
    """
    if stop.price is None:
        return None
    # A target, and a trailing stop that is not armed yet, stand where the position gains; the others where it loses.
    towards = direction if stop.rule is Reason.PROFIT_TARGET or not stop.armed else -direction
    return towards * (stop.price - mark) / mark
