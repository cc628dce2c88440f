"""The health of a coin's data: what fails, when it changes, and when it is looked at again."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.position import candles, figures, rules
from tests.kit.values import NOW
from tradebot.model.registry import CoinHealth, DataCheck, DataState, Failed, Figures
from tradebot.signals.registry import (
    after_a_look,
    is_data_check_due,
    next_candle_at,
    of_candles,
    of_figures,
    without_a_look,
)

RULES, FIVE, HOUR = rules().health, timedelta(minutes=5), timedelta(hours=1)
BAD = (Failed(DataCheck.VOLUME, Decimal(1), Decimal(10_000)),)
BEGAN = NOW.replace(hour=8, minute=0, second=0, microsecond=0)
"""When the newest candle began; the next one is there at 16:00."""


def played(looks: str, step: timedelta = FIVE) -> list[DataState]:
    """Return the state after each pass: "+" for data that passes if it is looked at, "-" for data that fails."""
    states: list[DataState] = []
    for place, look in enumerate(looks):
        before, now = states[-1] if states else None, NOW + step * place
        if before is None or is_data_check_due(before, now, RULES):
            states.append(after_a_look(before, BAD if look == "-" else (), now, RULES))
        else:
            states.append(without_a_look(before, now, RULES))
    return states


def healths(looks: str, step: timedelta = FIVE) -> str:
    return "".join(state.health[0] for state in played(looks, step))


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({}, []),
        ({"figures": figures(10_000, "0.1")}, []),
        ({"figures": figures(9_999)}, [DataCheck.VOLUME]),
        ({"figures": figures(None)}, [DataCheck.VOLUME]),
        ({"figures": figures(10_000, "0.1001")}, [DataCheck.SPREAD]),
        ({"figures": Figures(why="no quote")}, [DataCheck.QUOTE, DataCheck.VOLUME]),
        ({"candles": None}, [DataCheck.CANDLES]),
        ({"candles": candles(249, BEGAN)}, [DataCheck.CANDLES]),
        ({"candles": candles(250, BEGAN - timedelta(seconds=1))}, [DataCheck.NEWEST]),
        ({"candles": candles(3, BEGAN - HOUR)}, [DataCheck.CANDLES, DataCheck.NEWEST]),
    ],
)
def test_each_check_fails_just_past_its_limit(changes: dict[str, object], failing: list[DataCheck]) -> None:
    given_: dict[str, object] = {"figures": figures(20_000), "candles": candles(250, BEGAN)} | changes
    at = BEGAN + 8 * HOUR + timedelta(seconds=120)
    found = (*of_figures(given_["figures"], RULES), *of_candles(given_["candles"], at, RULES))  # type: ignore[arg-type]
    assert [one.check for one in found] == failing


def test_the_next_candle_should_be_there_when_it_has_ended() -> None:
    assert next_candle_at(candles(250, BEGAN)) == BEGAN + 8 * HOUR


@pytest.mark.parametrize(
    ("looks", "states"),
    [
        ("+++", "HHH"),
        ("+--+--+", "HHHHHHH"),
        ("+---", "HHHD"),
        ("-", "D"),
        ("-+++++++++++", "DDDDDDDDDDDD"),
        ("-++++++++++++", "DDDDDDDDDDDDH"),
        ("-++++++++---------------", "DDDDDDDDDDDDDDDDDDDDDDDD"),
    ],
)
def test_three_failures_degrade_and_three_passes_in_every_fourth_pass_heal(looks: str, states: str) -> None:
    assert healths(looks) == states


def test_six_hours_of_failing_suspend_and_it_is_then_probed_every_half_hour() -> None:
    found = played("-" * 90)
    assert [state.health for state in found].index(CoinHealth.SUSPENDED) == 72
    assert found[72].since - found[0].since == 6 * HOUR
    looked = sorted({state.looked_at for state in found[72:]})
    assert all(later - earlier == HOUR / 2 for earlier, later in pairwise(looked))
    assert len(looked) == 4


def test_suspended_data_is_healthy_after_three_probes_that_pass() -> None:
    looks = "-" * 73 + "+" * 14
    found = played(looks)
    assert (found[-2].health, found[-1].health) == (CoinHealth.SUSPENDED, CoinHealth.HEALTHY)
    assert found[-1].failed == ()


@given(st.text("+-", min_size=1, max_size=120), st.integers(1, 4_000))
def test_health_moves_only_along_its_three_steps(looks: str, step_s: int) -> None:
    states = played(looks, timedelta(seconds=step_s))
    assert states[0].health is (CoinHealth.HEALTHY if looks[0] == "+" else CoinHealth.DEGRADED)
    for place, (before, now) in enumerate(pairwise(states), 1):
        moved = (before.health, now.health)
        assert moved not in {(CoinHealth.HEALTHY, CoinHealth.SUSPENDED), (CoinHealth.SUSPENDED, CoinHealth.DEGRADED)}
        assert now.since == (before.since if moved[0] is moved[1] else NOW + timedelta(seconds=step_s) * place)
        if moved == (CoinHealth.HEALTHY, CoinHealth.DEGRADED):
            assert before.failures == RULES.failures - 1
        if now.health is CoinHealth.HEALTHY is not before.health:
            assert before.passes == RULES.passes - 1
        if moved == (CoinHealth.DEGRADED, CoinHealth.SUSPENDED):
            assert (now.since - before.since).total_seconds() >= RULES.suspend_after_s
    assert all(state.failures < RULES.failures or state.health is not CoinHealth.HEALTHY for state in states)


def test_a_look_that_is_later_than_now_is_made_again() -> None:
    suspended = played("-" * 80)[-1]
    assert not is_data_check_due(suspended, suspended.looked_at + FIVE, RULES)
    assert is_data_check_due(suspended, suspended.looked_at - FIVE, RULES)
