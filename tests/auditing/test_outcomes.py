"""Outcomes: what counts how often, and finds only where there is something to find."""

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.trades import Told, judged, panel, panel_days, panel_outcomes, panel_returns
from tests.suite.tiers import sized
from tradebot.auditing.confidence_intervals import LEVEL
from tradebot.auditing.outcomes import (
    MeasuredOutcome,
    OutcomeRow,
    Refusals,
    RefusedTally,
    StrategyOutcomes,
    Tally,
    describe_prediction,
    what_refusals_did,
)
from tradebot.model.decision import Gate
from tradebot.model.record import RefusedTrade
from tradebot.model.struct_tools import replace

KNOWN = MeasuredOutcome("1 hour", 90, 30, 0.002, 0.001, 0.003, 0.001, is_found=True, needed=40)
REFUSED = Refusals(84, 21, -312.5, -700.0, 75.0)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (KNOWN, "it predicts"),
        (replace(KNOWN, mean=-0.002), "it predicts the opposite"),
        (replace(KNOWN, is_found=False), "can't be distinguished from chance; detecting 0.1% takes about 40 sessions"),
        (
            replace(KNOWN, is_found=False, needed=30),
            "no better than chance; an effect of 0.1% would probably have shown by now",
        ),
        (
            replace(KNOWN, low=None, high=None, p=None, is_found=False, needed=None, sessions=3),
            "too few sessions: 3 of at least 8 sessions",
        ),
        (replace(KNOWN, horizon="10 sessions", low=None, sessions=1), "too few sessions: 1 of at least 44 sessions"),
        (replace(KNOWN, low=None), "every session gave the same result, so chance can't be ruled out"),
        (replace(KNOWN, mean=None), "no return is complete yet"),
    ],
)
def test_verdict_is_a_plain_sentence(found: MeasuredOutcome, sentence: str) -> None:
    assert describe_prediction(found) == sentence


@pytest.mark.parametrize(
    ("found", "benchmark", "sentence"),
    [
        (
            REFUSED,
            "SPY",
            "The gates refused 84 trades in 21 sessions; with 1,000 USD in each, held to the close, they would have "
            "made 312.50 USD less than the same stakes in SPY (95% interval -700.00 to +75.00 USD): refusing them "
            "neither clearly cost nor clearly saved money.",
        ),
        (
            replace(REFUSED, usd=50.0, low_usd=10.0),
            "SPY",
            "The gates refused 84 trades in 21 sessions; with 1,000 USD in each, held to the close, they would have "
            "made 50.00 USD more than the same stakes in SPY (95% interval +10.00 to +75.00 USD): refusing them "
            "cost money.",
        ),
        (
            replace(REFUSED, high_usd=-20.0),
            None,
            "The gates refused 84 trades in 21 sessions; with 1,000 USD in each, held to the close, they would have "
            "lost 312.50 USD (95% interval -700.00 to -20.00 USD): refusing them saved money.",
        ),
        (
            Refusals(1, 1, 5.0, None, None),
            None,
            "The gates refused 1 trade in 1 session; with 1,000 USD in each, held to the close, they would have made "
            "5.00 USD, but 1 session can't show whether that was chance.",
        ),
        (None, "SPY", "No refused trade is complete yet, so nothing can be said about refusals."),
    ],
)
def test_effect_of_refusals_is_one_sentence(found: Refusals | None, benchmark: str | None, sentence: str) -> None:
    assert what_refusals_did(found, benchmark) == sentence


PANELS = sized(24, 300)
SESSIONS = 24


def tables(found: StrategyOutcomes) -> dict[str, tuple[OutcomeRow, ...]]:
    score = (OutcomeRow("score", found.score),)
    return {"score": score, "deciles": found.deciles, "components": found.components, "gates": found.gates}


def finds(found: StrategyOutcomes) -> set[str]:
    return {name for name, rows in tables(found).items() if any(each.is_found for row in rows for each in row.horizons)}


@cache
def without_edge() -> tuple[StrategyOutcomes, ...]:
    return tuple(panel(seed, SESSIONS, 0.0) for seed in range(PANELS))


@pytest.mark.sampled
def test_without_an_edge_tables_find_something_no_oftener_than_they_say() -> None:
    found = [finds(each) for each in without_edge()]
    for name in ("score", "deciles", "components", "gates"):
        share = sum(name in each for each in found) / PANELS
        # Three standard errors above the level.
        assert share <= LEVEL + 3 * (LEVEL * (1 - LEVEL) / PANELS) ** 0.5


@pytest.mark.sampled
def test_one_horizon_by_itself_is_found_as_often_as_its_level_says() -> None:
    outside = tested = 0
    for found in without_edge():
        for row in found.components:
            for each in row.horizons[:3]:
                if each.low is not None and each.high is not None:
                    tested += 1
                    outside += not each.low <= 0 <= each.high
    assert tested == 9 * PANELS
    assert 0.01 < outside / tested < 0.10


@pytest.mark.sampled
def test_an_edge_is_found_where_it_is() -> None:
    seeds = range(PANELS // 4)
    found = [panel(seed, SESSIONS, 0.5) for seed in seeds]
    hours = [each.score[0] for each in found]
    assert sum(hour.is_found and (hour.mean or 0) > 0 for hour in hours) >= 0.9 * len(seeds)
    # The edge is half a standard deviation of an hour's return.
    assert sum(hour.mean or 0 for hour in hours) / len(hours) == pytest.approx(0.002, rel=0.2)
    against = [panel(seed, SESSIONS, -0.5).score[0] for seed in seeds]
    assert sum(hour.is_found and (hour.mean or 0) < 0 for hour in against) >= 0.9 * len(seeds)


def test_a_moment_that_two_passes_look_at_counts_once() -> None:
    day = {("AAPL", 0): panel_returns(0.01), ("AAPL", 5): panel_returns(0.03)}
    once = panel_outcomes((day, [judged(was_gated=False), judged(), judged(minute=5)]))
    assert (once.candidates, once.score[0].candidates, once.score[0].sessions) == (2, 2, 1)
    assert once.score[0].mean == pytest.approx(0.02)


def test_a_session_counts_once_however_many_candidates_it_has() -> None:
    busy = {("AAPL", minute): panel_returns(0.01) for minute in range(9)}
    found = panel_outcomes(
        (busy, [judged(minute=minute) for minute in range(9)]), ({("AAPL", 0): panel_returns(0.03)}, [judged()])
    )
    assert (found.score[0].candidates, found.score[0].sessions) == (10, 2)
    assert found.score[0].mean == pytest.approx(0.02)


def test_following_is_short_below_zero_and_in_proportion_to_the_value() -> None:
    day = {("AAPL", 0): panel_returns(0.02), ("MSFT", 0): panel_returns(0.05), ("XOM", 0): panel_returns(0.4)}
    found = panel_outcomes(
        (day, [judged(score=0.6, parts={"flow": None}), judged("MSFT", -0.2, parts={"flow": -1.0}), judged("XOM", 0.0)])
    )
    assert found.score[0].mean == pytest.approx((0.6 * 0.02 - 0.2 * 0.05) / 0.8)
    (flow,) = found.components
    assert flow.horizons[0].mean == pytest.approx(-0.05)
    assert flow.horizons[0].candidates == 1


def test_a_gate_is_charged_once_a_session_with_what_it_kept_from_being_traded() -> None:
    day = {("AAPL", minute): panel_returns(None, 0.01 * (minute + 1)) for minute in range(4)} | {
        ("MSFT", minute): panel_returns(None, -0.05) for minute in range(2)
    }
    found = panel_outcomes(
        (
            day,
            [
                judged(gate=Gate.SPREAD),
                judged(gate=Gate.SPREAD, minute=1),
                judged(gate=Gate.COOLDOWN, minute=2),
                judged(gate=Gate.SPREAD, minute=3, was_gated=False),
                judged("MSFT", -0.5, Gate.SPREAD),
                judged("MSFT", -0.5, None, minute=1),
            ],
        ),
        ({("XOM", 0): panel_returns(None, 0.02)}, [judged("XOM", -0.5, Gate.RISK)]),
    )
    assert {row.name: row.horizons[1].candidates for row in found.gates} == {
        "cooldown": 1,
        "risk": 1,
        "sent": 1,
        "spread": 2,
    }
    means = {row.name: row.horizons[1].mean for row in found.gates}
    assert means == pytest.approx({"spread": (0.01 + 0.05) / 2, "cooldown": 0.03, "sent": 0.05, "risk": -0.02})
    # MSFT was sent a minute later, so that its refusal kept nothing from being traded.
    assert found.refusals is not None
    assert found.refusals.usd == pytest.approx(10.0 - 20.0)
    assert (found.refusals.trades, found.refusals.low_usd) == (2, None)


def test_a_candidate_without_direction_is_no_trade_and_one_without_a_score_only_counts_at_gates() -> None:
    day = {("AAPL", 0): panel_returns(0.01, 0.01), ("MSFT", 0): panel_returns(0.01, 0.01)}
    found = panel_outcomes((day, [judged(score=0.0, gate=Gate.STRATEGY), judged("MSFT", None, Gate.SPREAD)]))
    assert [row.name for row in found.gates] == ["spread"]
    assert found.candidates == 1


def test_candidates_without_a_bar_are_counted_as_such() -> None:
    found = panel_outcomes(({("AAPL", 0): panel_returns(0.01)}, [judged(), judged("MSFT"), judged(minute=3)]))
    assert (found.candidates, found.unmeasured) == (1, 2)


def test_refusals_add_up_and_their_interval_with_them() -> None:
    panel_days = [
        ({("AAPL", 0): panel_returns(None, 0.01 + 0.001 * (n % 3))}, [judged(gate=Gate.SPREAD)]) for n in range(12)
    ]
    found = panel_outcomes(*panel_days).refusals
    assert found is not None
    assert found.usd == pytest.approx(132.0)
    assert (found.trades, found.sessions) == (12, 12)
    assert found.low_usd is not None
    assert found.high_usd is not None
    assert 120 < found.low_usd < 132 < found.high_usd < 144


@settings(max_examples=30)
@given(st.lists(st.sampled_from([-0.5, -0.1, 0.0, 0.2, 0.9]) | st.floats(-1, 1), min_size=1, max_size=60))
def test_deciles_hold_each_candidate_once_in_the_order_of_scores(scores: list[float]) -> None:
    day = {("AAPL", minute): panel_returns(0.01) for minute in range(len(scores))}
    rows = panel_outcomes((day, [judged(score=score, minute=minute) for minute, score in enumerate(scores)])).deciles
    assert sum(row.horizons[0].candidates for row in rows) == len(scores)
    ends = [(row.lowest, row.highest) for row in rows]
    flat = [end for pair in ends for end in pair]
    assert flat == sorted(flat, key=lambda end: end if end is not None else 0.0)
    assert len({end for _, end in ends}) == len(rows) <= 10
    if len(set(scores)) == len(scores) and len(scores) % 10 == 0:
        assert {row.horizons[0].candidates for row in rows} == {len(scores) // 10}


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_returns_change_sign_with_the_scores(seed: int) -> None:
    def measured(sign: float) -> list[float]:
        panel_days = []
        for number in range(3):
            value = ((seed * 7 + number * 3) % 11 - 5.5) / 10
            panel_days.append(
                (
                    {("AAPL", 0): panel_returns(0.01 * (number + 1))},
                    [judged(score=sign * value, parts={"flow": sign * value})],
                )
            )
        found = panel_outcomes(*panel_days)
        return [row.mean or 0.0 for row in (found.score[0], found.components[0].horizons[0])]

    assert measured(1) == pytest.approx([-each for each in measured(-1)])


def test_refusals_alone_add_up_to_the_same() -> None:
    tally, alone = Tally(), RefusedTally()
    for told, each in panel_days(Random(5), 12, 0.0):  # noqa: S311 -- replayable on purpose
        day, first = Told(told), dict[str, RefusedTrade]()
        tally.add(day, each)
        sent = {one.symbol for one in each if one.gate is None}
        for one in each:
            first.setdefault(one.symbol, RefusedTrade(one.at, one.strategy, one.symbol, one.side))
        alone.add(day, [refused for symbol, refused in first.items() if symbol not in sent])
    (found,) = tally.outcomes()
    assert found.refusals is not None
    assert alone.worth() == {"flow": found.refusals}
