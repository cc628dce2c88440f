"""Why shares were closed: what was recorded with the order that closed them, or what the broker or a person did."""

from collections.abc import Mapping, Sequence

from tradebot.exits.why import UNKNOWN, parse
from tradebot.model.filled import IntentFacts, OrderFacts, Sent
from tradebot.model.origin import Origin
from tradebot.views.performance.lots import ClosedLot

WITHOUT_ORDER: Mapping[Origin, str] = {
    Origin.PLAN: "accepted_plan",
    Origin.ADOPTION: "adoption",
    Origin.ACTIVITY: "corporate_action",
    Origin.GIVEN_BACK: "given_back",
    Origin.TAKEN_OVER: "taken_over",
}
"""Reasons of what no order of the bot closed, by what wrote the fill: a plan that a person accepted, a change of owner,
or the broker's activity, such as a buyout."""


def exit_reason(order: OrderFacts, sent: Sequence[IntentFacts]) -> str | None:
    """Return why an order closed shares, given the intents behind it, the nearest first; None if nothing was recorded.

    What rested to protect names the rule of its target first, and the rule of its stop last.
    """
    known = next((intent.why for intent in sent if intent.why), None)
    if known is None or not sent[0].protects:
        return known
    parts = parse(known)
    return str(parts[0] if order.stop_price is None else parts[-1])


def why_closed(lot: ClosedLot, sent: Mapping[str, Sent]) -> str:
    """Return why a piece of a position was closed; `unknown` if nothing was recorded.

    `sent` are the orders that filled, by the venue's id. The reason is in the grammar of `exits.why` or in a strategy's
    own words.
    """
    behind = sent.get(lot.exit_order)
    known = exit_reason(behind.order, behind.intents) if behind else None
    return known or WITHOUT_ORDER.get(lot.origin, UNKNOWN)


def rules_of(reason: str) -> tuple[str, ...]:
    """Return the rules in a reason, without their amounts; none if nothing was recorded.

    A strategy's own words have no rules in them, so they are returned whole.
    """
    try:
        return tuple(part.name for part in parse(reason))
    except ValueError:
        return (reason,)


def rule_of(reason: str) -> str:
    """Return the rule that comes first in a reason: what reasons are filtered and counted by."""
    return next(iter(rules_of(reason)), UNKNOWN)
