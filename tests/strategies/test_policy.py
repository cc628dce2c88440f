"""What a policy needs, and who acts in the place of its models."""

from tests.kit.fakes.networks import card
from tests.strategies.test_futures import FALLING, view
from tradebot.learning.policy_decisions import MODEL, refusal
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.view import FeatureNeed
from tradebot.strategies.futures import FuturesStrategy
from tradebot.strategies.policy import instead, needs_of, times_of
from tradebot.strategies.policy_settings import PolicySettings

SETTINGS = PolicySettings.model_validate({"folder": "models", "public_key": "ab" * 32, "models": ["0" * 16]})
RULE = FuturesStrategy({})
SLOW = refusal(Reason.MODEL_SLOW, "no answer", 80)


def test_policy_needs_the_features_of_all_its_models_once_and_the_bars_of_its_rule() -> None:
    needs = needs_of(SETTINGS, [card(("rsi_14", "body")), card(("body", "from_vwap"))], RULE)
    assert needs.features == (FeatureNeed("5Min", ("rsi_14", "body", "from_vwap"), max_age_s=600),)
    assert (needs.bars, needs.lots, needs.situation, needs.facts) == (RULE.needs.bars, True, True, frozenset())


def test_without_models_the_rule_has_what_it_needs() -> None:
    needs = needs_of(SETTINGS, [], RULE)
    assert (needs.features, needs.bars) == ((), RULE.needs.bars)
    assert needs_of(SETTINGS, [], None).bars == ()


def test_rule_wants_what_it_would_alone_and_says_why_it_acts() -> None:
    seen = view({"ESZ6": FALLING})
    (alone,), found = RULE.propose(seen), instead(RULE, seen, SLOW)
    assert not isinstance(found, Decision)
    (target,) = found
    assert (target.symbol, target.quantity) == (alone.symbol, alone.quantity)
    assert target.decisions[1:] == alone.decisions
    told = target.decisions[0]
    assert (told.about, told.reason, told.observed, told.limit, told.passed) == (
        MODEL, Reason.MODEL_SLOW, "no answer", 80, True,
    )  # fmt: skip


def test_without_a_rule_the_reason_refuses_the_whole_answer() -> None:
    assert instead(None, view({"ESZ6": FALLING}), SLOW) is SLOW


def test_models_are_asked_once_for_each_bar_that_closes() -> None:
    assert times_of([card()]) == times_of([]) == "every 5m from open+5m until close"
    assert times_of([card(timeframe="1Hour"), card(timeframe="15Min")]) == "every 15m from open+15m until close"
