"""What a policy needs, and who acts in the place of its models.

The settings of a policy fit together, or are refused by name.
"""

import pytest
from pydantic import ValidationError

from tests.kit.fakes.networks import card
from tests.strategies.test_futures import FALLING, view
from tradebot.app.settings import load
from tradebot.errors import ConfigurationError
from tradebot.learning.policy_decisions import MODEL, refusal
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.view import FeatureNeed
from tradebot.strategies.futures import FuturesStrategy
from tradebot.strategies.policy import PolicySettings, fallback_targets, needs_of, times_of

SETTINGS = PolicySettings.model_validate({"folder": "models", "public_key": "ab" * 32, "models": ["0" * 16]})
RULE = FuturesStrategy({})
SLOW = refusal(Reason.MODEL_SLOW, "no answer", 80)


def test_policy_needs_the_features_of_all_its_models_once_and_the_bars_of_its_rule() -> None:
    needs = needs_of(SETTINGS, [card(("rsi_14", "body")), card(("body", "from_vwap"))], RULE)
    assert needs.features == (FeatureNeed("5Min", ("rsi_14", "body", "from_vwap"), max_age_s=600),)
    assert (needs.bars, needs.lots, needs.situation, needs.facts) == (RULE.needs.bars, True, True, frozenset())
    alone = needs_of(SETTINGS, [], RULE)
    assert (alone.features, alone.bars, needs_of(SETTINGS, [], None).bars) == ((), RULE.needs.bars, ())


def test_rule_wants_what_it_would_alone_and_says_why_it_acts() -> None:
    seen = view({"ESZ6": FALLING})
    (alone,), found = RULE.propose(seen), fallback_targets(RULE, seen, SLOW)
    assert not isinstance(found, Decision)
    (target,) = found
    assert (target.symbol, target.quantity) == (alone.symbol, alone.quantity)
    assert target.decisions[1:] == alone.decisions
    told = target.decisions[0]
    assert (told.about, told.reason, told.observed, told.limit, told.passed) == (
        MODEL, Reason.MODEL_SLOW, "no answer", 80, True,
    )  # fmt: skip


def test_without_a_rule_the_reason_refuses_the_whole_answer() -> None:
    assert fallback_targets(None, view({"ESZ6": FALLING}), SLOW) is SLOW


def test_models_are_asked_once_for_each_bar_that_closes() -> None:
    assert times_of([card()]) == times_of([]) == "every 5m from open+5m until close"
    assert times_of([card(timeframe="1Hour"), card(timeframe="15Min")]) == "every 15m from open+15m until close"


ONE, TWO = "0" * 16, "1" * 16
USUAL = {"folder": "models", "public_key": "ab" * 32, "models": [ONE]}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"models": []}, "models lists 0"),
        ({"public_key": None}, "public_key is missing"),
        ({"models": [ONE, ONE], "mode": "ensemble"}, "lists a model twice"),
        ({"models": [ONE, TWO]}, "models lists 2: use ensemble or meta"),
        ({"mode": "ensemble"}, "mode ensemble needs several models, but models lists 1"),
        ({"mode": "ensemble", "models": []}, "mode ensemble needs several models, but models lists 0"),
        ({"mode": "meta"}, "mode meta needs several models"),
        ({"models": ["../../etc/passwd"]}, "models"),
        ({"models": [ONE[:15]]}, "models"),
        ({"public_key": "ab"}, "public_key"),
        ({"mode": "paper"}, "mode"),
        ({"rule": {"fast": 30, "slow": 10}}, "fast 30 is not below slow 10"),
        ({"answer_ms": 0}, "answer_ms"),
        ({"folder": ""}, "folder"),
        ({"weights": {}}, "weights"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        PolicySettings.model_validate({**USUAL, **changes})


def test_bot_does_not_start_with_them_and_the_error_names_the_section() -> None:
    with pytest.raises(ConfigurationError, match=r"strategies\.policy"):
        load(None, {}, {"strategies": {"policy": {**USUAL, "mode": "meta"}}})
    with pytest.raises(ConfigurationError, match=r"strategies\.policy\.model\b.*no such setting"):
        load(None, {}, {"strategies": {"policy": {**USUAL, "model": ONE}}})


def test_policy_may_be_asked_where_candidates_expire_sooner_than_a_plug_in_may_take() -> None:
    limits = {"max_candidate_age_s": 2}
    load(None, {}, {"limits": limits, "strategies": {"policy": {**USUAL, "allotment_fraction": 1}, "flow": None}})
    with pytest.raises(ConfigurationError, match="1 plug-in may take"):
        load(None, {}, {"limits": limits, "strategies": {"odd": {}, "flow": None}})


def test_policy_in_training_needs_neither_models_nor_a_key() -> None:
    assert PolicySettings.model_validate({"mode": "training"}).models == ()
