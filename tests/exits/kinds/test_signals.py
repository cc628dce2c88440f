"""What closes a position because its signal faded, or because everything against it adds up."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW, held, instrument
from tradebot.exits.exit_rule import ExitMoment, Measure, RuleInput, WatchedPosition
from tradebot.exits.kinds.signals import AdverseEvidence, SignalDecay, Urgency, contributions, urgency_of
from tradebot.exits.rules import parse
from tradebot.model.position import EntryTerms, ExitInputs
from tradebot.model.struct_tools import replace

D = Decimal
DECAY = SignalDecay(noise_multiple=2, recovery_multiple=1, confirm_passes=2, min_hold_s=600)
"""With noise of 0.1, an entry score of 0.6 has faded at 0.4 and recovered above 0.5."""


def measured(*scores: float, entry: float = 0.6, noise: float = 0.1, age_s: float = 600) -> Measure:
    quantity = "10" if entry > 0 else "-10"
    of = replace(held(quantity, age_s=age_s), kept=EntryTerms(entry_score=entry), outlook=ExitInputs(scores, noise))
    answer = DECAY.judge(of, ExitMoment(NOW))
    assert isinstance(answer, Measure)
    return answer


@pytest.mark.parametrize(
    ("scores", "closes"),
    [
        ((0.38,), False),  # not confirmed yet
        ((0.38, 0.38), True),
        ((0.38, 0.45), True),  # hovering between the two limits confirms it
        ((0.38, 0.55, 0.38), False),  # recovered in between: counted again
        ((0.42, 0.42, 0.42), False),  # never faded
        ((0.38, 0.38, 0.55), False),  # has recovered
        ((-0.3, -0.3), True),
    ],
)
def test_it_acts_once_the_drop_is_confirmed(scores: tuple[float, ...], closes: bool) -> None:
    assert measured(*scores).closes is closes
    assert measured(*(-score for score in scores), entry=-0.6).closes is closes


def test_it_acts_at_its_limits_exactly_and_never_before_the_least_time() -> None:
    # An entry score of 1 and noise of 0.25, which a float holds exactly: faded at 0.5, recovered above 0.75.
    tried = ((0.5, 0.75), (0.5, 0.76), (0.51, 0.51))
    assert [measured(*scores, entry=1.0, noise=0.25).closes for scores in tried] == [True, False, False]
    assert [measured(0.1, 0.1, age_s=age_s).closes for age_s in (599, 600)] == [False, True]


def test_its_numbers_are_the_drop_in_units_of_noise_and_the_share_of_the_score_that_is_left() -> None:
    measure = measured(0.39, 0.39)
    assert (measure.observed, measure.limit, measure.shown) == pytest.approx((2.1, 2, 0.65))


@given(st.lists(st.floats(-0.099, 0.099), min_size=1, max_size=30), st.sampled_from([0.6, -0.6]))
def test_scores_within_the_noise_close_nothing(jitter: list[float], entry: float) -> None:
    assert not measured(*(entry + each for each in jitter), entry=entry, age_s=100_000).closes


def test_a_score_of_zero_or_noise_of_zero_measures_nothing() -> None:
    of = held("10")
    for kept, noise, what in (
        (EntryTerms(entry_score=0.0), 0.1, RuleInput.ENTRY_SCORE),
        (EntryTerms(entry_score=0.5), 0.0, RuleInput.NOISE),
    ):
        known = replace(of, kept=kept, outlook=ExitInputs((0.1,), noise))
        assert DECAY.judge(known, ExitMoment(NOW)) == what


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"signal_decay": {**DECAY.model_dump(), "recovery_multiple": 2}}, "must be below noise_multiple"),
        ({"signal_decay": {**DECAY.model_dump(), "min_hold_s": 14_400}}, "no position gets that old"),
        ({"urgency": {"reduce_at": 6, "exit_at": 6, "reduce_share": 0.5}}, "must be above reduce_at"),
    ],
)
def test_settings_that_could_never_act_do_not_load(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse([rule, {"time_exit": {"after_s": 14_400}}])


GOLDEN = Path(__file__).resolve().parents[4] / "shared" / "data" / "flow" / "golden_exits.json"
URGENCY = Urgency(reduce_at=3, exit_at=6, reduce_share=D("0.5"))


@pytest.fixture(scope="module")
def vectors() -> list[dict[str, Any]]:
    if not GOLDEN.exists():
        pytest.skip("shared/data absent: flow/golden_exits.json holds the recorded decisions")
    recorded: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))["vectors"]
    return recorded


def against(inputs: Mapping[str, Any]) -> AdverseEvidence:
    """Return a vector's inputs. What is absent there had a default in the earlier bot; to our rule it is UNKNOWN."""
    entry = 3.0 if inputs["entry_score"] is None else inputs["entry_score"]
    score = entry if inputs["current_score"] is None else inputs["current_score"]
    gain = inputs["pnl_pct"] or 0.0
    return AdverseEvidence(
        score / entry if entry else 1.0,
        gain,
        gain if inputs["high_water_pct"] is None else inputs["high_water_pct"],
        inputs["age_h"] or 0.0,
        inputs["flow_reversed"] or False,
        (inputs["momentum"] or 0.0) * (-1 if inputs["direction"] == "short" else 1),
    )


def action(urgency: float) -> str:
    return "exit" if urgency >= URGENCY.exit_at else "reduce" if urgency >= URGENCY.reduce_at else "hold"


def test_every_recorded_vector_has_its_urgency_and_its_action(vectors: list[dict[str, Any]]) -> None:
    assert len(vectors) == 28
    for vector in vectors:
        given, out = against(vector["inputs"]), vector["outputs"]
        urgency = urgency_of(given)
        assert contributions(given) == pytest.approx(out["contributions"], abs=1e-9), vector["name"]
        assert urgency == pytest.approx(out["urgency_unrounded"], abs=1e-9), vector["name"]
        assert (round(urgency, 2), action(urgency)) == (out["urgency"], out["action"]), vector["name"]


def position(quantity: int, *, score: float, best: str, flow: float, momentum: str = "0") -> WatchedPosition:
    side = 1 if quantity > 0 else -1
    of = held(str(quantity), "100", str(100 + side * (D(best) - 100)), age_s=86_400)
    return replace(
        of,
        kept=EntryTerms(entry_score=side * 0.5, original_quantity=D(10), instrument=instrument()),
        outlook=ExitInputs((side * score,), flow=side * flow, momentum=side * D(momentum)),
    )


def judged(of: WatchedPosition, price: int = 100) -> Measure:
    measure = URGENCY.judge(of, ExitMoment(NOW, D(price)))
    assert isinstance(measure, Measure)
    return measure


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("quantity", "score", "best", "flow", "closes", "shares", "urgency"),
    [
        (10, 0.2, "105", -0.1, True, None, 6.0),
        (10, 0.202, "105", -0.1, True, 5, 5.996),
        (10, 0.2, "100", -0.1, True, 5, 3.0),
        (10, 0.202, "100", -0.1, False, 5, 2.996),
        (7, 0.2, "100", -0.1, True, 2, 3.0),
        (5, 0.2, "100", -0.1, False, 0, 3.0),  # the part was closed before
    ],
)
def test_urgency_closes_everything_at_one_threshold_and_a_part_once_at_the_other(
    side: int, quantity: int, score: float, best: str, flow: float, closes: bool, shares: int | None, urgency: float
) -> None:
    of = position(side * quantity, score=score, best=best, flow=flow)
    measure = judged(of, 100 + side if best == "105" else 100)
    assert (measure.closes, measure.shares) == (closes, shares)
    assert measure.observed == pytest.approx(urgency)


def test_the_part_that_urgency_closes_is_rounded_down_to_whole_shares_and_momentum_counts_in_percent() -> None:
    of = position(9, score=0.2, best="100", flow=-0.1)
    measure = judged(replace(of, kept=replace(of.kept, original_quantity=D(9))))
    assert (measure.closes, measure.shares) == (True, Decimal(4))
    against = judged(position(10, score=0.5, best="100", flow=0.0, momentum="-0.02"))
    assert against.observed == pytest.approx(2.6)


@pytest.mark.parametrize(
    ("at", "beyond", "factor"),
    [
        ({"score_kept": 0.7}, {"score_kept": 0.699}, "signal_decay"),
        ({"best_pct": 3.0}, {"best_pct": 3.01}, "drawdown"),
        ({"age_h": 72.0}, {"age_h": 72.1}, "time"),
        ({"momentum_pct": -0.5}, {"momentum_pct": -0.51}, "momentum"),
        ({"gain_pct": -5.0, "best_pct": -5.0}, {"gain_pct": -5.01, "best_pct": -5.01}, "loss"),
    ],
)
def test_a_factor_adds_nothing_at_its_threshold(at: dict[str, Any], beyond: dict[str, Any], factor: str) -> None:
    calm = AdverseEvidence(1.0, 0.0, 0.0, 24.0, flow_reversed=False, momentum_pct=0.0)
    assert contributions(replace(calm, **at)) == dict.fromkeys(contributions(calm), 0.0)
    assert contributions(replace(calm, **beyond))[factor] > 0
