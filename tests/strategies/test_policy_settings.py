"""The settings of a policy fit together, or are refused by name."""

import pytest
from pydantic import ValidationError

from tradebot.app.settings import load
from tradebot.errors import ConfigurationError
from tradebot.strategies.policy_settings import PolicySettings

ONE, TWO = "0" * 16, "1" * 16
USUAL = {"folder": "models", "public_key": "ab" * 32, "models": [ONE]}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"models": []}, "models lists 0"),
        ({"public_key": None}, "public_key is missing"),
        ({"models": [ONE, ONE], "mode": "ensemble"}, "lists one twice"),
        ({"models": [ONE, TWO]}, "models lists 2: use ensemble or meta"),
        ({"mode": "ensemble"}, "several models act in mode ensemble, and models lists 1"),
        ({"mode": "ensemble", "models": []}, "several models act in mode ensemble, and models lists 0"),
        ({"mode": "meta"}, "several models act in mode meta"),
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
