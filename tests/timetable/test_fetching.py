"""What fetching a universe takes: calls, seconds, and how old flow gets meanwhile."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.flow import REQUESTS_PER_MINUTE
from tradebot.signals.kinds import kind_of
from tradebot.timetable.fetching import FetchPlan, fetching_problems
from tradebot.timetable.job_times import parse

POLL_S = {
    "flow_alerts": 240,
    "dark_pool": 540,
    "market_tide": 240,
    "greek_exposure": 86_400,
    "iv_rank": 86_400,
    "oi_change": 86_400,
}
TIMES = parse("every 5m from open+2m until close")


def plan(symbols: int, calls_per_minute: int | None = REQUESTS_PER_MINUTE, **poll_s: int) -> FetchPlan:
    calls = dict.fromkeys(POLL_S, symbols) | {"market_tide": 1}
    return FetchPlan(calls, POLL_S | poll_s, TIMES, calls_per_minute)


def test_the_first_fetch_of_a_session_asks_for_everything_at_the_rate_of_the_source() -> None:
    first, second, third, *_ = plan(20).fetches()
    assert (first.calls, plan(20).first_s) == (5 * 20 + 1, 101 / 90 * 60)
    # Five minutes later only alerts and tide are due, ten minutes later dark pools too.
    assert (second.calls, third.calls) == (21, 41)
    assert plan(20).calls == 101 + 77 * 21 + 38 * 20


def test_a_fetch_that_takes_longer_than_a_slot_costs_the_slots_that_begin_meanwhile() -> None:
    # 180 symbols take 600.7 s: the slots five and ten minutes later are lost, and alerts come 120 s into the third.
    starts = [fetch.start_s for fetch in plan(180).fetches()]
    assert starts[:2] == [120, 120 + 900]
    assert plan(180).oldest_s == 900 + 180 / 90 * 60
    assert plan(179).oldest_s < 900


def test_what_is_polled_less_often_than_its_slots_come_waits_for_the_next_slot() -> None:
    assert plan(20, None).oldest_s == 300
    assert plan(20, None, flow_alerts=301).oldest_s == 600


def test_each_limit_is_met_or_named_with_its_numbers() -> None:
    # Alerts and dark pools of 300 symbols stay just below 90 calls a minute, of 301 just above.
    assert list(fetching_problems(plan(100), 900, 15_000)) == []
    assert list(fetching_problems(plan(20), 900, plan(20).calls)) == []
    (calls,) = fetching_problems(plan(20), 900, plan(20).calls - 1)
    assert "20 symbols of universe need 2,478 calls a session" in calls
    assert list(fetching_problems(plan(300), 3600, 10**6)) == []
    (rate,) = fetching_problems(plan(301), 3600, 10**6)
    assert "301 symbols of universe need 90 calls a minute" in rate
    (age,) = fetching_problems(plan(20), int(plan(20).oldest_s), 15_000)
    assert "gets 313 s old, not less than limits.max_flow_age_s 313" in age
    assert "the first fetch of a session takes 67 s" in age
    assert list(fetching_problems(plan(20), int(plan(20).oldest_s) + 1, 15_000)) == []


@given(st.integers(1, 5000), st.sampled_from([None, 30, 90, 600]))
def test_fetches_never_overlap_and_no_more_calls_are_made_than_the_rate_allows(
    symbols: int, calls_per_minute: int | None
) -> None:
    found = list(plan(symbols, calls_per_minute).fetches())
    per_s = calls_per_minute / 60 if calls_per_minute else float("inf")
    assert all(a.start_s + a.calls / per_s <= b.start_s for a, b in pairwise(found))
    assert plan(symbols, calls_per_minute).calls <= plan(symbols, None).calls


def test_a_plan_counts_one_call_per_symbol_or_one_for_the_market_at_the_configured_interval_or_the_kinds_own() -> None:
    needed = {kind_of("flow_alerts"): ("AAPL", "MSFT"), kind_of("market_tide"): ("AAPL", "MSFT")}
    found = FetchPlan.of(needed, {"flow_alerts": 600}, TIMES)
    assert (found.calls_of, found.poll_s) == (
        {"flow_alerts": 2, "market_tide": 1},
        {"flow_alerts": 600, "market_tide": 240},
    )
