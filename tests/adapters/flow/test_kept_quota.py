"""The quota of the flow source: kept by all processes of a bot together, whatever became of its file."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adapters.wire.test_budget import Timer
from tradebot.adapters.flow.kept_quota import KeptQuota

UNTIL = datetime(2026, 11, 21, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]


def quota(file: Path | None, timer: Timer, per_minute: float | None = 60, burst: int = 5) -> KeptQuota:
    return KeptQuota(file, per_minute, burst, monotonic=timer.monotonic, sleep=timer.sleep)


def at_once(kept: KeptQuota, timer: Timer) -> int:
    """Return how many requests go out without waiting."""
    began, count = timer.now, -1
    while timer.now == began:
        kept.take()
        count += 1
    return count


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "flow.quota"


@given(pauses=st.lists(st.floats(min_value=0, max_value=20), min_size=1, max_size=60))
def test_no_minute_of_all_processes_together_holds_more_requests_than_burst_and_rate(
    tmp_path_factory: pytest.TempPathFactory, pauses: list[float]
) -> None:
    timer, file = Timer(), tmp_path_factory.mktemp("quota") / "flow.quota"
    taken = []
    for pause in [*pauses, *[0.0] * 60]:
        timer.sleep(pause)
        # Each request is sent by another process.
        quota(file, timer, 60, 10).take()
        taken.append(timer.now)
    assert max(sum(start <= at < start + 60 for at in taken) for start in taken[::7]) <= 71


def test_the_next_process_goes_on_from_what_is_left(file: Path) -> None:
    timer = Timer()
    first = quota(file, timer)
    first.take()
    timer.sleep(60)
    for _ in range(3):
        first.take()
    assert at_once(quota(file, timer), timer) == 2


def test_a_quota_that_nobody_knows_starts_empty_and_fills_up(file: Path) -> None:
    timer = Timer()
    assert at_once(quota(file, timer), timer) == 0
    timer.sleep(60)
    assert at_once(quota(file, timer), timer) == 5


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff", b"[]", b"null", b"[" * 4096, b'{"tokens": 5}',
        b'{"tokens": NaN, "at_s": 0, "spent_until": null}', b'{"tokens": 99, "at_s": 0, "spent_until": null}',
        b'{"tokens": 5, "at_s": 1e999, "spent_until": null}', b'{"tokens": 5, "at_s": 0, "spent_until": "soon"}',
        b'{"tokens": 5, "at_s": 0, "spent_until": "9999-12-31T23:59:59-23:59"}',
    ],
    ids=lambda content: repr(content[:30]),
)  # fmt: skip
def test_a_damaged_file_counts_as_an_empty_quota(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    timer = Timer()
    assert at_once(quota(file, timer), timer) == 0
    assert json.loads(file.read_bytes())["at_s"] == 0


def test_neither_a_clock_that_went_back_nor_a_mad_number_freezes_it(file: Path) -> None:
    for tokens, at_s in ((5, 1e9), (-1e9, 0)):
        file.write_text(json.dumps({"tokens": tokens, "at_s": at_s, "spent_until": UNTIL.isoformat()}))
        timer = Timer()
        kept = quota(file, timer)
        kept.take()
        assert 1 <= timer.now <= 6
        assert kept.spent_until == UNTIL


def test_where_the_file_cannot_be_written_each_process_keeps_to_the_quota_by_itself(file: Path) -> None:
    file.mkdir()
    timer = Timer()
    kept = quota(file, timer)
    assert at_once(kept, timer) == 0
    timer.sleep(60)
    assert at_once(kept, timer) == 5


def test_a_source_without_a_limit_is_asked_at_once_and_leaves_no_file(file: Path) -> None:
    timer = Timer()
    kept = quota(file, timer, None)
    for _ in range(1000):
        kept.take()
    assert (timer.now, file.exists()) == (0, False)


def test_a_day_that_is_used_up_is_known_to_the_next_process(file: Path) -> None:
    quota(file, Timer(), None).spend_day(UNTIL)
    assert quota(file, Timer(), None).spent_until == UNTIL
    quota(file, Timer(), None).spend_day(None)
    assert quota(file, Timer(), None).spent_until is None


def test_two_real_processes_share_one_quota(file: Path) -> None:
    take = (
        "import sys, time; from pathlib import Path; from tradebot.adapters.flow.kept_quota import KeptQuota\n"
        "slept = []; kept = KeptQuota(Path(sys.argv[1]), 60, 3, sleep=slept.append)\n"
        "for _ in range(3): kept.take()\n"
        "print(sum(slept) > 0)"
    )

    def run() -> str:
        command = [sys.executable, "-S", "-c", take, str(file)]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    import time

    file.write_text(json.dumps({"tokens": 3, "at_s": time.monotonic(), "spent_until": None}))
    assert [run(), run()] == ["False", "True"]
