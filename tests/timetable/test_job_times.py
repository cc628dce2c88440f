"""Due times are read strictly, written back as they were, and follow the session's open and close."""

from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.kit.values import SESSION, USUAL, VENUE_DAY
from tradebot.app.settings import load
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.timetable.job_times import JobTimes, longest_wait_s, parse, whole_day
from tradebot.timetable.sessions import due_at, next_slot, slot_at, slots

EVENING, AROUND = VenueDay("America/New_York", timedelta(hours=-6), timedelta(hours=23)), VenueDay("UTC")
HALF_SESSION = replace(SESSION, close=SESSION.open + timedelta(hours=3, minutes=30))
TIMETABLE = load(None, {}).settings.timetable


@given(
    every=st.integers(1, 120),
    start=st.integers(0, 120),
    end=st.integers(0, 120),
    second=st.integers(-600, 24_000),
    half=st.booleans(),
)
def test_the_slot_of_a_moment_is_the_last_begun(every: int, start: int, end: int, second: int, half: bool) -> None:
    times = parse(f"every {every}m from open+{start}m until close-{end}m", VENUE_DAY)
    session = HALF_SESSION if half else SESSION
    now = session.open + timedelta(seconds=second)
    every_slot = list(slots(Job.SCORE, times, session))
    begun = [slot for slot in every_slot if slot.start <= now]
    over = now >= session.close - timedelta(minutes=end)
    assert slot_at(Job.SCORE, times, session, now) == (begun[-1] if begun and not over else None)
    ahead = [slot for slot in every_slot if slot.start > now]
    assert next_slot(Job.SCORE, times, session, now) == (ahead[0] if ahead else None)


@pytest.mark.parametrize(
    ("minute", "jobs"),
    [
        (0, []),
        (1, [Job.EVALUATE_EXITS, Job.RECONCILE]),
        (2, [Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE]),
        (3, [Job.EVALUATE_EXITS]),
        (377, [Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS]),
        (389, [Job.EVALUATE_EXITS]),
        (390, []),
    ],
)
def test_jobs_due_together_run_in_the_order_of_the_chain(minute: int, jobs: list[Job]) -> None:
    found = due_at(TIMETABLE, SESSION, SESSION.open + timedelta(minutes=minute))
    assert [slot.job for slot in found] == jobs


HALF_DAY = replace(USUAL, close=USUAL.open + timedelta(minutes=210))
minutes = st.integers(0, 380)
edges = st.builds(lambda name, n: f"open+{n}m" if name else f"close-{n}m", st.booleans(), minutes)
parts = st.one_of(
    edges.map(lambda edge: f"at {edge}"),
    st.builds(
        lambda n, start, end: f"every {n}m from open+{start}m until close-{end}m",
        st.integers(1, 120),
        st.integers(0, 190),
        st.integers(0, 190),
    ),
)
texts = st.lists(parts.filter(lambda part: "close-0m" not in part), min_size=1, max_size=4).map(", ".join)


def read(text: str) -> JobTimes | None:
    """Return the times, None where a part ends before it begins."""
    try:
        return parse(text, VENUE_DAY)
    except ValueError:
        return None


def names(text: str, *, half: bool = False) -> list[str]:
    return [due.name for due in parse(text, VENUE_DAY).in_session(HALF_DAY if half else USUAL)]


@pytest.mark.parametrize(
    ("text", "whole", "half"),
    [
        ("every 90m from open+30m until close-60m", ["open+30m", "open+120m", "open+210m", "open+300m"],
         ["open+30m", "open+120m"]),
        ("every 2h", ["open+0m", "open+120m", "open+240m", "open+360m"], ["open+0m", "open+120m"]),
        ("every 7200s while open", ["open+0m", "open+120m", "open+240m", "open+360m"], ["open+0m", "open+120m"]),
        ("at close-10m", ["close-10m"], ["close-10m"]),
        ("open+5h, at close-1m", ["open+300m", "close-1m"], ["close-1m"]),
        ("every 1m from close-3m", ["open+387m", "open+388m", "open+389m"], ["open+207m", "open+208m", "open+209m"]),
        ("at open, every 3h from open until open+3h", ["open+0m"], ["open+0m"]),
        ("at close-10m, at open+380m", ["close-10m"], ["close-10m"]),
    ],
)  # fmt: skip
def test_times_stand_at_their_offsets_on_whole_and_half_days(text: str, whole: list[str], half: list[str]) -> None:
    assert (names(text), names(text, half=True)) == (whole, half)


@pytest.mark.parametrize(
    ("text", "usual", "evening", "around"),
    [
        ("at open+10h", None, ["open+600m"], ["open+600m"]),
        ("at close-23h, at open+23h", None, None, ["close-1380m", "open+1380m"]),
        ("every 6h while open", ["open+0m", "open+360m"], *[[f"open+{n}m" for n in (0, 360, 720, 1080)]] * 2),
        ("at open, at close-10m", *[["open+0m", "close-10m"]] * 3),
    ],
)
def test_times_fit_the_usual_session_of_the_venue(
    text: str, usual: list[str] | None, evening: list[str] | None, around: list[str] | None
) -> None:
    for venue, due in ((VENUE_DAY, usual), (EVENING, evening), (AROUND, around)):
        if due is None:
            with pytest.raises(ValueError, match=f"in a session of {6 if venue is VENUE_DAY else 23}h"):
                parse(text, venue)
        else:
            assert sorted(due) == sorted(due.name for due in parse(text, venue).in_session(whole_day(venue)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a time"),
        ("every 5", "is not a time"),
        ("every 5m from open-5m", "is not a time"),
        ("every 5m, ", "is not a time"),
        ("every 5m while open from open+1m", "is not a time"),
        ("at open+5d", "is not a time"),
        ("every 90s", "multiple of 60s"),
        ("at open+30s", "multiple of 60s"),
        ("every 0m", "due all the time"),
        ("at open+390m", "is never due"),
        ("every 5m from close-5m until open+5m", "is never due"),
        (", ".join(["at open"] * 21), "at most 20 parts"),
    ],
)
def test_a_text_that_is_not_a_time_is_refused_with_what_is_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text, VENUE_DAY)


@pytest.mark.parametrize("value", [5, None, ["every 5m"], {"every_s": 60}])
def test_a_time_that_is_not_a_text_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="use times such as"):
        parse(value, VENUE_DAY)


@given(text=texts)
def test_times_stand_in_order_inside_any_session_and_are_written_as_they_were_read(text: str) -> None:
    times = read(text)
    assume(times is not None)
    assert times is not None
    assert parse(str(times), VENUE_DAY) == times
    for session in (USUAL, HALF_DAY):
        found = times.in_session(session)
        starts = [due.start for due in found]
        assert starts == sorted(set(starts))
        assert len({due.name for due in found}) == len(found)
        assert all(session.open <= due.start < due.end <= session.close for due in found)
    assert times.in_session(USUAL)


@pytest.mark.parametrize(
    ("renewal", "used", "wait_s"),
    [
        ("every 15m from open+1m", "every 5m from open+2m until close-15m", 900),
        ("at close-10m", "every 5m from open+2m", 378 * 60),
        ("at open+1m", "every 5m from open+2m", 386 * 60),
        ("at open+1m, at close-60m", "at open+2m", 329 * 60),
    ],
)
def test_the_longest_wait_counts_the_first_and_the_last_use_too(renewal: str, used: str, wait_s: int) -> None:
    assert longest_wait_s(parse(renewal, VENUE_DAY), parse(used, VENUE_DAY), USUAL) == wait_s
