"""The plan of a session's fetches: its figures, what it says of alerts, and what is left of it later in the day."""

import pytest

from tradebot.model.flow import Allowance
from tradebot.model.kind import Scope
from tradebot.model.values import replace
from tradebot.signals.kinds import kind_of
from tradebot.timetable.fetch_course import ONCE_S, Need
from tradebot.timetable.fetching import FetchPlan, Outcome, fetching_problems, needs_of
from tradebot.timetable.job_times import parse

TIMES = parse("every 5m from open+2m until close")
ALLOWANCE = Allowance(120, 15_000, 0.1)


def needs(symbols: int) -> list[Need]:
    return [
        Need("market_tide", Scope.MARKET, 1, 240, max_age_s=900),
        Need("flow_alerts", Scope.SYMBOL, symbols, 240, core=True, max_age_s=900),
        Need("dark_pool", Scope.SYMBOL, symbols, 540, core=True, max_age_s=1800),
        Need("iv_rank", Scope.SYMBOL, symbols, ONCE_S),
    ]


def plan(symbols: int, allowance: Allowance | None = ALLOWANCE) -> FetchPlan:
    return FetchPlan.of(needs(symbols), TIMES, allowance)


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
    assert (made.fits, made.given_up) == (True, ())
    assert set(outcomes(made).values()) == {"as configured"}


def test_a_plan_that_does_not_fit_says_what_it_gave_up_and_for_what() -> None:
    made = plan(200)
    assert made.day == 13_500
    assert made.calls <= 13_500 < made.wanted_calls
    assert outcomes(made) == {
        "flow_alerts": "less often",
        "dark_pool": "less often",
        "market_tide": "as configured",
        "iv_rank": "as configured",
    }
    too_many = plan(500)
    assert (too_many.fits, outcomes(too_many)["flow_alerts"]) == (False, Outcome.TOO_OLD)
    assert too_many.calls <= 13_500


def test_a_source_without_a_limit_is_asked_as_configured() -> None:
    made = plan(5_000, None)
    assert (made.calls, made.given_up, made.first_s, made.day) == (made.wanted_calls, (), 0.0, None)
    assert made.room(130) is None


def test_the_calls_until_the_next_slot_are_those_that_the_rate_allows() -> None:
    made = plan(53)
    assert [made.room(s) for s in (120, 240, 419.9, 23_220, 23_300)] == [500, 300, 1, None, None]


def test_the_rest_of_a_session_is_planned_with_the_calls_that_are_left() -> None:
    made = plan(53)
    asked_s = {"flow_alerts": 12_120.0, "dark_pool": 12_120.0, "iv_rank": 120.0, "market_tide": 12_120.0}
    rest = made.calls_after(12_420, asked_s)
    assert rest == 53 * (37 + 18) + 37
    same = FetchPlan.of(needs(53), TIMES, ALLOWANCE, from_s=12_420, asked_s=asked_s, left=rest)
    assert (same.calls, same.given_up) == (rest, ())
    less = FetchPlan.of(needs(53), TIMES, ALLOWANCE, from_s=12_420, asked_s=asked_s, left=rest - 500)
    assert "left out" not in outcomes(less).values()
    assert less.given_up
    assert less.calls <= rest - 500
    assert FetchPlan.of(needs(53), TIMES, ALLOWANCE, from_s=12_420, asked_s=asked_s, left=-7).calls == 0


def test_needs_count_a_call_a_symbol_or_one_for_the_market_at_the_configured_interval_or_the_kinds_own() -> None:
    needed = {kind_of("market_tide"): ("AAPL", "MSFT"), kind_of("flow_alerts"): ("AAPL", "MSFT")}
    tide, alerts = needs_of(needed, {"flow_alerts": 600}, 900)
    assert (tide.calls, tide.interval_s, tide.scope) == (1, 240, Scope.MARKET)
    assert (alerts.calls, alerts.interval_s, alerts.core, alerts.max_age_s) == (2, 600, True, 900)


def test_no_interval_is_longer_than_a_kinds_own_freshness_limit() -> None:
    kind = replace(kind_of("dark_pool"), max_age_s=1200)
    assert [need.interval_s for need in needs_of({kind: ("AAPL",)}, {"dark_pool": 3600}, 900)] == [1200]


def test_alerts_that_get_too_old_are_a_problem_with_its_numbers() -> None:
    assert list(fetching_problems(needs(53), TIMES, ALLOWANCE)) == []
    assert list(fetching_problems(needs(346), TIMES, ALLOWANCE)) == []
    (many,) = fetching_problems(needs(500), TIMES, ALLOWANCE)
    assert "the 500 symbols of universe are too many" in many
    assert "120 calls a minute and 15,000 a day" in many
    assert many.endswith("346 symbols would fit")
    late = [replace(need, interval_s=900) for need in needs(20)]
    (seldom,) = fetching_problems(late, TIMES, None)
    assert "gets 900 s old, not less than limits.max_flow_age_s 900" in seldom
    assert "unusual_whales.poll_s.flow_alerts is 900" in seldom


def test_alerts_that_are_polled_less_often_than_slots_come_wait_for_the_next_slot() -> None:
    def oldest_s(interval_s: int) -> float | None:
        alerts = FetchPlan.of([replace(needs(20)[1], interval_s=interval_s)], TIMES).alerts
        return alerts.oldest_s if alerts else None

    assert (oldest_s(240), oldest_s(301)) == (300, 600)
