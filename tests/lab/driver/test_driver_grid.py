"""The slots of a session as offsets: the same slots that the timetable has on that day, whole or half."""

from datetime import datetime, timedelta

import pytest

from tests.kit.values import SESSION, VENUE_DAY
from tradebot.lab.driver.driver import grid_of
from tradebot.model.record import Job
from tradebot.timetable.job_times import parse
from tradebot.timetable.sessions import CHAIN, due_at, slots

TIMETABLE = {
    Job.FETCH_FLOW: parse("every 5m from open+2m until close", VENUE_DAY),
    Job.SCORE: parse("every 30m from open+2m until close", VENUE_DAY),
    Job.EVALUATE_EXITS: parse("every 1m from open+1m until close", VENUE_DAY),
    Job.TRADE_ONCE: parse("every 5m from open+2m until close-15m", VENUE_DAY),
    Job.RECONCILE: parse("at open+1m, at close-10m", VENUE_DAY),
}


@pytest.mark.parametrize("minutes", [390, 210])
def test_grid_has_the_slots_of_its_session(minutes: int) -> None:
    session = type(SESSION)(SESSION.date, SESSION.open, SESSION.open + timedelta(minutes=minutes))
    grid = grid_of(TIMETABLE, session)
    for offset, due in zip(grid.offsets, grid.due, strict=True):
        found = [(slot.job, slot.name) for slot in due_at(TIMETABLE, session, session.open + offset)]
        assert list(due) == found
    assert grid.count == sum(len(slots(job, TIMETABLE[job], session)) for job in CHAIN)


def test_slot_places_are_found_forward_and_backward() -> None:
    grid = grid_of(TIMETABLE, SESSION)

    def at(place: int) -> datetime:
        return SESSION.open + grid.offsets[place]

    assert at(grid.next_of(Job.RECONCILE, 1)) == SESSION.close - timedelta(minutes=10)
    assert at(grid.last_of(Job.RECONCILE, len(grid.offsets))) == SESSION.close - timedelta(minutes=10)
    assert grid.next_of(Job.RECONCILE, len(grid.offsets)) == len(grid.offsets)
    assert grid.last_of(Job.TRADE_ONCE, 1) == -1
    assert dict(grid.due[1])[Job.EVALUATE_EXITS] == "open+2m"
