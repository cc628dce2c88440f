"""Arrays are used where they play a plan as the road does; where they can't, it is told why, and the road is used.

Arrays play what the road plays, to the cent: position, refusals, reward and each number of the observation.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from tests.lab.learning.arrays.drawing import LIMITS, NAMES, STARTS, plan, sequence, tapes
from tradebot.lab.learning.arrays.engine_choice import (
    ChosenEpisodes,
    EpisodeAccount,
    VectorizedEpisode,
    choose_episodes,
    draw_actions,
    first_difference,
)
from tradebot.lab.learning.arrays.episode_data import EpisodeData
from tradebot.lab.learning.environment import Environment, EpisodeTerms, RunningEpisode, event_driven_episode
from tradebot.lab.learning.training.training import span_of
from tradebot.model.reasons import Reason
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
    assert found.why.startswith("vectorized and event-driven results differ: observation after ")
    assert found.begin is event_driven_episode
    assert len(found.spans) == 1


def test_actions_are_drawn_from_a_seed_and_last() -> None:
    assert draw_actions(3, 500) == draw_actions(3, 500) != draw_actions(4, 500)
    assert {*draw_actions(3, 500)} == {-2, -1, 0, 1, 2}
    assert len(draw_actions(3, 500)) == 500


def test_an_episode_that_ends_with_its_session_is_played_on_the_road() -> None:
    span = span_of(plan(), "policy", NAMES)
    terms = replace(EpisodeTerms(span.plan, span.scaling), flat_overnight=True)
    assert choose_episodes([terms], span.scaling, span.parts, 1) == ChosenEpisodes(
        (terms,), event_driven_episode, "episodes that end with their session (flat_overnight) aren't supported"
    )


SEQUENCES, STEPS, PART, SHARES = 1000, 500, 50, 5
"""How many sequences there are, how long each is, and that a run plays one of so many of them, in so many tests."""
REASONS = {
    Reason.HALTED, Reason.SIZE_BELOW_ONE, Reason.MAX_SESSION_ENTRIES, Reason.MAX_SYMBOL_ENTRIES,
    Reason.ORDER_NOTIONAL_BELOW_MIN, Reason.SYMBOL_NOTIONAL_ABOVE_MAX, Reason.CONTRACTS_ABOVE_MAX,
    Reason.DAILY_LOSS_REACHED, Reason.COOLDOWN, Reason.DUPLICATE_ORDER,
}  # fmt: skip


def playing(tape: EpisodeData, terms: EpisodeTerms) -> RunningEpisode:
    return VectorizedEpisode(tape)


def refused(tape: EpisodeData, actions: Sequence[int]) -> set[str]:
    found: set[str] = set()
    with Environment(tape.terms, partial(playing, tape)) as episode:
        episode.reset()
        for action in actions:
            *_, over, cut, info = episode.step(action)
            found |= {*info["refused"]}
            if over or cut:
                break
    return found


def test_drawn_actions_do_the_same_on_both(monkeypatch: pytest.MonkeyPatch) -> None:
    (tape,) = tapes(plan(limits=LIMITS[1]))
    actions = draw_actions(22, 60)
    assert first_difference(tape, actions) is None
    assert refused(tape, actions) == {Reason.MAX_SESSION_ENTRIES, Reason.MAX_SYMBOL_ENTRIES}
    # A commission that is forgotten, and a limit that isn't asked, are found.
    assert str(first_difference(tape._replace(fee=tape.fee - 1), actions)).startswith(
        "equity, reward, observation after "
    )
    assert "refused" in str(first_difference(tape._replace(rules=tape.rules._replace(symbol_entries=7)), actions))
    monkeypatch.setattr(EpisodeAccount, "see", lambda account, place: None)
    assert str(first_difference(tape, actions)).startswith("observation after ")


def test_position_that_should_change_sides_while_halted_is_closed_on_both() -> None:
    (tape,) = tapes(plan(start=STARTS[3], limits=LIMITS[12], halts={"daily_loss_fraction": 0.005}, cash=40_000))
    actions = draw_actions(29, 25)
    assert first_difference(tape, actions) is None
    assert refused(tape, actions) == {Reason.HALTED}


def test_episode_on_arrays_is_cut_off_at_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    (tape,) = tapes(plan(limits=LIMITS[4]))
    monkeypatch.setattr("tradebot.lab.learning.environment.KEEPS_OF_START", Decimal("0.9995"))
    with Environment(tape.terms, partial(playing, tape)) as episode:
        episode.reset()
        place, ended = 0, (False, False)
        while not any(ended) and place < 100:
            ended, place = episode.step((2, -2)[place % 2])[2:4], place + 1
    assert ended == (False, True)


@pytest.mark.campaign
@pytest.mark.parametrize("share", range(SHARES))
def test_drawn_sequences_are_the_same_on_both(share: int, request: pytest.FixtureRequest) -> None:
    """All thousand are played by the odd seeds of a hundred weeks; the limits differ from one to the next."""
    turn = int(request.config.getoption("--seed")) // 2
    for number in range(turn % PART + PART * share, SEQUENCES, PART * SHARES):
        of = sequence(number, STEPS)
        for tape in tapes(of.plan):
            assert first_difference(tape, of.actions) is None, f"sequence {number}"


@pytest.mark.campaign
def test_what_is_drawn_reaches_every_reason_that_arrays_know() -> None:
    told: set[str] = set()
    for number in (3, 8, 9, 13, 15, 22, 24):
        of = sequence(number, STEPS)
        for tape in tapes(of.plan):
            told |= refused(tape, of.actions)
    assert told == REASONS
