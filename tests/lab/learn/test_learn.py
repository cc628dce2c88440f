"""All of it together: what is planted is found, noise proposes nothing, and the order of reading changes nothing.

Whether trades with a strong score did better, from which no setting follows.

Tighter limits, played over the entries that were made; never a looser one.
Weights of signals: intervals, averages and steps by the earlier bot's figures, over trades that count.
"""

from datetime import timedelta
from decimal import Decimal
from itertools import accumulate
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.trades import DAY, OPEN, WORTH, numbered_sessions, outcomes, trade
from tests.kit.values import LIMITS
from tests.suite.tiers import sized
from tradebot.lab.learn.knobs import ExitAt, HoldingTimeLimit, TunableSetting
from tradebot.lab.learn.learn import (
    ALPHA,
    HIGHEST,
    LOWEST,
    NEUTRAL,
    ComponentCall,
    ComponentRecord,
    LearnedStrategy,
    LearningMaterial,
    LearnResult,
    OpenedPosition,
    WatchedStrategies,
    component_record,
    conviction,
    is_tighter,
    learn_from_trades,
    limit_settings,
    proposals,
    step_weight,
    unknown_names,
)
from tradebot.lab.learn.values import LEAST, Item
from tradebot.lab.performance.statistics import Interval
from tradebot.model.candidate import Component
from tradebot.model.struct_tools import replace
from tradebot.signals.components import component_names, component_of
from tradebot.timetable.job_times import parse
from tradebot.views.trades.trade_row import EntrySource, TradeRow, TradeStatus

WEIGHTS = {"flow": 0.4, "insider": 0.15}
ENTRIES = "timetable.trade-once", parse("every 5m from open+2m until close-15m", DAY)
SESSIONS, A_DAY, STEPS = 30, 6, 60


def material(trades: list[TradeRow]) -> LearningMaterial:
    exits = WatchedStrategies(
        "",
        frozenset({"flow"}),
        ExitAt("exits.stop_loss_fraction", Decimal("0.02")),
        ExitAt("exits.profit_target_fraction", Decimal("0.03")),
        HoldingTimeLimit("exits.time_exit_s", 14_400),
    )
    flow = LearnedStrategy("flow", WEIGHTS, LIMITS.model_copy(update={"max_open_positions": 10}), asked_each_time=True)
    return LearningMaterial(trades, numbered_sessions(SESSIONS), DAY, [flow], [exits], ENTRIES)


def drawn(seed: int, *, late_loses: float = 0.0, insider: float = 0.0) -> list[TradeRow]:
    """Return trades that are noise; with an edge, those of the last hours lose, or one component knows the outcome."""
    chance, made = Random(seed), list[TradeRow]()  # noqa: S311 - repeatable on purpose
    for number in range(SESSIONS * A_DAY):
        minutes = 5 + 62 * (number % A_DAY)
        drift = late_loses if minutes > 300 else 0
        walk = [*accumulate(chance.gauss(-drift / STEPS, 8 / STEPS**0.5) for _ in range(STEPS))]
        net = walk[-1]
        knows = chance.random() < insider
        says = {"flow": chance.uniform(-1, 1), "insider": (net > 0) - 0.5 if knows else chance.uniform(-1, 1)}
        one = trade(
            number,
            net,
            in_session=number // A_DAY,
            minutes=minutes,
            held=timedelta(minutes=chance.randint(5, 120)),
            entry_score=chance.uniform(0.25, 0.8),
            best=max(0, *walk) / WORTH,
            worst=min(0, *walk) / WORTH,
        )
        parts = tuple(Component(name, value, WEIGHTS[name], "") for name, value in says.items())
        made.append(replace(one, components=parts))
    return made


def proposed(found: LearnResult) -> dict[str | None, str | None]:
    return {one.setting: one.proposed for one in found.proposals if one.proposed is not None}


def test_hours_that_lose_and_a_component_that_knows_are_found() -> None:
    assert proposed(learn_from_trades(material(drawn(1, late_loses=16)), None))["timetable.trade-once"] in (
        "every 5m from open+2m until close-75m",
        "every 5m from open+2m until close-105m",
    )
    assert proposed(learn_from_trades(material(drawn(2, insider=0.8)), None)) == {
        "strategies.flow.weights.insider": "0.1575"
    }


def test_noise_proposes_nothing_in_most_draws() -> None:
    draws = sized(12, 200)
    lucky = [seed for seed in range(draws) if proposed(learn_from_trades(material(drawn(100 + seed)), None))]
    assert len(lucky) <= draws // 6


def test_order_of_reading_changes_nothing_and_open_trades_are_no_losses() -> None:
    made = drawn(3)
    once = learn_from_trades(material(made), None)
    Random(4).shuffle(made)  # noqa: S311 - repeatable on purpose
    assert learn_from_trades(material(made), None) == once
    held = trade(9_000, -500, in_session=SESSIONS - 1, minutes=385, status=TradeStatus.OPEN, closed_at=None)
    others = [
        *(trade(9_001, -500, strategy="gone"), trade(9_002, -500, source=EntrySource.ADOPTED)),
        trade(9_003, -5, unknown_fees=1),
    ]
    with_others = learn_from_trades(material([*made, held, *others]), None)
    counts = with_others.counts
    assert (counts.counted, counts.open, counts.not_ours, counts.unknown_fees) == (len(made), 1, 2, 1)
    weights = [one for one in once.proposals if one.item is Item.WEIGHTS]
    assert [one for one in with_others.proposals if one.item is Item.WEIGHTS] == weights
    assert [one.n for one in with_others.proposals] == [one.n for one in once.proposals]


def test_nothing_traded_yet_says_how_much_is_missing_everywhere() -> None:
    found = learn_from_trades(material([]), None)
    assert {one.item for one in found.proposals} == {*Item} - {Item.BLOCKED}
    assert all(one.missing == 30 and "30 more closed trades" in one.evidence for one in found.proposals)
    assert proposed(found) == {}


def test_stronger_scores_that_earn_more_are_evidence_without_a_setting() -> None:
    made = [
        trade(n, 5 + n % 3 if n % 2 else -n % 3, in_session=n // 4, entry_score=0.3 + 0.2 * (n % 2)) for n in range(48)
    ]
    found = conviction("flow", outcomes(*made))
    assert (found.setting, found.proposed, found.missing, found.n) == (None, None, 0, 48)
    assert "more than chance. This changes no setting" in found.evidence


def test_scores_that_say_nothing_about_returns_are_no_more_than_chance() -> None:
    made = [
        trade(n, (-1) ** (n // 2), in_session=n // 4, minutes=n, entry_score=-0.3 - 0.2 * (n % 2)) for n in range(48)
    ]
    made += [trade(100, 5, in_session=1, entry_score=-0.5), trade(101, -5, in_session=2, entry_score=-0.5)]
    assert "no more than chance" in conviction("flow", outcomes(*made)).evidence


def test_few_trades_say_how_many_are_missing() -> None:
    found = conviction("flow", outcomes(*[trade(number, 1, entry_score=None) for number in range(40)], trade(50, 1)))
    assert (found.n, found.missing, found.missing_sessions, found.observed) == (1, 29, 8, None)
    assert "29 more closed trades and 8 more sessions" in found.evidence


SCORES = (0.2, 0.21, 0.22, 0.23, 0.24, 0.25, 0.26, 0.27, 0.28, 0.29)
NAMES = ["min_score", "max_open_positions", "max_session_entries", "max_symbol_entries", "cooldown_s"]


def knobs(*trades: TradeRow, **values: Any) -> dict[str, TunableSetting]:
    made = [OpenedPosition(one, DAY.date_of(one.opened_at)) for one in trades]
    found = limit_settings("flow", LIMITS.model_copy(update=values), made, outcomes(*trades))
    return {one.setting.rpartition(".")[2]: one for one in found}


def left_out(knob: TunableSetting) -> dict[str, list[str]]:
    """Return for each value which trades wouldn't have been made."""
    ids = [one.trade.id for one in knob.outcomes]
    return {other.value: [name for name, each in zip(ids, other.better, strict=True) if each] for other in knob.others}


def test_trades_with_a_score_below_a_higher_limit_are_left_out() -> None:
    made = [trade(number, 1, entry_score=(-1) ** number * score) for number, score in enumerate(SCORES)]
    found = left_out(knobs(*made, min_score=0.2)["min_score"])
    assert (found["0.21"], found["0.25"]) == (["t00000"], ["t00000", "t00001", "t00002", "t00003", "t00004"])
    assert "0.2" not in found


def test_position_that_is_refused_makes_room_for_the_next() -> None:
    """Open: 0 to 30, 10 to 40, 35 to 65. Without the second, the third finds room."""
    made = [trade(number, 1, minutes=minute) for number, minute in enumerate((0, 10, 35))]
    assert left_out(knobs(*made, max_open_positions=5)["max_open_positions"]) == {"1": ["t00001"]}


def test_open_position_takes_room_and_is_no_outcome() -> None:
    held = trade(0, -50, minutes=0, status=TradeStatus.OPEN, closed_at=None)
    found = knobs(held, trade(1, 1, minutes=100))["max_open_positions"]
    assert [one.trade.id for one in found.outcomes] == ["t00001"]
    assert left_out(found) == {"1": ["t00001"]}


def test_entries_of_a_session_and_of_a_symbol_are_counted_in_their_order() -> None:
    made = [trade(number, 1, minutes=number, symbol=symbol) for number, symbol in enumerate("ABAA")]
    found = knobs(*made, trade(9, 1, in_session=1, symbol="A"), max_session_entries=50, max_symbol_entries=5)
    assert left_out(found["max_session_entries"]) == {
        "3": ["t00003"],
        "2": ["t00002", "t00003"],
        "1": ["t00001", "t00002", "t00003"],
    }
    assert left_out(found["max_symbol_entries"]) == {"2": ["t00003"], "1": ["t00002", "t00003"]}


def test_longer_cooldown_leaves_out_what_follows_too_soon() -> None:
    made = [trade(number, 1, minutes=minute, symbol="A") for number, minute in enumerate((0, 80, 200))]
    # Fifty minutes after the first, and 90 after the second.
    assert left_out(knobs(*made, cooldown_s=1800)["cooldown_s"]) == {"3600": ["t00001"], "7200": ["t00001"]}


MADE = st.builds(
    trade,
    st.integers(0, 10_000),
    st.floats(-50, 50),
    in_session=st.integers(0, 5),
    minutes=st.integers(0, 380),
    held=st.integers(1, 200).map(lambda minutes: timedelta(minutes=minutes)),
    entry_score=st.none() | st.floats(-1, 1),
    symbol=st.sampled_from("ABC"),
)


@given(
    st.lists(MADE, max_size=25, unique_by=lambda one: one.id),
    st.floats(0.01, 1),
    st.integers(1, 12),
    st.integers(1, 90_000),
    st.randoms(),
)
def test_limits_are_only_tightened_whatever_was_traded_and_in_whatever_order_it_is_read(
    made: list[TradeRow], score: float, count: int, wait_s: int, chance: Any
) -> None:
    values = {
        "min_score": score,
        "max_open_positions": count,
        "max_session_entries": count,
        "max_symbol_entries": count,
    }
    found = knobs(*made, **values, cooldown_s=wait_s)
    assert list(found) == NAMES
    for name, knob in found.items():
        now = getattr(LIMITS.model_copy(update={**values, "cooldown_s": wait_s}), name)
        assert all(is_tighter(name, now, float(other.value)) for other in knob.others)
    chance.shuffle(made)
    assert knobs(*made, **values, cooldown_s=wait_s) == found


COMPONENT_WEIGHTS = {"flow": 0.4}


def calls(right: int, of: int) -> list[ComponentCall]:
    """Return calls in turn, so that right ones are spread over all of them."""
    rights = [place * right // of != (place + 1) * right // of for place in range(of)]
    return [
        ComponentCall(OPEN + timedelta(hours=place), is_right, 0.01 * is_right) for place, is_right in enumerate(rights)
    ]


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(20, 30, 0.4878, 0.8077), (25, 30, 0.6644, 0.9266), (15, 50, 0.1910, 0.4375), (0, 0, 0, 1)],
)
def test_share_of_right_calls_has_the_interval_of_wilson(right: int, of: int, low: float, high: float) -> None:
    found = component_record(calls(right, of))
    assert (found.right, found.calls) == (right, of)
    assert (found.share.low, found.share.high) == pytest.approx((low, high), abs=5e-5)


def test_recent_share_moves_by_a_share_of_each_call_and_starts_even() -> None:
    wrong, right = (
        ComponentCall(OPEN, right=False, gain=-0.02),
        ComponentCall(OPEN + timedelta(hours=1), right=True, gain=0.01),
    )
    found = component_record([right, wrong])
    after_one = 0.5 * (1 - ALPHA)
    assert found.lately == pytest.approx(after_one * (1 - ALPHA) + ALPHA)
    assert found.gain == pytest.approx(-0.02 * ALPHA * (1 - ALPHA) + 0.01 * ALPHA)


def test_calls_of_one_moment_count_as_often_as_they_are() -> None:
    found = component_record([ComponentCall(OPEN, right=True, gain=0.01), ComponentCall(OPEN, right=False, gain=0.03)])
    assert found.lately == pytest.approx(0.5)
    assert found.gain == pytest.approx(0.02 * (1 - (1 - ALPHA) ** 2))


def of(low: float, high: float, lately: float, gain: float = 0.01, count: int = LEAST) -> ComponentRecord:
    return ComponentRecord(count, count // 2, Interval((low + high) / 2, low, high), lately, gain)


@pytest.mark.parametrize(
    ("found", "before", "after"),
    [
        (of(0.56, 0.8, 0.56), 1.0, 1.05),
        (of(0.55, 0.8, 0.56), 1.0, 1.0),
        (of(0.56, 0.8, 0.55), 1.0, 1.0),
        (of(0.56, 0.8, 0.56, gain=0.0), 1.0, 1.0),
        (of(0.56, 0.8, 0.56, count=LEAST - 1), 1.0, 1.0),
        (of(0.56, 0.8, 0.56), 2.48, HIGHEST),
        (of(0.2, 0.44, 0.44, gain=-0.01), 1.0, 0.95),
        (of(0.2, 0.45, 0.44), 1.0, 1.0),
        (of(0.2, 0.44, 0.45), 1.0, 1.0),
        (of(0.2, 0.44, 0.44), 0.26, LOWEST),
        (of(0.4, 0.6, 0.5, count=61), 1.5, 1.45),
        (of(0.4, 0.6, 0.5, count=60), 1.5, 1.5),
        (of(0.4, 0.6, 0.53, count=61), 1.5, 1.5),
        (of(0.4, 0.6, 0.48, count=61), 0.5, 0.55),
    ],
)
def test_step_follows_what_is_proven_within_its_bounds(found: ComponentRecord, before: float, after: float) -> None:
    assert step_weight(before, found) == pytest.approx(after)


TOLD = st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.floats(-0.5, 0.5)), max_size=120)


@given(TOLD, st.floats(LOWEST, HIGHEST), st.randoms())
def test_multiplier_stays_within_its_bounds_whatever_the_order_of_calls_of_one_moment(
    told: list[tuple[int, bool, float]], before: float, chance: object
) -> None:
    made = [ComponentCall(OPEN + timedelta(hours=hour), right, gain) for hour, right, gain in told]
    found = component_record(made)
    assert LOWEST <= step_weight(before, found) <= HIGHEST
    chance.shuffle(made)  # type: ignore[attr-defined]
    assert component_record(made) == found


def test_component_is_right_if_it_agreed_with_a_gain_or_warned_of_a_loss() -> None:
    found = outcomes(
        trade(1, 10, {"flow": 0.5}),
        trade(2, -10, {"flow": -0.5}),
        trade(3, 10, {"flow": -0.5}),
        trade(4, 10, {"flow": -0.5}, side="short"),
        trade(5, 0, {"flow": 0.5}),
        trade(6, 10, {"flow": 0.0}),
        trade(7, 10, {}),
    )
    (proposal,) = proposals("flow", COMPONENT_WEIGHTS, found)
    # What earned nothing, and whoever had no view, says nothing.
    assert (proposal.n, proposal.observed, proposal.missing, proposal.proposed) == (4, 0.75, LEAST - 4, None)
    assert "26 more closed trades are needed" in proposal.evidence


def test_component_that_is_right_gets_a_step_up_and_one_that_is_wrong_a_step_down() -> None:
    says = {"flow": 0.5, "insider": -0.5, "dark_pool": 0.2}
    made = [trade(number, 10 if number % 6 else -10, says, minutes=number) for number in range(48)]
    weights = {"flow": 0.4, "insider": 0.4, "dark_pool": 0.0}
    found = {one.setting: one for one in proposals("flow", weights, outcomes(*made))}
    assert {name: one.proposed for name, one in found.items()} == {
        "strategies.flow.weights.flow": "0.42",
        "strategies.flow.weights.insider": "0.38",
    }


def test_only_trades_with_the_weight_in_force_count_and_the_multiplier_is_of_the_first_weight() -> None:
    old = [trade(number, 10, minutes=number, weight=0.4) for number in range(40)]
    (moved,) = proposals("flow", {"flow": 0.42}, outcomes(*old))
    assert (moved.n, moved.proposed, moved.missing) == (0, None, LEAST)
    new = [trade(100 + number, 10, in_session=1, minutes=number, weight=0.42) for number in range(40)]
    (again,) = proposals("flow", {"flow": 0.42}, outcomes(*old, *new))
    # 1.05 times the first weight becomes 1.1 times.
    assert (again.n, again.proposed) == (40, "0.44")
    top = [replace(one, components=(replace(one.components[0], weight=1.0),)) for one in new]
    (bound,) = proposals("flow", {"flow": 1.0}, outcomes(*old, *top))
    assert (bound.proposed, "at its bound" in bound.evidence) == (None, True)


@given(st.integers(1, 20))
def test_trades_that_are_open_or_not_ours_are_never_counted(count: int) -> None:
    closed = [trade(number, 10, minutes=number) for number in range(LEAST)]
    others = [
        trade(100 + number, -10, minutes=number, **fields)
        for number in range(count)
        for fields in (
            {"status": TradeStatus.OPEN, "closed_at": None},
            {"status": TradeStatus.PARTLY_CLOSED, "closed_at": None},
            {"source": EntrySource.ADOPTED},
            {"unknown_fees": 1},
        )
    ]
    with_others = [*proposals("flow", COMPONENT_WEIGHTS, outcomes(*closed, *others))]
    assert with_others == [*proposals("flow", COMPONENT_WEIGHTS, outcomes(*closed))]
    assert with_others[0].observed == NEUTRAL


def test_components_of_trades_without_a_weight_are_named() -> None:
    """The earlier bot's learner had other names than its score, and so it learned nothing."""
    weights = dict.fromkeys(component_names(), 0.1)
    known = [trade(number, 10, {component_of(name).name: 0.5}) for number, name in enumerate(component_names())]
    assert unknown_names(weights, outcomes(*known)) == ()
    assert unknown_names(weights, outcomes(*known, trade(99, 10, {"options_flow": 0.5}))) == ("options_flow",)
