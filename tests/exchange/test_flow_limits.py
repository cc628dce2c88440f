"""The limits of the flow API: counted by engine time and key, told on every answer, refused as the real one does."""

import pytest

from tradebot.exchange.faces.flow import FlowLimits
from tradebot.exchange.times import HOUR, MINUTE, SECOND, parse_time

NOON = parse_time("2026-11-20T17:00:00Z")
EVENING = parse_time("2026-11-21T01:00:00Z")


def test_answer_says_how_many_requests_are_left_and_when_the_minute_ends() -> None:
    limits = FlowLimits(120, 15_000)
    for _ in range(3):
        headers, refused = limits.count("key", NOON + 20 * SECOND)
    assert (headers, refused) == (
        {
            "x-uw-token-req-limit": "15000",
            "x-uw-daily-req-count": "3",
            "x-uw-minute-req-counter": "3",
            "x-uw-req-per-minute-remaining": "117",
            "x-uw-req-per-minute-reset": "40000",
        },
        False,
    )


def test_without_limits_nothing_is_refused() -> None:
    limits = FlowLimits(None, None)
    answers = [limits.count("key", NOON) for _ in range(1000)]
    assert not any(answer.refused for answer in answers)
    last = answers[-1].headers
    assert (last["x-uw-req-per-minute-remaining"], last["x-uw-token-req-limit"]) == ("1000000", "50000")
    assert (last["x-uw-daily-req-count"], last["x-uw-minute-req-counter"]) == ("1000", "1000")


def test_requests_over_the_minute_limit_are_refused_until_the_next_minute_for_each_key() -> None:
    limits = FlowLimits(2, None)
    assert [limits.count("key", NOON + 59 * SECOND).refused for _ in range(4)] == [False, False, True, True]
    assert not limits.count("other", NOON + 59 * SECOND).refused
    assert [limits.count("key", NOON + MINUTE).refused for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("later", [HOUR, EVENING - NOON - 1])
def test_requests_over_the_day_limit_are_refused_until_eight_in_the_evening_in_new_york(later: int) -> None:
    limits = FlowLimits(None, 2)
    assert [limits.count("key", NOON).refused for _ in range(3)] == [False, False, True]
    refused = limits.count("key", NOON + later)
    assert (refused.refused, refused.headers["x-uw-daily-req-count"]) == (True, "2")
    assert limits.count("key", EVENING).headers["x-uw-daily-req-count"] == "1"
