"""Net premium: what all option trades of the session add up to."""

import pytest

from tests.builders import ago, known, known_of
from tradebot.signals.components.net_premium import COMPONENT
from tradebot.signals.kinds.net_prem_ticks import KIND, NetPremFacts


def value(calls: float, puts: float, gross: float, age_s: float = 60) -> float | None:
    return COMPONENT.value(known_of(KIND, NetPremFacts(ago(age_s), 3, calls, puts, gross, 0, 0)))


@pytest.mark.parametrize(
    ("calls", "puts", "gross", "expected"),
    [(300.0, -100.0, 800.0, 0.5), (-300.0, 100.0, 400.0, -1.0), (0.0, 0.0, 0.0, 0)],
)
def test_it_is_calls_less_puts_over_all_that_moved(calls: float, puts: float, gross: float, expected: float) -> None:
    assert value(calls, puts, gross) == expected


def test_rounding_does_not_push_it_out_of_range() -> None:
    assert value(0.1 + 0.2, 0.0, 0.3) == 1.0


def test_a_session_whose_last_minute_is_old_is_absent_data() -> None:
    assert (value(1.0, 0.0, 1.0, 1800), value(1.0, 0.0, 1.0, 1801)) == (1.0, None)
    assert COMPONENT.value(known()) is None
