"""An episode is a backtest: the same targets give the same books, and what is refused or missing is told."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from papervenue.market.futures import futures_venue
from papervenue.market.spec import NEXT_OPEN, MarketSpec
from papervenue.times import MINUTE, from_datetime
from tests.kit.bot.futures import INDEXES
from tests.lab.backtest.roads import Stub
from tests.lab.learning.prices import give
from tradebot.app.settings import load
from tradebot.errors import TradebotError
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.lab.learning import environment
from tradebot.lab.learning.environment import ACTIONS, NO_BAR, TIMES, Environment, EpisodeTerms, PolicyState
from tradebot.lab.learning.training.training_rows import FittedScaling, fit_scaling
from tradebot.model.candidate import Side
from tradebot.model.struct_tools import replace
from tradebot.model.view import FeatureNeed, Needs, StrategyView, Target, Want
from tradebot.signals.features.state import DecisionState

NAMES = ("rsi_14",)
SCALING = FittedScaling(NAMES, (0.0,), (0.5,))
START = date(2026, 11, 16)
LIMITS = {"max_candidate_age_s": 60}


def plan(
    every_m: int = 60, limits: Mapping[str, Any] = LIMITS, over: Mapping[str, Any] = {}, **changes: Any
) -> BacktestPlan:
    """Return a plan of one session of MES, with these limits and settings over the usual ones."""
    venue = futures_venue(START, 1, ("MES",))
    symbols = tuple(one.symbol for one in venue.instruments)
    fill = NEXT_OPEN._replace(spread_bps=0, volume_share=None)
    spec = MarketSpec(start=START, symbols=symbols, sessions=1, seed=5, fill=fill, venue=venue)
    names = yaml.safe_load(INDEXES.configuration)
    settings = {
        **names,
        **over,
        "limits": {**names["limits"], **LIMITS, **limits},
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
    return BacktestPlan(load(None, {}, settings).settings, replace(spec, **changes))


def drawn(place: int) -> int:
    return ACTIONS[(place * 3 + 1) % len(ACTIONS)]


def played(of: EpisodeTerms, seed: int | None = None) -> list[tuple[Any, ...]]:
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
    rows = played(EpisodeTerms(plan(), SCALING))
    SLOTS.clear()
    run = create_run(plan(), [Same("policy", TIMES, Needs(features=(FeatureNeed("5Min", NAMES),), lots=True))])
    with closing(run.made):
        while not run.is_complete:
            run.step()
        assert rows[-1][1]["equity"] == run.ends[-1].equity != 100_000
        # Each fill is at the next minute's open, a tick worse, and pays its commission.
        engine, fills = run.made.engine, [one.fill for one in run.made.ledger.fills()]
        opens = {bar.start_us: bar.open for bar in engine.market.day("MESZ6", 0).bars}
        for fill in fills:
            ahead = Decimal("0.25") * (1 if fill.side is Side.BUY else -1)
            assert fill.price == engine.market.grids["MESZ6"].usd(opens[from_datetime(fill.at) - MINUTE]) + ahead
        paid = sum(one.amount_usd for one in run.made.ledger.cash_movements())
        assert paid == Decimal("-0.62") * sum(fill.quantity for fill in fills) != 0
    assert len(SLOTS) == len(rows) - 1
    start = float(rows[0][1]["equity"])
    total = sum(row[2] for row in rows[1:])
    assert total == pytest.approx((float(rows[-1][1]["equity"]) - start) / start, abs=1e-12)
    assert rows[-1][3:] == (True, False)
    assert {row[1]["position"] for row in rows} > {0}
    assert rows == played(EpisodeTerms(plan(), SCALING), 5)
    assert not [one for one in threading.enumerate() if one.name == "episode"]


def test_an_episode_that_is_left_ends_its_thread() -> None:
    with Environment(EpisodeTerms(plan(), SCALING)) as episode:
        episode.reset()
        assert [one for one in threading.enumerate() if one.name == "episode"]
        with pytest.raises(TradebotError, match="3 is not a target"):
            episode.step(3)
    assert not [one for one in threading.enumerate() if one.name == "episode"]
    with pytest.raises(TradebotError, match="no episode"):
        episode.step(0)


def test_a_market_without_the_features_is_told() -> None:
    absent = FittedScaling(("release_near",), (0.0,), (1.0,))
    with Environment(EpisodeTerms(plan(), absent)) as episode, pytest.raises(TradebotError, match="without a decision"):
        episode.reset()


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_what_is_no_number_is_told(value: float) -> None:
    state = DecisionState(1.0, 0.0, 100_000.0, 0.0, 1, 0.5, 0)
    assert SCALING.observation({"rsi_14": value}, state) == "not finite: rsi_14"
    assert SCALING.observation({}, state) == "absent: rsi_14"
    assert "equity" in str(SCALING.observation({"rsi_14": 0.1}, state._replace(equity=0.0)))


def test_scaling_is_fitted_and_clipped() -> None:
    found = fit_scaling(NAMES, [{"rsi_14": 1.0}, {"rsi_14": 3.0}, {"rsi_14": float("inf")}, {}])
    assert found == FittedScaling(NAMES, (2.0,), (1.0,))
    seen = found.observation({"rsi_14": 90.0}, DecisionState(3.0, 0.0, 100_000.0, 0.0, 1, 0.5, 0))
    assert not isinstance(seen, str)
    assert (seen[0], seen[1], str(seen.dtype), len(seen)) == (5.0, 1.0, "float32", 7)
    with pytest.raises(TradebotError, match="rsi_14"):
        fit_scaling(NAMES, [{"rsi_14": 1.0}, {"rsi_14": 1.0}])


def steps(of: EpisodeTerms, actions: Sequence[int]) -> list[dict[str, Any]]:
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


def test_falls_cost_a_tenth_of_how_far_the_rewards_are_below_their_highest_sum() -> None:
    actions = [1, -1, 2, 0] * 3
    plain, costly = (steps(EpisodeTerms(plan(5), SCALING, falls_cost=each), actions) for each in (False, True))
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
    told = steps(EpisodeTerms(plan(5), SCALING), actions)
    start = told[0]["equity"]
    for place in range(1, len(told)):
        total = sum(one["reward"] for one in told[: place + 1])
        assert total == pytest.approx(float((told[place]["equity"] - start) / start), abs=1e-12)
        unchanged = told[place]["refused"] or told[place]["position"] == actions[place - 1]
        assert unchanged, "a target is reached within its step, or it is told why not"
    assert all(abs(one["position"]) <= 2 for one in told)


def test_an_episode_that_is_flat_overnight_ends_with_its_session() -> None:
    venue = futures_venue(START, 2, ("MES",))
    two = plan(venue=venue, symbols=tuple(one.symbol for one in venue.instruments), sessions=2)
    ends = [played(EpisodeTerms(two, SCALING, flat_overnight=each)) for each in (True, False)]
    assert [rows[-1][3:] for rows in ends] == [(True, False)] * 2
    assert len(ends[0]) < len(ends[1])
    # Up to its end, it is the same episode.
    assert ends[0][:-1] == ends[1][: len(ends[0]) - 1]


CLOCK = FittedScaling(("minute_sine",), (0.0,), (0.5,))
"""What can be observed while prices stand still."""
WIDE = {f"max_{name}_fraction": 6 for name in ("order", "symbol", "sector", "gross")}


def of_root(root: str, limits: Mapping[str, Any] = LIMITS, fee: str | None = None) -> BacktestPlan:
    """Return a plan of December's contract of a root, of which each costs this fee."""
    venue = futures_venue(START, 1, (root,))
    if fee is not None:
        cheap = tuple(replace(one, contract_fee=Decimal(fee)) for one in venue.instruments)
        venue = replace(venue, instruments=cheap)
    symbols = tuple(one.symbol for one in venue.instruments)
    over = {"universe": [f"{root}Z6"], "sectors": {f"{root}Z6": "indexes"}}
    return plan(5, {**WIDE, **limits}, over, venue=venue, symbols=symbols)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[BacktestRun]:
    """Return the backtests of all episodes, in which one can look once they are over."""
    begun: list[BacktestRun] = []

    def noted(*given: Any, **named: Any) -> BacktestRun:
        begun.append(create_run(*given, **named))
        return begun[-1]

    monkeypatch.setattr(environment, "create_run", noted)
    return begun


def test_profit_costs_and_reward_of_a_step_are_exact(monkeypatch: pytest.MonkeyPatch, runs: list[BacktestRun]) -> None:
    """Two contracts are bought at 5,000.25 and gain 100.00 up to the bar's close. Then both are sold, and one more."""
    give(monkeypatch, {0: "5000.00", 6: "5001.25"})
    begun, bought, turned = steps(EpisodeTerms(of_root("ES"), CLOCK), [2, -1])
    assert (begun["equity"], begun["position"]) == (Decimal("100000.00"), 0)
    assert (bought["equity"], bought["position"], bought["reward"]) == (Decimal("100095.50"), 2, 0.000955)
    assert (turned["equity"], turned["position"], turned["reward"]) == (Decimal("100051.25"), -1, -0.0004425)
    assert bought["equity"] - turned["equity"] == Decimal("44.25") == 3 * (Decimal("12.50") + Decimal("2.25"))
    found = [(one.fill.side, int(one.fill.quantity), float(one.fill.price)) for one in runs[0].made.ledger.fills()]
    assert found == [(Side.BUY, 2, 5000.25), (Side.SELL, 2, 5001.0), (Side.SELL, 1, 5001.0)]


def test_nineteen_entries_allow_one_more_and_twenty_allow_none() -> None:
    told = steps(EpisodeTerms(plan(5, {"max_session_entries": 20, "max_symbol_entries": 20}), CLOCK), [1, 0] * 21)
    assert [one["position"] for one in told[1::2]] == [1] * 20 + [0]
    assert [one["refused"] for one in told[1:]] == [{}] * 40 + [{"MAX_SESSION_ENTRIES": 1}, {}]


@pytest.mark.parametrize(
    ("fee", "falls_to", "equity", "refused"),
    [("1.24", "4600.50", "98000.01", {}), ("0", "4600.25", "98000.00", {"DAILY_LOSS_REACHED": 1})],
)
def test_day_that_has_lost_2000_of_100000_takes_no_entry_and_one_that_lost_a_cent_less_does(
    fee: str, falls_to: str, equity: str, refused: Mapping[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One contract of 5 USD a point is bought at 5,000.25 and falls by 1,599 or 1,600 ticks. Exits are never held."""
    give(monkeypatch, {0: "5000.00", 10: falls_to})
    told = steps(EpisodeTerms(of_root("MES", fee=fee), CLOCK), [1, 1, 2, 0])
    assert told[2]["equity"] == Decimal(equity)
    assert (told[3]["refused"], told[3]["position"]) == (refused, 1 if refused else 2)
    assert (told[4]["refused"], told[4]["position"]) == ({}, 0)


def test_contracts_are_counted_before_they_are_held() -> None:
    """Of two contracts that may be held, a third one is no target here; of one, the second is refused."""
    of = [plan(5, {"max_contracts": most, "max_order_contracts": min(most, 2)}) for most in (3, 2, 1)]
    told = [steps(EpisodeTerms(each, CLOCK), [1, 2, -1, 0]) for each in of]
    assert told[0] == told[1]
    assert [[one["position"] for one in each] for each in told[1:]] == [[0, 1, 2, -1, 0], [0, 1, 1, -1, 0]]
    assert [[one["refused"] for one in each] for each in told[1:]] == [
        [{}] * 5,
        [{}, {}, {"CONTRACTS_ABOVE_MAX": 1}, {}, {}],
    ]


def test_entry_outside_of_liquid_hours_is_refused_and_nothing_else_changes() -> None:
    told = steps(EpisodeTerms(plan(5, {"liquid_hours_only": True}), CLOCK), [1, -1])
    assert [(one["position"], one["equity"]) for one in told] == [(0, told[0]["equity"])] * 3
    assert [set(one["refused"]) for one in told[1:]] == [{"HOURS_NOT_LIQUID"}] * 2


def test_clock_that_is_put_back_repeats_no_moment() -> None:
    """Chicago's clock is put back on Sunday, November 1, at 2:00. It is closed from Friday 16:00 to Sunday 17:00."""
    friday = date(2026, 10, 30)
    venue = futures_venue(friday, 2, ("MES",))
    of = plan(60, start=friday, sessions=2, venue=venue, symbols=tuple(one.symbol for one in venue.instruments))
    times = [one["at"] for one in steps(EpisodeTerms(of, CLOCK), [0] * 60)]
    assert times == sorted(set(times))
    summer, winter = (
        [datetime(*day, 5, tzinfo=UTC).timestamp() + 3600 * hour for hour in range(23)]
        for day in ((2026, 10, 29, 22), (2026, 11, 1, 23))
    )
    assert [at.timestamp() for at in times[:-1]] == summer + winter
    assert times[-1] == datetime(2026, 11, 2, 22, tzinfo=UTC)


def test_market_whose_bars_end_within_a_session_asks_once_for_each_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, {0: "5000.00", 26: "5001.25"}, ends=63)
    told = steps(EpisodeTerms(of_root("MES"), CLOCK), [1] * 100)
    # Of the thirteen bars, the last one has three minutes. The session's last moment has no bar after it.
    assert [one["at"].minute for one in told[:-1]] == [*range(5, 60, 5), 0, 5]
    assert told[-1]["passed_over"] == {NO_BAR: 23 * 12 - 1 - 13}
    assert (told[-1]["over"], told[-1]["cut"], told[-1]["position"]) == (True, False, 1)
    # Bought at 5,000.25 for 0.62, it is worth 5,001.25 at the last price.
    assert told[-1]["equity"] == told[-2]["equity"] == Decimal("100004.38")


@pytest.mark.parametrize(("falls_to", "cut"), [("4850.50", False), ("4850.25", True)])
def test_episode_ends_at_85_percent_of_its_first_equity(
    falls_to: str, cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, {0: "5000.00", 10: falls_to})
    told = steps(EpisodeTerms(of_root("ES", fee="0"), CLOCK), [2, 2, 2])
    assert told[2]["equity"] == (Decimal("85000.00") if cut else Decimal("85025.00"))
    assert (len(told), told[-1]["cut"], told[-1]["over"]) == (3 if cut else 4, cut, False)
    assert told[2]["reward"] == pytest.approx(-0.14975 if cut else -0.1495, abs=1e-15)


def test_episode_that_would_begin_with_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with Environment(EpisodeTerms(plan(), SCALING)) as other:
        seen, _ = other.reset()
    broke = PolicyState(datetime(2026, 11, 16, tzinfo=UTC), Decimal(0), 0, seen, {}, {})
    monkeypatch.setattr(environment, "_play", lambda terms, put: put(broke))
    with Environment(EpisodeTerms(plan(), SCALING)) as episode:
        with pytest.raises(TradebotError, match="equity above zero"):
            episode.reset()
        with pytest.raises(TradebotError, match="no episode"):
            episode.step(0)


class Broken:
    """Shows the time of the day, but for the second and the third bar, of which nothing is a number."""

    names = CLOCK.names

    def __init__(self, value: float) -> None:
        self._value, self._shown = value, 0

    def observation(self, values: Mapping[str, float], state: DecisionState) -> Any:
        self._shown += 1
        return CLOCK.observation({"minute_sine": self._value} if self._shown in (2, 3) else values, state)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_bar_with_what_is_no_number_is_passed_over_and_counted(value: float) -> None:
    told = steps(EpisodeTerms(plan(5), Broken(value)), [1, 0])
    assert [one["at"].minute for one in told] == [5, 20, 25]
    assert [one["passed_over"] for one in told] == [{}, *[{"not finite: minute_sine": 2}] * 2]
    # What was wanted before is kept meanwhile.
    assert [one["position"] for one in told] == [0, 1, 0]
