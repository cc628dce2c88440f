"""An episode is a backtest: the same targets give the same books, and what is refused or missing is told."""

import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.app.backtest.roads import Stub
from tests.faults.pit import INDEXES
from tradebot.app.backtest.run import Plan, begin
from tradebot.app.learning.environment import ACTIONS, TIMES, Environment, Terms
from tradebot.app.learning.scaling import Scaling, fitted
from tradebot.app.settings import load
from tradebot.errors import TradebotError
from tradebot.exchange.market.futures import futures_venue
from tradebot.exchange.market.spec import NEXT_OPEN, MarketSpec
from tradebot.exchange.times import MINUTE, from_datetime
from tradebot.model.candidate import Side
from tradebot.model.values import replace
from tradebot.model.view import FeatureNeed, Needs, StrategyView, Target, Want
from tradebot.signals.features.state import State

NAMES = ("rsi_14",)
SCALING = Scaling(NAMES, (0.0,), (0.5,))
START = date(2026, 11, 16)
TIMES_HERE = "every 60m from open+5m until close"


def plan(every_m: int = 60, **changes: Any) -> Plan:
    venue = futures_venue(START, 1, ("MES",))
    symbols = tuple(one.symbol for one in venue.instruments)
    fill = NEXT_OPEN._replace(spread_bps=0, volume_share=None)
    spec = MarketSpec(start=START, symbols=symbols, sessions=1, seed=5, fill=fill, venue=venue)
    names = yaml.safe_load(INDEXES.configuration)
    settings = {
        **names,
        "limits": {**names["limits"], "max_candidate_age_s": 60},
        "plugins": {"timeout_s": 10},
        "strategies": {
            **dict.fromkeys(names["strategies"]),
            "policy": {"mode": "training", "exits": [], "times": f"every {every_m}m from open+5m until close"},
        },
        "timetable": {
            "evaluate-exits": "every 5m from open+1m until close",
            "trade-once": f"every {1 if every_m == 5 else 20}m from open+5m until close",
            "reconcile": "every 2m from open+1m until close",
        },
    }
    return Plan(load(None, {}, settings).settings, replace(spec, **changes))


def drawn(place: int) -> int:
    return ACTIONS[(place * 3 + 1) % len(ACTIONS)]


def played(of: Terms, seed: int | None = None) -> list[tuple[Any, ...]]:
    with Environment(of) as episode:
        observation, info = episode.reset(seed)
        rows: list[tuple[Any, ...]] = [(observation.tolist(), info)]
        ended = False
        while not ended:
            observation, reward, over, cut, info = episode.step(drawn(len(rows) - 1))
            rows.append((observation.tolist(), info, reward, over, cut))
            ended = over or cut
    return rows


class Same(Stub, frozen=True):
    """Answers the same targets, from no hand."""

    def propose(self, view: StrategyView) -> Sequence[Want]:
        if len(view.universe) != 1:
            return ()
        SLOTS.setdefault(view.slot, len(SLOTS))
        return [Target(view.universe[0], quantity=Decimal(drawn(SLOTS[view.slot])))]


SLOTS: dict[str, int] = {}


def test_an_episode_has_the_books_of_a_backtest_with_the_same_targets() -> None:
    rows = played(Terms(plan(), SCALING))
    SLOTS.clear()
    run = begin(plan(), [Same("policy", TIMES, Needs(features=(FeatureNeed("5Min", NAMES),), lots=True))])
    with closing(run.made):
        while not run.is_complete:
            run.step()
        assert rows[-1][1]["equity"] == run.ends[-1].equity != 100_000
        # Each fill is at the next minute's open, a tick worse, and pays its commission.
        engine, fills = run.made.engine, [one.fill for one in run.made.ledger.fills()]
        opens = {bar.start_us: bar.open for bar in engine.market.day("MESZ6", 0).bars}
        for fill in fills:
            ahead = Decimal("0.25") * (1 if fill.side is Side.BUY else -1)
            opened = opens[from_datetime(fill.at) - MINUTE]
            assert fill.price == engine.market.grids["MESZ6"].usd(opened) + ahead
        paid = sum(one.amount_usd for one in run.made.ledger.cash_movements())
        assert paid == Decimal("-0.62") * sum(fill.quantity for fill in fills) != 0
    assert len(SLOTS) == len(rows) - 1
    start = float(rows[0][1]["equity"])
    total = sum(row[2] for row in rows[1:])
    assert total == pytest.approx((float(rows[-1][1]["equity"]) - start) / start, abs=1e-12)
    assert rows[-1][3:] == (True, False)
    assert {row[1]["position"] for row in rows} > {0}
    assert rows == played(Terms(plan(), SCALING), 5)
    assert not [one for one in threading.enumerate() if one.name == "episode"]


def test_an_episode_that_is_left_ends_its_thread() -> None:
    with Environment(Terms(plan(), SCALING)) as episode:
        episode.reset()
        assert [one for one in threading.enumerate() if one.name == "episode"]
        with pytest.raises(TradebotError, match="no target"):
            episode.step(3)
    assert not [one for one in threading.enumerate() if one.name == "episode"]
    with pytest.raises(TradebotError, match="no episode"):
        episode.step(0)


def test_a_market_without_the_features_is_told() -> None:
    absent = Scaling(("release_near",), (0.0,), (1.0,))
    with Environment(Terms(plan(), absent)) as episode, pytest.raises(TradebotError, match="without a decision"):
        episode.reset()


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_what_is_no_number_is_told(value: float) -> None:
    state = State(1.0, 0.0, 100_000.0, 0.0, 1, 0.5, 0)
    assert SCALING.observation({"rsi_14": value}, state) == "not finite: rsi_14"
    assert SCALING.observation({}, state) == "absent: rsi_14"
    assert "equity" in str(SCALING.observation({"rsi_14": 0.1}, state._replace(equity=0.0)))


def test_scaling_is_fitted_and_clipped() -> None:
    found = fitted(NAMES, [{"rsi_14": 1.0}, {"rsi_14": 3.0}, {"rsi_14": float("inf")}, {}])
    assert found == Scaling(NAMES, (2.0,), (1.0,))
    seen = found.observation({"rsi_14": 90.0}, State(3.0, 0.0, 100_000.0, 0.0, 1, 0.5, 0))
    assert not isinstance(seen, str)
    assert (seen[0], seen[1], str(seen.dtype), len(seen)) == (5.0, 1.0, "float32", 7)
    with pytest.raises(TradebotError, match="rsi_14"):
        fitted(NAMES, [{"rsi_14": 1.0}, {"rsi_14": 1.0}])


def steps(of: Terms, actions: Sequence[int]) -> list[dict[str, Any]]:
    """Return what is told after each of these actions, with the reward and how the step ended."""
    with Environment(of) as episode:
        _, first = episode.reset()
        told = [{**first, "reward": 0.0, "over": False, "cut": False}]
        for action in actions:
            _, reward, over, cut, info = episode.step(action)
            told.append({**info, "reward": reward, "over": over, "cut": cut})
            if over or cut:
                break
    return told


def test_a_change_of_sides_is_closed_and_opened_within_its_step() -> None:
    """Its costs are those of three contracts: a tick of slippage and the commission each, if the price stands still."""
    told = steps(Terms(plan(5), SCALING), [2, 2, -1, -1, 0])
    assert [one["position"] for one in told] == [0, 2, 2, -1, -1, 0]
    assert not any(one["refused"] for one in told)


def test_what_a_limit_refuses_leaves_the_position_as_it_is_and_is_told() -> None:
    most = 10
    told = steps(Terms(plan(5), SCALING), [1, 0] * (most + 2))
    entered = [one["position"] for one in told[1::2]]
    assert entered == [1] * most + [0] * 2
    refused = [one["refused"] for one in told[1::2]]
    assert refused == [{}] * most + [{"MAX_SYMBOL_ENTRIES": 1}] * 2


def test_an_episode_is_cut_off_at_its_floor_and_the_reward_is_only_what_was_earned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tradebot.app.learning.environment.KEEPS_OF_START", Decimal("0.9999"))
    told = steps(Terms(plan(5), SCALING), [2, -2] * 60)
    assert (told[-1]["over"], told[-1]["cut"]) == (False, True)
    assert told[-1]["equity"] <= Decimal("0.9999") * told[0]["equity"] < told[-2]["equity"]
    total = sum(one["reward"] for one in told)
    assert total == pytest.approx(float(told[-1]["equity"] / told[0]["equity"]) - 1, abs=1e-12)


def test_falls_cost_a_tenth_of_how_far_the_rewards_are_below_their_highest_sum() -> None:
    actions = [1, -1, 2, 0] * 3
    plain, costly = (steps(Terms(plan(5), SCALING, falls_cost=each), actions) for each in (False, True))
    reached = highest = 0.0
    for one, other in zip(plain[1:], costly[1:], strict=True):
        reached += one["reward"]
        assert other["reward"] == pytest.approx(one["reward"] - 0.1 * max(0.0, highest - reached), abs=1e-15)
        highest = max(highest, reached)
    assert plain != costly


@pytest.mark.campaign
@settings(max_examples=30)
@given(actions=st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=40))
def test_rewards_add_up_to_what_the_account_has_gained_whatever_is_done(actions: list[int]) -> None:
    told = steps(Terms(plan(5), SCALING), actions)
    start = told[0]["equity"]
    for place in range(1, len(told)):
        total = sum(one["reward"] for one in told[: place + 1])
        assert total == pytest.approx(float((told[place]["equity"] - start) / start), abs=1e-12)
        unchanged = told[place]["refused"] or told[place]["position"] == actions[place - 1]
        assert unchanged, "a target is reached within its step, or it is told why not"
    assert all(abs(one["position"]) <= 2 for one in told)


def test_an_episode_that_is_flat_overnight_ends_with_its_session() -> None:
    venue = futures_venue(START, 2, ("MES",))
    symbols = tuple(one.symbol for one in venue.instruments)
    two = plan(venue=venue, symbols=symbols, sessions=2)
    ends = [played(Terms(two, SCALING, flat_overnight=each)) for each in (True, False)]
    assert [rows[-1][3:] for rows in ends] == [(True, False)] * 2
    assert len(ends[0]) < len(ends[1])
    # Up to its end, it is the same episode.
    assert ends[0][:-1] == ends[1][: len(ends[0]) - 1]
