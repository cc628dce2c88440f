"""What a model says of itself is believed only if it fits together."""

import math

import pytest

from tests.kit.fakes.networks import card, probe, results, scaling
from tradebot.learning.model_card import Card, FeatureUsed, Probe, Scaling, other_features, problems
from tradebot.model.struct_tools import replace

CARD = card(("rsi_14", "body"))
SCALING, PROBE = scaling(CARD.names), probe(CARD.inputs)
ROW = (0.0,) * CARD.inputs


def test_model_that_fits_together_has_no_problem() -> None:
    assert [*problems(CARD, SCALING, PROBE)] == []
    remembers = card(("rsi_14", "body"), recurrent=True)
    assert [*problems(remembers, SCALING, probe(CARD.inputs, memories=3))] == []


@pytest.mark.parametrize(
    ("made", "scaled", "probed", "problem"),
    [
        (replace(CARD, format=2), SCALING, PROBE, "format 2"),
        (replace(CARD, timeframe="1Day"), SCALING, PROBE, "timeframe '1Day'"),
        (replace(CARD, timeframe="soon"), SCALING, PROBE, "timeframe 'soon'"),
        (replace(CARD, features=(CARD.features[0],) * 2), SCALING, PROBE, "no feature, or one twice"),
        (replace(CARD, seeds=()), SCALING, PROBE, "no seed or no trial"),
        (replace(CARD, trials=0), SCALING, PROBE, "no seed or no trial"),
        (replace(CARD, created_at=CARD.created_at.replace(tzinfo=None)), SCALING, PROBE, "no time zone"),
        (replace(CARD, results=results(0.1, 0.1)[::-1]), SCALING, PROBE, "results are out of order"),
        (replace(CARD, results=results(math.nan)), SCALING, PROBE, "results isn't a number"),
        (replace(CARD, results=results(-1.0)), SCALING, PROBE, "results isn't a number"),
        (
            replace(CARD, data=(replace(CARD.data[0], last=CARD.data[0].first.replace(year=2020)),)),
            SCALING, PROBE, "ends before it begins",
        ),
        (CARD, Scaling((0.0,), (1.0,)), PROBE, "doesn't match the card's 2 features"),
        (CARD, Scaling((0.0, 0.0), (1.0, 0.0)), PROBE, "isn't a number above zero"),
        (CARD, Scaling((0.0, math.inf), (1.0, 1.0)), PROBE, "isn't a number above zero"),
        (CARD, Scaling((0.0, 0.0), (1.0, math.nan)), PROBE, "isn't a number above zero"),
        (CARD, SCALING, replace(PROBE, observations=PROBE.observations[1:]), "31 stored observations with 32 answers"),
        (CARD, SCALING, replace(PROBE, observations=(ROW[1:], *PROBE.observations[1:])), "doesn't have 8 numbers"),
        (CARD, SCALING, replace(PROBE, answers=((math.nan,), *PROBE.answers[1:])), "isn't finite"),
        (CARD, SCALING, replace(PROBE, answers=((math.inf,), *PROBE.answers[1:])), "isn't finite"),
        (CARD, SCALING, replace(PROBE, memories=((0.0,),) * 32), "lacks the network's recurrent state"),
        (replace(CARD, recurrent=True), SCALING, PROBE, "lacks the network's recurrent state"),
    ],
)  # fmt: skip
def test_contradiction_is_named(made: Card, scaled: Scaling, probed: Probe, problem: str) -> None:
    assert any(problem in told for told in problems(made, scaled, probed))


def test_other_features_are_named_with_their_version() -> None:
    made = replace(CARD, features=(FeatureUsed("rsi_14", 2), FeatureUsed("moon", 1)))
    assert other_features(made, {"rsi_14": 1}) == ["rsi_14 version 2, but this program has 1", "moon version 1"]
    assert other_features(CARD, {"rsi_14": 1, "body": 1, "spread": 1}) == []
