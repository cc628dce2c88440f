"""The models that act have to be those that were evaluated."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.support.policies import Study, study
from commands.promote.run import other_models
from tests.kit.fakes.networks import Signed, constant
from tradebot.app.settings import load
from tradebot.learning.model_card import CONFIGURATION
from tradebot.model.struct_tools import replace

RESULTS = replace(study(1, Study(configurations=2)), features={"rsi_14": "1"})


def told(place: Path, settings: dict[str, str], **changes: Any) -> str:
    signed = Signed(place)
    own = {**signed.settings(signed.write(constant([0.5], settings=settings))), "rule": None, **changes}
    loaded = load(None, {}, {"strategies": {"flow": None, "policy": own}}).settings
    app: Any = SimpleNamespace(settings=loaded)
    return other_models(app, "policy", RESULTS)


def test_model_of_the_evaluated_configuration_is_the_one(tmp_path: Path) -> None:
    assert told(tmp_path, {CONFIGURATION: RESULTS.configuration}) == ""


@pytest.mark.parametrize("settings", [{}, {CONFIGURATION: "0" * 64}])
def test_model_of_another_configuration_is_named(tmp_path: Path, settings: dict[str, str]) -> None:
    found = told(tmp_path, settings)
    assert "isn't of the configuration that was evaluated" in found
    assert RESULTS.configuration[:8] in found


def test_model_of_other_features_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.commands.promote.test_run_inputs.RESULTS", replace(RESULTS, features={"rsi_14": "2"}))
    assert "other features" in told(tmp_path, {CONFIGURATION: RESULTS.configuration})


def test_a_policy_that_only_trains_has_no_models_to_compare(tmp_path: Path) -> None:
    assert told(tmp_path, {}, mode="training", models=[]) == ""
