"""The ticks: one each second and none made up, and habits of APScheduler that can't hurt because it only ticks."""

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.triggers.cron import CronTrigger

from jobs import ticker
from jobs.ticker import tick_until
from tests.kit.values import VENUE_DAY
from tradebot.errors import TemporaryError
from tradebot.timetable.chore_times import parse_cron


def test_ticks_go_on_in_this_thread_until_it_is_over() -> None:
    ticked: list[int] = []
    tick_until(lambda: ticked.append(1), lambda: len(ticked) == 2, every_s=0.01)
    assert ticked == [1, 1]


def test_of_the_scheduler_only_an_interval_is_used_so_its_weekdays_and_its_clock_changes_cant_hurt() -> None:
    """APScheduler counts weekdays from Monday as 0, and runs 01:30 twice in fall; we ask it for neither."""
    taken = {
        name: member
        for name, member in vars(ticker).items()
        if getattr(member, "__module__", "").startswith("apscheduler")
    }
    assert sorted(taken) == [
        "BackgroundScheduler", "BlockingScheduler", "DebugExecutor", "IntervalTrigger", "JobExecutionEvent",
        "ThreadPoolExecutor",
    ]  # fmt: skip
    source = Path(ticker.__file__).read_text()
    added = re.findall(r"scheduler\.add_job\(.*", source)
    assert added
    for call in added:
        assert "misfire_grace_time=None" in call, "a tick is never dropped because it is late"


def test_a_tick_that_took_long_is_followed_by_one_tick_and_not_by_all_that_it_missed() -> None:
    ticked: list[float] = []

    def tick() -> None:
        ticked.append(time.monotonic())
        if len(ticked) == 1:
            time.sleep(0.2)

    tick_until(tick, lambda: len(ticked) == 3, every_s=0.02)
    assert ticked[2] - ticked[1] > 0.005, "the nine ticks of the long one aren't made up"


def test_what_a_tick_raises_is_raised_to_the_caller() -> None:
    def tick() -> None:
        raise TemporaryError("the engine is gone")

    with pytest.raises(TemporaryError, match="the engine is gone"):
        tick_until(tick, lambda: False)


def test_the_scheduler_below_numbers_weekdays_from_monday_so_that_a_crontab_would_skip_mondays_and_we_do_not() -> None:
    """The habit that costs a session: APScheduler takes 1-5 for Tuesday to Saturday. Our lines take names only."""
    theirs = CronTrigger.from_crontab("35 9 * * 1-5", timezone=UTC)
    sunday = datetime(2026, 11, 15, tzinfo=UTC)
    first = theirs.get_next_fire_time(None, sunday)
    assert first is not None
    assert f"{first:%a}" == "Tue"
    with pytest.raises(ValueError, match="write weekdays by name"):
        parse_cron("35 9 * * 1-5", VENUE_DAY)
    named = parse_cron("35 9 * * Mon-Fri", VENUE_DAY)
    days = [sunday.date() + timedelta(days=count) for count in range(7)]
    assert [f"{day:%a}" for day in days if list(named.starts(day))] == ["Mon", "Tue", "Wed", "Thu", "Fri"]


def test_ticks_that_a_long_pass_covers_are_one_tick_after_it_and_none_is_dropped_as_a_misfire() -> None:
    """The other habit: by default a job that is a second late is dropped, and what piled up is run at once."""
    began, ticked = time.monotonic(), list[float]()

    def tick() -> None:
        ticked.append(time.monotonic() - began)
        if len(ticked) == 1:
            time.sleep(1.6)

    tick_until(tick, lambda: len(ticked) == 3, every_s=0.05)
    assert ticked[1] - ticked[0] >= 1.6
    assert len(ticked) == 3
