"""No minute holds more requests than burst and rate allow."""

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.fakes.machine import Timer
from tradebot.venues.alpaca.wire import TokenBucket


@given(st.lists(st.floats(min_value=0, max_value=20), min_size=1, max_size=400))
def test_bucket_allows_no_more_than_burst_and_rate_in_any_minute(pauses: list[float]) -> None:
    timer = Timer()
    bucket = TokenBucket(160, 30, monotonic=timer.monotonic, sleep=timer.sleep)
    taken = []
    for pause in [*pauses, *[0.0] * 400]:
        timer.sleep(pause)
        bucket.take()
        taken.append(timer.now)
    assert max(sum(start <= at < start + 60 for at in taken) for start in taken[::20]) <= 191


def test_bucket_lets_the_burst_through_and_then_waits_one_interval() -> None:
    timer = Timer()
    bucket = TokenBucket(60, 5, monotonic=timer.monotonic, sleep=timer.sleep)
    for _ in range(5):
        bucket.take()
    assert timer.now == 0
    bucket.take()
    assert timer.now == 1
