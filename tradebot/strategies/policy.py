"""The learned policy: its inputs, and its fallback if its models can't decide. The models run in another process."""

from collections.abc import Sequence
from datetime import timedelta

from tradebot.learning.model_card import Card
from tradebot.learning.policy_decisions import MODEL, passing_decision
from tradebot.model.decision import Decision
from tradebot.model.series import width_of
from tradebot.model.struct_tools import replace
from tradebot.model.view import FeatureNeed, Needs, StrategyView, Target
from tradebot.strategies.futures import FuturesStrategy
from tradebot.strategies.policy_settings import PolicySettings

USUAL = timedelta(minutes=5)


def needs_of(settings: PolicySettings, cards: Sequence[Card], rule: FuturesStrategy | None) -> Needs:
    """Return what the strategy reads: the features on the models' cards, and the bars of the rule that may replace
    them.
    """
    names = dict[str, dict[str, None]]()
    for card in cards:
        names.setdefault(card.timeframe, {}).update(dict.fromkeys(card.names))
    features = tuple(
        FeatureNeed(timeframe, tuple(each), max_age_s=settings.max_behind_s) for timeframe, each in names.items()
    )
    return Needs(bars=rule.needs.bars if rule else (), lots=True, features=features, situation=True)


def times_of(cards: Sequence[Card]) -> str:
    """Return when models decide: at each bar's close of the shortest timeframe, or every five minutes without bars."""
    widths = [width for card in cards if (width := width_of(card.timeframe))]
    minutes = min(widths, default=USUAL) // timedelta(minutes=1)
    return f"every {minutes}m from open+{minutes}m until close"


def fallback_targets(rule: FuturesStrategy | None, view: StrategyView, why: Decision) -> Sequence[Target] | Decision:
    """Return the rule's targets if the models are unavailable, with the reason; without a rule, only the reason."""
    if rule is None:
        return why
    noted = passing_decision(MODEL, why.reason, why.observed or "", why.limit)
    return [replace(target, decisions=(noted, *target.decisions)) for target in rule.propose(view)]
