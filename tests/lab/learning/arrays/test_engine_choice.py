"""Arrays are used where they play a plan as the road does; where they can't, it is told why, and the road is used."""

from datetime import date
from typing import Any

import pytest

from tests.lab.learning.arrays.drawing import NAMES, plan
from tradebot.lab.learning.arrays.engine_choice import ChosenEpisodes, EpisodeAccount, choose_episodes, draw_actions
from tradebot.lab.learning.environment import Environment, EpisodeTerms, on_the_road
from tradebot.lab.learning.training.training import span_of
from tradebot.model.struct_tools import replace


def chosen_for(**of: Any) -> ChosenEpisodes:
    span = span_of(plan(**of), "policy", NAMES)
    return choose_episodes([EpisodeTerms(span.plan, span.scaling)], span.scaling, span.parts, 1)


@pytest.mark.campaign
def test_a_change_of_contract_ends_an_episode_and_each_is_compared() -> None:
    found = chosen_for(start=date(2026, 12, 7), sessions=2)
    assert found.why == ""
    days = date(2026, 12, 7), date(2026, 12, 8)
    assert [(one.first, one.last) for one in found.spans] == [(day, day) for day in days]
    for terms, day, symbol in zip(found.spans, days, ("MESZ6", "MESH7"), strict=True):
        with Environment(terms, found.begin) as episode:
            _, info = episode.reset()
            assert (info["symbol"], info["at"].day) == (symbol, day.day - 1)


def test_what_differs_is_played_on_the_road(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EpisodeAccount, "drawdown", lambda account, place: 0.0)
    found = chosen_for()
    assert found.why.startswith("arrays and the road differ: observation after ")
    assert found.begin is on_the_road
    assert len(found.spans) == 1


def test_actions_are_drawn_from_a_seed_and_last() -> None:
    assert draw_actions(3, 500) == draw_actions(3, 500) != draw_actions(4, 500)
    assert {*draw_actions(3, 500)} == {-2, -1, 0, 1, 2}
    assert len(draw_actions(3, 500)) == 500


def test_an_episode_that_ends_with_its_session_is_played_on_the_road() -> None:
    span = span_of(plan(), "policy", NAMES)
    terms = replace(EpisodeTerms(span.plan, span.scaling), flat_overnight=True)
    assert choose_episodes([terms], span.scaling, span.parts, 1) == ChosenEpisodes(
        (terms,), on_the_road, "an episode ends with its session"
    )
