"""A job says what is trained; what can't be trained is refused by name."""

from typing import Any

import pytest

from tradebot.errors import OperatorError
from tradebot.lab.learning.training.job import AGENTS, TrainingJob, usual_features, validate_job
from tradebot.model.struct_tools import replace

JOB = TrainingJob("ppo", 1, 20_000)


def test_configuration_is_all_but_the_seed() -> None:
    assert replace(JOB, seed=2).configuration == JOB.configuration
    others = [
        replace(JOB, agent="sac"),
        replace(JOB, steps=20_001),
        replace(JOB, settings={"gamma": 0.95}),
        replace(JOB, features=JOB.features[1:]),
    ]
    assert len({one.configuration for one in (JOB, *others)}) == len(others) + 1
    # Naming what is shipped changes nothing.
    assert replace(JOB, settings={"gamma": 0.99}).configuration == JOB.configuration


def test_steps_are_made_whole_and_some_settings_may_be_zero() -> None:
    assert validate_job(replace(JOB, steps=20_000)).steps == 20_480
    assert validate_job(replace(JOB, steps=20_480)).steps == 20_480
    assert validate_job(replace(JOB, agent="td3", settings={"exploration": 0})).steps == 20_000
    assert validate_job(replace(JOB, settings={"ent_coef": 0})).values["ent_coef"] == 0


def test_every_agent_can_be_trained_as_it_is_shipped() -> None:
    for agent, of in AGENTS.items():
        validate_job(TrainingJob(agent, 1, of.steps or 0))
    assert len(usual_features()) > 40


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"agent": "dqn"}, "no agent dqn"),
        ({"settings": {"gama": 0.9}}, "no setting gama"),
        ({"settings": {"gamma": -1.0}}, "can't be -1.0"),
        ({"settings": {"gamma": float("nan")}}, "can't be nan"),
        ({"settings": {"n_steps": 0.5}}, "can't be 0.5"),
        ({"settings": {"gamma": 1.5}}, "can't be 1.5"),
        ({"settings": {"learning_rate": 0}}, "can't be 0"),
        ({"agent": "sac", "steps": 1_000}, "learns nothing in its first 1,000 steps"),
        ({"settings": {"n_steps": True}}, "can't be True"),
        ({"seed": -1}, "-1 is not a seed"),
        ({"steps": 10}, "10 steps"),
        ({"features": ("rsi",)}, "no feature rsi"),
        ({"features": ("rsi_14", "rsi_14")}, "named twice"),
        ({"features": ()}, "no feature is left to learn from"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        validate_job(replace(JOB, **changes))
