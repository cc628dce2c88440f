"""How late evidence is: it counts from the first slot that began after it."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOW, ago
from tradebot.judging.parts import late_s

SLOTS = [ago(seconds) for seconds in (600, 300, 0)]
AGES = st.floats(min_value=-1_000, max_value=1_000)


def test_evidence_is_late_since_the_first_slot_after_it() -> None:
    assert late_s(ago(601), SLOTS, NOW) == 600
    assert late_s(ago(600), SLOTS, NOW) == 300
    assert late_s(ago(301), SLOTS, ago(250)) == 50
    assert late_s(ago(0), SLOTS, NOW + timedelta(hours=9)) == 0
    assert late_s(ago(900), [], NOW) == 0


@given(AGES, AGES, st.lists(AGES, max_size=5))
def test_lateness_grows_with_time_and_shrinks_with_newer_evidence(
    first: float, second: float, due: list[float]
) -> None:
    slots = sorted(ago(seconds) for seconds in due)
    older, newer = sorted((ago(first), ago(second)))
    assert late_s(newer, slots, NOW) <= late_s(older, slots, NOW)
    assert late_s(older, slots, NOW) <= late_s(older, slots, NOW + timedelta(seconds=1))
