"""The ticks: one each second and none made up, whatever becomes of the machine's clock."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace

import pytest
from apscheduler.schedulers import base

from jobs import ticker
from jobs.ticker import tick_lanes, tick_until
from tests.kit.values import VENUE_DAY
from tradebot.errors import TemporaryError
from tradebot.timetable.chore_times import parse_cron


class Counting:
    """A lane that counts its ticks, does something at each, and knows whether it was closed."""

    def __init__(self, at_tick: Callable[[], None] = lambda: None) -> None:
        self.ticks, self.closed, self._at_tick = 0, False, at_tick

    def tick(self) -> None:
        self.ticks += 1
        self._at_tick()

    def close(self) -> None:
        self.closed = True


def test_a_wall_clock_set_back_stops_neither_the_one_thread_nor_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    true, back = time.time, [0.0]

    class SetBack(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(true() - back[0], tz)

    monkeypatch.setattr(ticker, "wall_clock_s", lambda: true() - back[0])
    monkeypatch.setattr(base, "datetime", SetBack)

    def set_back() -> None:
        back[0] += 600

    ticked = Counting(set_back)
    tick_until(ticked.tick, lambda: ticked.ticks == 3, every_s=0.01)
    back[0], exits, flow = 0.0, Counting(set_back), Counting()
    tick_lanes({"exits": exits, "flow": flow}, lambda: min(exits.ticks, flow.ticks) >= 3, every_s=0.01)
    assert exits.closed
    assert flow.closed


def test_what_was_planned_by_the_time_before_the_clock_was_set_back_is_made_due() -> None:
    ended, modified = threading.Event(), list[str]()

    def job(name: str, in_s: float) -> SimpleNamespace:
        def modify(next_run_time: datetime) -> None:
            modified.append(name)
            ended.set()

        return SimpleNamespace(next_run_time=datetime.now(UTC) + timedelta(seconds=in_s), modify=modify)

    scheduler = SimpleNamespace(get_jobs=lambda: [job("soon", 0.01), job("in ten minutes", 600)])
    guard = threading.Thread(target=ticker._keep_due, args=(scheduler, ended, 0.02), daemon=True)
    guard.start()
    guard.join(20)
    assert modified == ["in ten minutes"], "no jump was seen, and nothing else would make it due"


def test_a_tick_that_took_long_is_followed_by_one_tick_and_not_by_all_that_it_missed() -> None:
    ticked: list[float] = []

    def tick() -> None:
        ticked.append(time.monotonic())
        if len(ticked) == 1:
            time.sleep(0.5)

    tick_until(tick, lambda: time.monotonic() > ticked[0] + 0.6, every_s=0.02)
    assert len(ticked) < 20, "the two dozen ticks of the long one aren't made up"


def test_what_a_tick_raises_is_raised_to_the_caller_after_every_lane_has_closed() -> None:
    def fail() -> None:
        raise TemporaryError("the engine is gone")

    with pytest.raises(TemporaryError, match="the engine is gone"):
        tick_until(fail, lambda: False, every_s=0.01)
    broken, well = Counting(fail), Counting()
    with pytest.raises(TemporaryError, match="the engine is gone"):
        tick_lanes({"broken": broken, "well": well}, lambda: False, every_s=0.01)
    assert broken.closed
    assert well.closed


def test_weekdays_of_a_cron_line_are_named_because_their_numbers_differ_between_schedulers() -> None:
    with pytest.raises(ValueError, match="write weekdays by name"):
        parse_cron("35 9 * * 1-5", VENUE_DAY)
