"""When a contract is left for the next one: by date or by volume, known at the open, whatever comes after."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.instrument import Rolling
from tradebot.signals.roll_dates import EARLIEST, RollOut, Volumes, earlier, roll_out_date

ON = date(2026, 12, 8)
ROLLING = Rolling(ON, date(2026, 12, 17), "ESH7", 780, 840)
FIRST = ON - EARLIEST
days = st.integers(-5, EARLIEST.days + 5).map(lambda count: FIRST + timedelta(days=count))
volumes = st.dictionaries(days, st.sampled_from((1.0, 2.0)), max_size=40)


def of(*numbers: int, first: date = date(2026, 11, 30)) -> Volumes:
    return {first + timedelta(days=place): float(number) for place, number in enumerate(numbers) if number}


@pytest.mark.parametrize(
    ("own", "following", "when"),
    [
        (of(9, 9, 9), of(1, 1, 1), RollOut(ON)),
        (of(9, 9, 9), of(10, 1, 10), RollOut(ON)),
        (of(9, 9, 9), of(10, 10, 1), RollOut(date(2026, 12, 2), volume=True)),
        (of(9, 0, 9), of(10, 10, 10), RollOut(ON)),
        (of(9, 9, 9), of(10, 0, 10), RollOut(ON)),
        (of(9, 9, 9), of(9, 9, 9), RollOut(ON)),
        ({}, of(10, 10, 10), RollOut(ON)),
        (of(9, 9, 9), {}, RollOut(ON)),
        (of(9, 9, first=date(2026, 12, 6)), of(10, 10, first=date(2026, 12, 6)), RollOut(ON)),
        (of(9, 9, first=date(2026, 10, 1)), of(10, 10, first=date(2026, 10, 1)), RollOut(ON)),
    ],
)
def test_two_days_of_more_volume_or_the_date_whichever_is_first(
    own: Volumes, following: Volumes, when: RollOut
) -> None:
    assert roll_out_date(ROLLING, own, following) == when


@given(volumes, volumes, days)
def test_later_days_never_change_whether_a_contract_was_left(own: Volumes, following: Volumes, session: date) -> None:
    """Asked with the days before a session alone, the answer for that session is the one of hindsight."""
    known = [{day: count for day, count in one.items() if day < session} for one in (own, following)]
    assert (roll_out_date(ROLLING, *known).on <= session) == (roll_out_date(ROLLING, own, following).on <= session)


def test_a_contract_left_by_volume_leaves_from_then_on_and_never_later_than_its_date() -> None:
    assert earlier(ROLLING, date(2026, 12, 4)).on == date(2026, 12, 4)
    assert earlier(ROLLING, date(2026, 12, 14)) == ROLLING
