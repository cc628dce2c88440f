"""Earnings: the next report, as the last reply had it."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.builders import DAY, NOW
from tests.signals.source_rows import read, summed_up
from tradebot.signals.kinds.earnings import KIND, EarningsFacts, EarningsReport

TOMORROW = NOW + timedelta(days=1)


def row(day: date, when: object = "postmarket") -> dict[str, object]:
    return {"report_date": day.isoformat(), "report_time": when}


def report(day: date, at: datetime = NOW, when: str = "postmarket") -> EarningsReport:
    return KIND.parse(row(day, when), "AAPL", at)


def test_a_report_to_come_is_known_since_the_reply_and_an_earlier_one_since_its_day() -> None:
    assert KIND.moment(report(DAY + timedelta(days=30))) == DAY
    assert KIND.moment(report(DAY - timedelta(days=60))) == DAY - timedelta(days=60)
    midnight = datetime(2026, 11, 17, 3, tzinfo=UTC)
    assert KIND.moment(report(DAY + timedelta(days=30), midnight)) == DAY, "the day is New York's"


def test_the_first_report_to_come_is_the_next_one() -> None:
    days = (DAY + timedelta(days=91), DAY, DAY - timedelta(days=1), DAY + timedelta(days=4))
    assert summed_up("earnings", [row(day) for day in days]) == EarningsFacts(DAY, "postmarket")


def test_a_date_that_was_moved_counts_as_the_last_reply_has_it() -> None:
    early, moved = report(DAY + timedelta(days=3)), report(DAY + timedelta(days=8), TOMORROW, "premarket")
    assert KIND.condense([early, moved]) == EarningsFacts(moved.date, "premarket")


@pytest.mark.parametrize(("when", "known"), [(None, "unknown"), ("unknown", "unknown"), ("Premarket", "premarket")])
def test_an_unknown_time_of_day_is_no_reason_to_refuse_a_row(when: object, known: str) -> None:
    assert summed_up("earnings", [row(DAY, when)]) == EarningsFacts(DAY, known)


def test_another_time_of_day_is_a_bad_row() -> None:
    (rejected,) = read("earnings", [row(DAY, "teatime")]).rejected
    assert rejected.reason == "report_time is none that the source documents"
