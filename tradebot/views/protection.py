"""What closes a position at a loss: the stops that rest at the broker, and a rule of the bot for everything else."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.exits.held import Held
from tradebot.exits.lists import Exits
from tradebot.model.intent import IntentRecord
from tradebot.model.lifecycle import RestingPrice, Work
from tradebot.model.position import ADOPTED
from tradebot.model.record import Gap


class Uncovered(StrEnum):
    """Why no stop rests at the broker for a position, or for a part of it; a gap has its own reasons too."""

    NO_STOP_RULE = "no_stop_rule"
    BY_SETTING = "by_setting"
    ADOPTED = "adopted"
    FRACTION = "fraction"
    REFUSED = "refused"
    ARRIVING = "arriving"
    NOT_PLACED = "not_placed"


class Protection(Struct, frozen=True):
    """What protects a position: `covered` is for how many of its shares (unsigned) a stop rests at the broker.

    `resting` are the stops and targets there. For the other shares, `rule` is the bot's own rule with the nearest stop,
    None if no rule has a stop now. `why` says why they have no stop at the broker, and `refusal` is what the broker
    said if it refused one. All three are None if every share is covered. `since` is when a gap in the protection began
    that the last pass of exits left, and `gap_s` its age; None without one.
    """

    covered: Decimal
    resting: tuple[RestingPrice, ...]
    rule: str | None
    why: str | None
    refusal: str | None
    since: datetime | None = None
    gap_s: float | None = None


def protection_of(
    held: Held, work: Work, rules: Exits, gap: Gap | None, now: datetime | None, *, at_venue: bool
) -> Protection:
    """Return what protects a position of ours, given the orders on its symbol and the rules that watch it.

    `gap` is what the last pass of exits left without a stop. `at_venue` is False if the configuration wants no stops at
    the broker.
    """
    position = held.position
    covered, quantity = work.covered(position.quantity), abs(position.quantity)
    if covered == quantity:
        return Protection(covered, work.resting, None, None, None)
    rule = _nearest_stop(held, rules)
    refused = work.refused if work.refused and work.refused.intent.at >= position.opened_at else None
    if rule is None:
        why = Uncovered.NO_STOP_RULE
    elif not at_venue:
        why = Uncovered.BY_SETTING
    elif position.strategy == ADOPTED:
        why = Uncovered.ADOPTED
    elif quantity - covered < 1:
        why = Uncovered.FRACTION
    elif gap is not None:
        words = _words(refused) if refused and gap.why == Uncovered.REFUSED else None
        gap_s = (now - gap.since).total_seconds() if now else None
        return Protection(covered, work.resting, rule, gap.why, words, gap.since, gap_s)
    elif work.arriving:
        why = Uncovered.ARRIVING
    else:
        why = Uncovered.REFUSED if refused else Uncovered.NOT_PLACED
    words = _words(refused) if refused and why is Uncovered.REFUSED else None
    return Protection(covered, work.resting, rule, why.value, words)


def _words(refused: IntentRecord) -> str:
    return " ".join(filter(None, (refused.code, refused.message)))


def _nearest_stop(held: Held, rules: Exits) -> str | None:
    """Return the reason of the rule whose stop is nearest, as it would rest at the broker; None if none has one now."""
    stops = (level for rule in rules if (level := rule.level(held)).armed and not level.ahead)
    prices = [(level.price * held.direction, level.rule.value) for level in stops if level.price is not None]
    return max(prices)[1] if prices else None
