"""The policy as the bot runs it: through the door of all strategies, with its models apart."""

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from tests.adapters.models.test_process import failing
from tests.kit.fakes.networks import Signed, constant
from tests.learning.test_inference import view
from tests.strategies.test_futures import FALLING
from tests.strategies.test_futures import view as bars_of
from tradebot.adapters.models import signing
from tradebot.adapters.plugins.plugin import PluginEnvironment, PluginStrategy, close, code_in_force, strategies
from tradebot.adapters.plugins.protocol import AnswerBounds
from tradebot.adapters.text.extras import install
from tradebot.app.policy import PolicyStrategy
from tradebot.errors import ConfigurationError, ExitCode, OperatorError
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

SURROUNDINGS = PluginEnvironment(AnswerBounds(20.0, 2**31), os.environ, ())


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def test_policy_comes_through_the_door_of_all_strategies_under_any_name(signed: Signed) -> None:
    name = signed.write(constant([0.75]))
    found = strategies({"young": signed.settings(name)}, SURROUNDINGS, {"young": "policy"})
    try:
        (policy,) = found
        assert isinstance(policy, PluginStrategy), "its process ends with those of plug-ins"
        assert (policy.name, policy.times) == ("young", "every 5m from open+5m until close")
        assert [need.names for need in policy.needs.features] == [("rsi_14",)]
        wants = policy.propose(view())
        assert [one.quantity for one in wants] == [2]  # type: ignore[union-attr]
        assert code_in_force(found).keys() == {"young"}
    finally:
        close(found)


def test_wrong_settings_are_named_by_their_section(signed: Signed) -> None:
    with pytest.raises(ConfigurationError, match=r"strategies\.policy\.public_key"):
        strategies({"policy": {**signed.settings("0" * 16), "public_key": "x"}}, SURROUNDINGS)


def test_without_the_extra_the_bot_says_what_to_install(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "NEEDED", ("no_such_package",))
    with pytest.raises(OperatorError, match=r"strategies\.policy needs the extra policy") as missing:
        strategies({"policy": signed.settings("0" * 16)}, SURROUNDINGS)
    assert (missing.value.code, missing.value.hint) == (ExitCode.USAGE, install("policy"))


def test_policy_in_training_trades_nothing_and_starts_no_process(signed: Signed) -> None:
    settings = signed.settings(signed.write(constant([0.75])), mode="training")
    with closing(PolicyStrategy(settings, SURROUNDINGS, "policy")) as policy:
        found = policy.propose(view())
        assert isinstance(found, Decision)
        assert found.reason is Reason.MODEL_TRAINING
        assert policy._process is None


def test_retired_models_are_not_even_read_and_the_rule_says_why_it_acts(signed: Signed) -> None:
    with closing(PolicyStrategy(signed.settings("0" * 16, mode="rule"), SURROUNDINGS, "policy")) as policy:
        assert (policy.needs.features, policy.times) == ((), "every 5m from open+5m until close")
        targets = policy.propose(bars_of({"ESZ6": FALLING}))
        assert not isinstance(targets, Decision)
        assert [target.decisions[0].reason for target in targets] == [Reason.MODEL_RETIRED]
        assert (policy._read, policy._process) == (None, None)
    with pytest.raises(ValueError, match="mode rule needs a rule"):
        PolicyStrategy(signed.settings("0" * 16, mode="rule", rule=None), SURROUNDINGS, "policy")


def test_absent_model_leaves_the_rule_with_what_it_needs(signed: Signed) -> None:
    with closing(PolicyStrategy(signed.settings("0" * 16), SURROUNDINGS, "policy")) as policy:
        assert policy.needs.features == ()
        assert policy.needs.bars
        assert policy.propose(view(symbols=())) == [], "the rule has nothing to say about nothing"


def test_time_of_an_answer_counts_where_a_bot_trades_and_in_no_backtest(signed: Signed) -> None:
    for noted, answer_ms in ((None, None), (signed.folder / "models.json", 80)):
        surroundings = replace(SURROUNDINGS, noted=noted)
        with closing(PolicyStrategy(signed.settings("0" * 16), surroundings, "policy")) as policy:
            assert (policy._place.noted, policy._place.answer_ms) == (noted, answer_ms)


@pytest.mark.parametrize(("promoted_only", "replaced"), [(frozenset(), True), (frozenset({"policy"}), False)])
def test_no_earlier_model_acts_in_a_promoted_ones_place(
    signed: Signed, promoted_only: frozenset[str], replaced: bool
) -> None:
    good, bad = signed.write(constant([0.75])), signed.write(failing())
    noted = signed.folder / "models.json"
    noted.write_text(json.dumps({"policy": [good]}))
    surroundings = replace(SURROUNDINGS, noted=noted, promoted_only=promoted_only)
    with closing(PolicyStrategy(signed.settings(bad, answer_ms=10_000, rule=None), surroundings, "policy")) as policy:
        answer = policy.propose(view())
    if replaced:
        assert not isinstance(answer, Decision)
        assert {target.decisions[0].reason for target in answer} == {Reason.MODEL_REPLACED}
    else:
        assert isinstance(answer, Decision)
        assert answer.reason is Reason.MODEL_ANSWERS_DIFFER
