"""What is given up when a session doesn't fit the source's limits: the least important first, no more than needed."""

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.model.kind import Phase, Scope
from tradebot.model.values import replace
from tradebot.timetable.fetch_course import ONCE_S, Need, renewals, slots_of
from tradebot.timetable.fetching import Fitting, Intervals
from tradebot.timetable.job_times import parse

SLOTS = slots_of(parse("every 5m from open+2m until close"))
ALERTS = Need("flow_alerts", Scope.SYMBOL, 100, 240, core=True, max_age_s=900)
PRINTS = Need("dark_pool", Scope.SYMBOL, 100, 540, core=True, max_age_s=1800)
TIDE = Need("market_tide", Scope.MARKET, 1, 240, max_age_s=900)
TICKS = Need("net_prem_ticks", Scope.SYMBOL, 100, 300, max_age_s=1200)
DAILY = Need("iv_rank", Scope.SYMBOL, 100, ONCE_S)
NEEDS = (ALERTS, PRINTS, TIDE, TICKS, DAILY)


def fitted(day: int, *needs: Need, per_minute: float | None = 100.0) -> Intervals:
    return Fitting(needs or NEEDS, SLOTS, per_minute, day, {}).intervals()


def calls(planned: Intervals, needs: tuple[Need, ...] = NEEDS) -> int:
    return sum(
        each.calls * renewals(SLOTS, each.every_s(every_s), -inf)
        for each in needs
        if (every_s := planned[each.name]) is not None
    )


AS_WANTED = {need.name: need.interval_s for need in NEEDS}


def test_what_fits_stays_as_configured() -> None:
    assert fitted(calls(dict(AS_WANTED))) == AS_WANTED


def test_the_last_kind_that_is_not_core_is_fetched_less_often_first() -> None:
    one_less = fitted(calls(dict(AS_WANTED)) - 1)
    assert one_less == AS_WANTED | {"net_prem_ticks": 600}


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
    every_s = spread["flow_alerts"]
    assert every_s is not None
    assert every_s > 900
    assert calls(spread) <= 2_000


def test_a_rate_that_is_too_slow_counts_as_much_as_a_day_that_is_too_short() -> None:
    slow = fitted(10**6, per_minute=30.0)
    assert (slow["flow_alerts"], slow["iv_rank"]) == (600, ONCE_S)


def test_a_kind_without_a_freshness_limit_may_be_fetched_once() -> None:
    often = replace(DAILY, interval_s=300)
    assert fitted(7_900, ALERTS, often)["iv_rank"] == ONCE_S


def test_a_kind_whose_replies_change_once_a_day_costs_one_call_a_symbol() -> None:
    morning = replace(DAILY, phase=Phase.MORNING)
    assert fitted(7_900, ALERTS, morning) == {"flow_alerts": 240, "iv_rank": ONCE_S}


kinds = st.builds(
    Need,
    name=st.sampled_from(["flow_alerts", "a", "b", "c", "d"]),
    scope=st.just(Scope.SYMBOL),
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
    needs: tuple[Need, ...], day: int, per_minute: float
) -> None:
    fitting = Fitting(needs, SLOTS, per_minute, day, {})
    planned = fitting.intervals()
    assert calls(planned, needs) <= day
    assert planned == Fitting(needs, SLOTS, per_minute, day, {}).intervals()
    for need in needs:
        every_s = planned[need.name]
        assert every_s is None or every_s >= need.interval_s


@settings(max_examples=40)
@given(several, st.integers(0, 20_000))
def test_whatever_fits_keeps_every_reply_within_its_freshness_limit(needs: tuple[Need, ...], day: int) -> None:
    fitting = Fitting(needs, SLOTS, 100.0, day, {})
    planned = fitting.intervals()
    if not fitting.fits(planned):
        return
    found = fitting.course(planned)
    for need in needs:
        alone = Fitting((need,), SLOTS, None, None, {}).course({need.name: need.interval_s})
        held = need.max_age_s is not None and alone.age_s.get(need.name, 0.0) < need.max_age_s
        assert not held or found.age_s.get(need.name, 0.0) < (need.max_age_s or 0)
