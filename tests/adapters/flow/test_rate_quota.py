"""The quota of the flow source: kept by all processes of a bot together, whatever became of its file."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papervenue.faces.flow import FlowLimits
from tests.kit.bot import forked
from tests.kit.fakes.machine import Timer
from tradebot.adapters.flow.rate_quota import LONGEST_FILE, KeptQuota, next_quota_day
from tradebot.errors import AllowanceSpentError
from tradebot.model.flow import Allowance, Quota

NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)
EVENING = datetime(2026, 11, 21, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]
SIXTY = Allowance(60, 1_000_000)
UNSAID = Quota(None, None, None)


def quota(file: Path | None, timer: Timer, allowance: Allowance | None = SIXTY) -> KeptQuota:
    def now() -> datetime:
        return NOON + timedelta(seconds=timer.now)

    return KeptQuota(file, allowance, now, monotonic=timer.monotonic, sleep=timer.sleep)


def at_once(kept: KeptQuota, timer: Timer) -> int:
    began, count = timer.now, -1
    while timer.now == began:
        kept.take()
        count += 1
    return count


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "flow.quota"


@settings(max_examples=25)
@given(
    pauses=st.lists(st.floats(min_value=0, max_value=20), max_size=40),
    began_s=st.integers(0, 59),
    late_s=st.lists(st.floats(min_value=0, max_value=3), min_size=1, max_size=7),
    per_minute=st.sampled_from([1, 2, 6, 60, 120]),
)
def test_quota_never_provokes_a_refusal_however_the_source_counts_minutes(
    tmp_path_factory: pytest.TempPathFactory, pauses: list[float], began_s: int, late_s: list[float], per_minute: int
) -> None:
    timer, file = Timer(), tmp_path_factory.mktemp("quota") / "flow.quota"
    limits, refused = FlowLimits(per_minute, None), 0
    for number, pause in enumerate([*pauses, *[0.0] * 3 * per_minute]):
        timer.sleep(pause)
        # Each request is sent by another process, and reaches the source a little later or much later.
        quota(file, timer, Allowance(per_minute, 1_000_000)).take()
        arrival_s = began_s + timer.now + late_s[number % len(late_s)]
        refused += limits.count("token", int(arrival_s * 1_000_000)).refused
    assert refused == 0


def test_next_process_continues_with_the_remaining_quota(file: Path) -> None:
    timer = Timer()
    first = quota(file, timer)
    first.take()
    timer.sleep(60)
    for _ in range(3):
        first.take()
    assert at_once(quota(file, timer), timer) == 3


DAMAGED = [
    b"", b"{", b"\xff", b"[]", b"null", b"[" * 4096, b'{"tokens": 5}', b"7" * LONGEST_FILE, b"{}" * LONGEST_FILE,
    *(
        json.dumps({"tokens": 5, "at_s": 0, "used": 7, "renews_at": None, "limit": None, "held_until": None} | wrong)
        .replace('"1e999"', "1e999").encode()
        for wrong in (
            {"tokens": float("nan")}, {"at_s": "1e999"}, {"used": -1}, {"used": "many"}, {"limit": 0.5},
            {"held_until": "soon"}, {"held_until": 7}, {"renews_at": "9999-12-31T23:59:59-23:59"}, {"tokens": [5]},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:30]))
def test_damaged_quota_file_counts_as_empty_and_is_replaced(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    timer = Timer()
    assert at_once(quota(file, timer), timer) == 0
    assert json.loads(file.read_bytes())["used"] == 1


def test_quota_recovers_from_a_clock_set_back_and_from_absurd_numbers(file: Path) -> None:
    for tokens, at_s in ((5, 1e9), (-1e9, 0)):
        kept = {"tokens": tokens, "at_s": at_s, "used": 7, "renews_at": EVENING.isoformat(), "limit": None}
        file.write_text(json.dumps(kept | {"held_until": None}))
        timer = Timer()
        again = quota(file, timer)
        again.take()
        assert timer.now <= 21
        assert again.used_on_day(NOON) == 8


def test_process_keeps_its_own_quota_when_the_file_cannot_be_written(file: Path) -> None:
    file.mkdir()
    timer = Timer()
    kept = quota(file, timer)
    assert at_once(kept, timer) == 0
    timer.sleep(60)
    assert at_once(kept, timer) == 6


def test_source_without_a_limit_is_asked_at_once_without_a_file(file: Path) -> None:
    timer = Timer()
    kept = quota(file, timer, None)
    for _ in range(1000):
        kept.take()
        kept.correct(Quota(7, 50_000, 1_000_000), NOON, None)
    assert (timer.now, file.exists(), kept.planned_left(), kept.used_on_day(NOON)) == (0, False, None, None)


def test_daily_count_survives_the_process_and_restarts_at_eight_pm(file: Path) -> None:
    timer, small = Timer(), Allowance(1_000_000, 10, 0.2)
    for _ in range(4):
        quota(file, timer, small).take()
    assert (quota(file, timer, small).used_on_day(NOON), quota(file, timer, small).planned_left()) == (4, 4)
    assert quota(file, timer, small).used_on_day(EVENING) is None
    timer.sleep((EVENING - NOON).total_seconds())
    assert quota(file, timer, small).planned_left() == 8
    quota(file, timer, small).take()
    assert quota(file, timer, small).used_on_day(EVENING) == 1


def test_daily_limit_is_never_exceeded_and_refused_requests_are_not_counted(file: Path) -> None:
    timer, small = Timer(), Allowance(1_000_000, 3)
    for _ in range(3):
        quota(file, timer, small).take()
    for _ in range(2):
        with pytest.raises(AllowanceSpentError, match="used up until 2026-11-20 20:00 New York time"):
            quota(file, timer, small).take()
    assert quota(file, timer, small).used_on_day(NOON) == 3
    timer.sleep((EVENING - NOON).total_seconds())
    quota(file, timer, small).take()


@pytest.mark.parametrize("said", [4, 900])
def test_source_headers_correct_the_count_up_and_down(file: Path, said: int) -> None:
    timer, small = Timer(), Allowance(1_000_000, 1000, 0.1)
    kept = quota(file, timer, small)
    for _ in range(7):
        kept.take()
    kept.correct(Quota(said, 20_000, 100), NOON, None)
    assert (quota(file, timer, small).used_on_day(NOON), kept.planned_left()) == (said, 900 - said)


def test_short_wait_delays_every_process_and_a_long_one_ends_the_fetch(file: Path) -> None:
    timer = Timer()
    quota(file, timer, None).correct(UNSAID, NOON, 50.0)
    quota(file, timer, None).take()
    assert timer.now == 50
    quota(file, timer, None).take()
    assert timer.now == 50
    quota(file, timer, None).correct(UNSAID, NOON, 600.0)
    with pytest.raises(AllowanceSpentError, match="asked us to wait until 2026-11-20 12:10"):
        quota(file, timer, None).take()
    timer.sleep(540)
    quota(file, timer, None).take()
    assert timer.now == 600


def test_used_up_day_is_known_to_the_next_process(file: Path) -> None:
    timer = Timer()
    quota(file, timer, None).correct(Quota(50, 50, 1_000_000), NOON, None)
    with pytest.raises(AllowanceSpentError, match="the day's allowance is used up"):
        quota(file, timer, None).take()
    timer.sleep((EVENING - NOON).total_seconds())
    quota(file, timer, None).take()


def test_wait_is_ignored_after_the_clock_was_set_back(file: Path) -> None:
    timer = Timer()
    quota(file, timer, None).correct(UNSAID, NOON + timedelta(days=3), 50.0)
    quota(file, timer, None).take()
    assert timer.now == 0


@given(st.datetimes(min_value=datetime(2005, 1, 1), max_value=datetime(2035, 1, 1)))  # noqa: DTZ001
def test_the_next_quota_day_is_later_and_at_most_25_hours_away(naive: datetime) -> None:
    now = naive.replace(tzinfo=UTC)
    assert 0 < (next_quota_day(now) - now).total_seconds() <= 25 * 3600


def test_real_processes_share_one_count(file: Path) -> None:
    take = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from tradebot.adapters.flow.rate_quota import KeptQuota; from tradebot.model.flow import Allowance\n"
        "slept = []; now = datetime(2026, 11, 20, 17, tzinfo=UTC)\n"
        "kept = KeptQuota(Path(sys.argv[1]), Allowance(60, 1000), lambda: now, sleep=slept.append)\n"
        "for _ in range(5): kept.take()\n"
        "print(sum(slept) > 0)"
    )
    kept = {"tokens": 6, "at_s": time.monotonic(), "used": 3, "renews_at": EVENING.isoformat(), "limit": None}
    file.write_text(json.dumps(kept | {"held_until": None}))
    running = [forked.python(take, file) for _ in range(3)]
    waited = [child.communicate()[0].strip() for child in running]
    assert "True" in waited
    assert quota(file, Timer()).used_on_day(NOON) == 18
