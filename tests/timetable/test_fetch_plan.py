"""The plan of a session's fetches: its figures, what it says of alerts, and what is left of it later in the day.

A session of fetching on paper: calls fit between slots, and ages are what a clock would say.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.values import USUAL, VENUE_DAY, there
from tradebot.model.fact_kind import Phase, ReplyScope
from tradebot.model.flow import Allowance
from tradebot.model.struct_tools import replace
from tradebot.signals.kinds import kind_of
from tradebot.timetable.fetch_plan import (
    ONCE_S,
    FetchDecision,
    FetchNeed,
    FetchPlan,
    FetchSimulation,
    Intervals,
    PlanFitter,
    SimulatedSlot,
    fetch_count,
    fetching_problems,
    needs_of,
    slots_of,
)
from tradebot.timetable.job_times import parse

SLOTS = slots_of(parse("every 5m from open+2m until close", VENUE_DAY), USUAL)
ALERTS = FetchNeed("flow_alerts", ReplyScope.SYMBOL, 100, 240, core=True, max_age_s=900)
PRINTS = FetchNeed("dark_pool", ReplyScope.SYMBOL, 100, 540, core=True, max_age_s=1800)
TIDE = FetchNeed("market_tide", ReplyScope.MARKET, 1, 240, max_age_s=900)
TICKS = FetchNeed("net_prem_ticks", ReplyScope.SYMBOL, 100, 300, max_age_s=1200)
DAILY = FetchNeed("iv_rank", ReplyScope.SYMBOL, 100, ONCE_S)
NEEDS = (ALERTS, PRINTS, TIDE, TICKS, DAILY)


def fitted(day: int, *needs: FetchNeed, per_minute: float | None = 100.0) -> Intervals:
    return PlanFitter(needs or NEEDS, SLOTS, per_minute, day, {}).intervals()


def calls(planned: Intervals, needs: tuple[FetchNeed, ...] = NEEDS) -> int:
    return sum(
        each.calls * fetch_count(SLOTS, each.every_s(every_s), -inf)
        for each in needs
        if (every_s := planned[each.name]) is not None
    )


AS_WANTED = {need.name: need.interval_s for need in NEEDS}


def test_a_plan_that_fits_keeps_its_intervals_and_else_the_last_kind_that_is_not_core_comes_less_often_first() -> None:
    assert fitted(calls(dict(AS_WANTED))) == AS_WANTED
    assert fitted(calls(dict(AS_WANTED)) - 1) == AS_WANTED | {"net_prem_ticks": 600}


def test_core_kinds_are_fetched_less_often_after_all_others_and_alerts_last() -> None:
    seldom = AS_WANTED | {"net_prem_ticks": 900}
    assert fitted(calls(dict(seldom)) - 200) == seldom | {"dark_pool": 900}
    assert fitted(calls({**seldom, "dark_pool": 1200}))["flow_alerts"] == 240
    assert fitted(calls({**seldom, "dark_pool": 1200, "market_tide": 600}) - 1)["flow_alerts"] == 600


def test_kinds_are_left_out_only_when_everything_is_fetched_as_seldom_as_it_may_be() -> None:
    least = {**AS_WANTED, "flow_alerts": 600, "dark_pool": 1200, "market_tide": 600, "net_prem_ticks": 900}
    assert fitted(calls(dict(least))) == least
    assert fitted(calls(dict(least)) - 1) == least | {"iv_rank": None, "market_tide": 240}
    alone = fitted(4_000)
    assert (alone["flow_alerts"], alone["dark_pool"], alone["market_tide"]) == (600, None, 240)


def test_when_not_even_alerts_fit_they_are_spread_over_the_day() -> None:
    spread = fitted(2_000)
    assert there(spread["flow_alerts"]) > 900
    assert calls(spread) <= 2_000


def test_a_rate_may_be_too_slow_and_a_kind_without_a_freshness_limit_or_of_one_reply_a_day_comes_once() -> None:
    slow = fitted(10**6, per_minute=30.0)
    assert (slow["flow_alerts"], slow["iv_rank"]) == (600, ONCE_S)
    assert fitted(7_900, ALERTS, replace(DAILY, interval_s=300))["iv_rank"] == ONCE_S
    morning = replace(DAILY, phase=Phase.MORNING)
    assert fitted(7_900, ALERTS, morning) == {"flow_alerts": 240, "iv_rank": ONCE_S}


kinds = st.builds(
    FetchNeed,
    name=st.sampled_from(["flow_alerts", "a", "b", "c", "d"]),
    scope=st.just(ReplyScope.SYMBOL),
    calls=st.integers(0, 600),
    interval_s=st.sampled_from([60, 240, 540, 3600, ONCE_S]),
    core=st.booleans(),
    max_age_s=st.sampled_from([None, 900, 1800, 7200]),
    phase=st.sampled_from(Phase),
)
several = st.lists(
    kinds.map(lambda need: replace(need, core=need.core or need.name == "flow_alerts")),
    min_size=1,
    unique_by=lambda need: need.name,
).map(tuple)


@settings(max_examples=60)
@given(several, st.integers(0, 20_000), st.sampled_from([20.0, 100.0]))
def test_a_plan_never_takes_more_calls_than_the_day_has_and_is_the_same_each_time(
    needs: tuple[FetchNeed, ...], day: int, per_minute: float
) -> None:
    fitting = PlanFitter(needs, SLOTS, per_minute, day, {})
    planned = fitting.intervals()
    assert calls(planned, needs) <= day
    assert planned == PlanFitter(needs, SLOTS, per_minute, day, {}).intervals()
    for need in needs:
        every_s = planned[need.name]
        assert every_s is None or every_s >= need.interval_s


@settings(max_examples=40)
@given(several, st.integers(0, 20_000))
def test_whatever_fits_keeps_every_reply_within_its_freshness_limit(needs: tuple[FetchNeed, ...], day: int) -> None:
    fitting = PlanFitter(needs, SLOTS, 100.0, day, {})
    planned = fitting.intervals()
    if not fitting.fits(planned):
        return
    found = fitting.course(planned)
    for need in needs:
        alone = PlanFitter((need,), SLOTS, None, None, {}).course({need.name: need.interval_s})
        held = need.max_age_s is not None and alone.age_s.get(need.name, 0.0) < need.max_age_s
        assert not held or found.age_s.get(need.name, 0.0) < (need.max_age_s or 0)


TIMES = parse("every 5m from open+2m until close", VENUE_DAY)
ALLOWANCE = Allowance(120, 15_000, 0.1)


def needs(symbols: int) -> list[FetchNeed]:
    return [
        FetchNeed("market_tide", ReplyScope.MARKET, 1, 240, max_age_s=900),
        FetchNeed("flow_alerts", ReplyScope.SYMBOL, symbols, 240, core=True, max_age_s=900),
        FetchNeed("dark_pool", ReplyScope.SYMBOL, symbols, 540, core=True, max_age_s=1800),
        FetchNeed("iv_rank", ReplyScope.SYMBOL, symbols, ONCE_S),
    ]


def plan(symbols: int, allowance: Allowance | None = ALLOWANCE) -> FetchPlan:
    return FetchPlan.of(needs(symbols), TIMES, USUAL, allowance)


def outcomes(made: FetchPlan) -> dict[str, str]:
    return {line.need.name: line.outcome.value for line in made.lines}


def test_a_plan_knows_its_calls_its_first_fetch_and_how_old_replies_get() -> None:
    made = plan(53)
    assert [line.need.name for line in made.lines] == ["flow_alerts", "dark_pool", "market_tide", "iv_rank"]
    assert made.first_calls == 160
    assert made.first_s == pytest.approx(96.0)
    assert made.calls == made.wanted_calls == 53 * (78 + 39 + 1) + 78
    assert made.alerts is not None
    assert made.alerts.oldest_s == pytest.approx(331.8)
    assert (made.fits, made.differences) == (True, ())
    assert set(outcomes(made).values()) == {"as configured"}


def test_a_plan_that_does_not_fit_says_what_it_gave_up_and_for_what() -> None:
    made = plan(200)
    assert made.allowance is not None
    assert made.allowance.planned_a_day == 13_500
    assert made.calls <= 13_500 < made.wanted_calls
    assert outcomes(made) == {
        "flow_alerts": "less often",
        "dark_pool": "less often",
        "market_tide": "as configured",
        "iv_rank": "as configured",
    }
    too_many = plan(500)
    assert (too_many.fits, outcomes(too_many)["flow_alerts"]) == (False, FetchDecision.TOO_OLD)
    assert too_many.calls <= 13_500


def test_a_source_without_a_limit_is_asked_as_configured() -> None:
    made = plan(5_000, None)
    assert (made.calls, made.differences, made.first_s) == (made.wanted_calls, (), 0.0)
    assert made.room(130) is None


def test_the_calls_until_the_next_slot_are_those_that_the_rate_allows() -> None:
    made = plan(53)
    assert [made.room(s) for s in (120, 240, 419.9, 23_220, 23_300)] == [500, 300, 1, None, None]


def test_the_rest_of_a_session_is_planned_with_the_calls_that_are_left() -> None:
    made = plan(53)
    asked_s = {"flow_alerts": 12_120.0, "dark_pool": 12_120.0, "iv_rank": 120.0, "market_tide": 12_120.0}
    rest = made.calls_after(12_420, asked_s)
    assert rest == 53 * (37 + 18) + 37
    same = FetchPlan.of(needs(53), TIMES, USUAL, ALLOWANCE, from_s=12_420, asked_s=asked_s, remaining=rest)
    assert (same.calls, same.differences) == (rest, ())
    less = FetchPlan.of(needs(53), TIMES, USUAL, ALLOWANCE, from_s=12_420, asked_s=asked_s, remaining=rest - 500)
    assert "left out" not in outcomes(less).values()
    assert less.differences
    assert less.calls <= rest - 500
    assert FetchPlan.of(needs(53), TIMES, USUAL, ALLOWANCE, from_s=12_420, asked_s=asked_s, remaining=-7).calls == 0


def test_needs_are_a_call_a_symbol_or_one_for_the_market_at_intervals_no_longer_than_replies_are_fresh() -> None:
    needed = {kind_of("market_tide"): ("AAPL", "MSFT"), kind_of("flow_alerts"): ("AAPL", "MSFT")}
    tide, alerts = needs_of(needed, {"flow_alerts": 600}, 900)
    assert (tide.calls, tide.interval_s, tide.scope) == (1, 240, ReplyScope.MARKET)
    assert (alerts.calls, alerts.interval_s, alerts.core, alerts.max_age_s) == (2, 600, True, 900)
    kind = replace(kind_of("dark_pool"), max_age_s=1200)
    assert [need.interval_s for need in needs_of({kind: ("AAPL",)}, {"dark_pool": 3600}, 900)] == [1200]


def test_alerts_that_get_too_old_are_a_problem_with_its_numbers() -> None:
    assert list(fetching_problems(needs(53), TIMES, USUAL, ALLOWANCE)) == []
    assert list(fetching_problems(needs(346), TIMES, USUAL, ALLOWANCE)) == []
    (many,) = fetching_problems(needs(500), TIMES, USUAL, ALLOWANCE)
    assert "universe has 500 symbols, too many" in many
    assert "120 calls a minute and 15,000 a day" in many
    assert many.endswith("346 symbols would fit")
    late = [replace(need, interval_s=900) for need in needs(20)]
    (seldom,) = fetching_problems(late, TIMES, USUAL, None)
    assert "gets 900 s old, not less than limits.max_flow_age_s 900" in seldom
    assert "unusual_whales.poll_s.flow_alerts (900)" in seldom


def test_alerts_that_are_polled_less_often_than_slots_come_wait_for_the_next_slot() -> None:
    def oldest_s(interval_s: int) -> float | None:
        alerts = FetchPlan.of([replace(needs(20)[1], interval_s=interval_s)], TIMES, USUAL).alerts
        return alerts.oldest_s if alerts else None

    assert (oldest_s(240), oldest_s(301)) == (300, 600)


SIMULATED = slots_of(TIMES, USUAL)


def need(name: str, calls: int, interval_s: int, *, core: bool = False, phase: Phase = Phase.ALWAYS) -> FetchNeed:
    return FetchNeed(name, ReplyScope.SYMBOL, calls, interval_s, core, None, phase)


def every(*needs: FetchNeed) -> dict[str, int]:
    return {each.name: each.every_s(each.interval_s) for each in needs}


class Told(FetchSimulation):
    """A course that remembers which calls each slot made, by kind."""

    def __init__(self, needs: list[FetchNeed], slots: Sequence[SimulatedSlot], per_minute: float | None) -> None:
        self.fetches: list[dict[str, int]] = []
        super().__init__(needs, every(*needs), slots, per_minute, {})

    def fetch(self, slot: SimulatedSlot, first_s: float) -> None:
        before = dict(self.calls)
        super().fetch(slot, first_s)
        self.fetches.append({name: made for name, count in self.calls.items() if (made := count - before[name])})


def test_the_slots_of_a_session_end_where_the_next_begins() -> None:
    assert (SIMULATED[0], SIMULATED[-1], len(SIMULATED)) == ((120, 300), (23_220, 180), 78)
    assert [slot.start_s for slot in slots_of(TIMES, USUAL, 500)][:2] == [420, 720]


def test_the_first_fetch_asks_for_everything_and_the_next_for_what_is_due() -> None:
    often, seldom = need("often", 20, 240, core=True), need("seldom", 20, 540, core=True)
    found = Told([often, seldom], SIMULATED, 100)
    assert found.fetches[:3] == [{"often": 20, "seldom": 20}, {"often": 20}, {"often": 20, "seldom": 20}]
    assert found.calls == {"often": 20 * 78, "seldom": 20 * 39}
    # The last symbol of twenty arrives twelve seconds after its fetch began; of forty, twenty-four.
    assert found.age_s == {"often": 312.0, "seldom": 624.0}
    assert found.complete_s == {"often": 12.0, "seldom": 24.0}


def test_kinds_that_do_not_fit_between_two_slots_wait_and_core_kinds_go_first() -> None:
    rest, core = need("rest", 700, 86_400), need("core", 400, 240, core=True)
    found = Told([core, rest], SIMULATED, 100)
    assert found.fetches[:3] == [{"core": 400, "rest": 100}, {"core": 400, "rest": 100}, {"core": 400, "rest": 100}]
    assert found.complete_s["rest"] == 6 * 300 + 300
    assert FetchSimulation([core, rest], every(core, rest), SIMULATED[:6], 100, {}).complete_s["rest"] is None


def test_a_kind_that_waits_gets_older_and_costs_no_call() -> None:
    # Eight hundred calls every five minutes are more than the five hundred that fit.
    much = need("much", 800, 240)
    found = FetchSimulation([much], every(much), SIMULATED, 100, {})
    assert found.age_s["much"] > 600
    assert sum(found.calls.values()) == 77 * 500 + 300


def test_a_kind_that_is_worth_one_call_is_asked_once_and_not_again_if_it_was() -> None:
    morning = need("morning", 5, 86_400, phase=Phase.MORNING)
    assert FetchSimulation([morning], every(morning), SIMULATED, None, {}).calls == {"morning": 5}
    assert FetchSimulation([morning], every(morning), SIMULATED, None, {"morning": 0.0}).calls == {"morning": 0}
    assert fetch_count(SIMULATED, morning.every_s(86_400), -inf) == 1
    # Whoever configures a shorter interval gets it.
    often = need("morning", 5, 540, phase=Phase.MORNING)
    assert FetchSimulation([often], every(often), SIMULATED, None, {}).calls == {"morning": 5 * 39}


@given(
    st.lists(st.tuples(st.integers(0, 900), st.sampled_from([60, 240, 540, 3600, 86_400]), st.booleans()), max_size=6),
    st.sampled_from([None, 10.0, 75.0, 100.0]),
)
def test_no_fetch_runs_into_the_next_and_none_asks_more_often_than_its_interval(
    kinds: list[tuple[int, int, bool]], per_minute: float | None
) -> None:
    needs = [need(f"kind {place}", calls, s, core=core) for place, (calls, s, core) in enumerate(kinds)]
    found = Told(needs, SIMULATED, per_minute)
    for slot, made in zip(SIMULATED, found.fetches, strict=True):
        assert per_minute is None or sum(made.values()) * 60 / per_minute <= slot.length_s
    for each in needs:
        assert found.calls[each.name] <= each.calls * fetch_count(SIMULATED, each.interval_s, -inf)


@given(st.integers(1, 400), st.sampled_from([60, 240, 540, 3600]))
def test_without_a_limit_everything_is_renewed_when_it_is_due(calls: int, interval_s: int) -> None:
    one = need("one", calls, interval_s)
    found = Told([one], SIMULATED, None)
    assert found.calls["one"] == calls * fetch_count(SIMULATED, interval_s, -inf)
    starts = [slot.start_s for slot, made in zip(SIMULATED, found.fetches, strict=True) if made]
    assert found.age_s["one"] == max(later - start for start, later in pairwise(starts))
