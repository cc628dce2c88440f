"""What closes a position at a loss: the stops that rest at the broker, and a rule of the bot for everything else."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tradebot.exits.kind import PriceRule
from tradebot.exits.lists import Exits
from tradebot.model.lifecycle import Resting, Work
from tradebot.model.position import ADOPTED, Position


class Uncovered(StrEnum):
    """Why no stop rests at the broker for a position, or for a part of it."""

    NO_STOP_RULE = "no_stop_rule"
    ADOPTED = "adopted"
    FRACTION = "fraction"
    REFUSED = "refused"
    NOT_PLACED = "not_placed"


@dataclass(frozen=True, slots=True)
class Protection:
    """What protects a position: `covered` is for how many of its shares (unsigned) a stop rests at the broker.

    `resting` are the stops and targets there. For the other shares, `rule` is the bot's own rule that closes them at a
    loss, None if there is no such rule. `why` says why they have no stop at the broker, and `refusal` is what the
    broker said if it refused one; both are None if every share is covered.
    """

    covered: Decimal
    resting: tuple[Resting, ...]
    rule: str | None
    why: str | None
    refusal: str | None


def protection_of(position: Position, work: Work, rules: Exits) -> Protection:
    """Return what protects a position of ours, given the orders on its symbol and the rules that watch it."""
    covered, held = work.covered(position.quantity), abs(position.quantity)
    if covered == held:
        return Protection(covered, work.resting, None, None, None)
    rule = _nearest_stop(rules)
    refused = work.refused if work.refused and work.refused.intent.at >= position.opened_at else None
    why = _why(position, held - covered, has_rule=rule is not None, refused=refused is not None)
    words = " ".join(filter(None, (refused.code, refused.message))) if refused and why is Uncovered.REFUSED else None
    return Protection(covered, work.resting, rule, why.value, words)


def _why(position: Position, uncovered: Decimal, *, has_rule: bool, refused: bool) -> Uncovered:
    if not has_rule:
        return Uncovered.NO_STOP_RULE
    if position.strategy == ADOPTED:
        return Uncovered.ADOPTED
    if uncovered < 1:
        return Uncovered.FRACTION
    return Uncovered.REFUSED if refused else Uncovered.NOT_PLACED


def _nearest_stop(rules: Iterable[object]) -> str | None:
    """Return the reason of the rule that always closes at the smallest loss, or None if none does."""
    stops = [rule for rule in rules if isinstance(rule, PriceRule) and rule.gain is not None and rule.gain < 0]
    return max(stops, key=lambda rule: rule.gain or Decimal(0)).reason.value if stops else None
