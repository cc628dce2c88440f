"""What is due, by the calendars that are known."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.kit.signals.source_rows import GOOD, Rows, days, seen
from tests.kit.values import DAY, NOW, alert
from tradebot.model.record import SymbolFacts
from tradebot.signals.subjects.calendars import ECONOMIC_CALENDAR_KIND, EarningsFacts, Release, next_event, next_report

SOON, LATER, PAST = DAY + timedelta(days=3), DAY + timedelta(days=9), DAY - timedelta(days=1)


def facts(report: date | None, *named: date | None) -> SymbolFacts:
    known: dict[str, object] = {"flow_alerts": tuple(alert(9 - n, next_earnings=day) for n, day in enumerate(named))}
    return SymbolFacts("AAPL", known | ({"earnings": EarningsFacts(report, "premarket")} if report else {}))


def test_reply_names_the_next_report_or_else_the_newest_alert_and_one_of_today_is_still_to_come() -> None:
    assert next_report(facts(SOON, LATER), DAY) == EarningsFacts(SOON, "premarket")
    assert next_report(facts(PAST, SOON, LATER), DAY) == EarningsFacts(LATER, "unknown")
    assert next_report(facts(None, LATER), DAY) == EarningsFacts(LATER, "unknown")
    assert next_report(facts(DAY), DAY) == EarningsFacts(DAY, "premarket")
    for nothing in (facts(PAST, PAST), facts(None, None), facts(None)):
        assert next_report(nothing, DAY) is None


def due(replies: dict[str, Rows], now: datetime = NOW, symbol: str = "AAPL") -> datetime | None:
    known = seen(replies, symbol=symbol)
    return next_event(known.facts, known.market, now)


def new_york(day: int, hour: int) -> datetime:
    """Return an hour in New York in November, so many days after the session of the tests."""
    return datetime(DAY.year, DAY.month, DAY.day, hour + 5, tzinfo=UTC) + timedelta(days=day)


@pytest.mark.parametrize(("when", "hour"), [("premarket", 4), ("postmarket", 16), ("unknown", 4), (None, 4)])
def test_earnings_report_is_due_when_it_can_first_be_traded_on(when: str | None, hour: int) -> None:
    assert due({"earnings": [{"report_date": days(3), "report_time": when}]}) == new_york(3, hour)


def test_next_event_is_the_first_of_all_calendars_that_is_not_past() -> None:
    both: dict[str, Rows] = {"earnings": [GOOD["earnings"]], "fda_calendar": [GOOD["fda_calendar"]]}
    assert due(both) == new_york(3, 16)
    sooner = {**GOOD["fda_calendar"], "start_date": days(2)}
    assert due({**both, "fda_calendar": [GOOD["fda_calendar"], sooner]}) == new_york(2, 4)
    today: dict[str, Rows] = {"earnings": [{"report_date": days(0), "report_time": "premarket"}]}
    assert due({**today, "fda_calendar": [GOOD["fda_calendar"]]}) == new_york(4, 4)
    assert due(today) is None


def test_next_event_is_unknown_without_a_calendar_or_for_another_company() -> None:
    assert due({}) is None
    assert due({"fda_calendar": [GOOD["fda_calendar"]]}, symbol="MSFT") is None
    assert due({"fda_calendar": [{**GOOD["fda_calendar"], "ticker": "BRKB"}]}, symbol="BRK.B") == new_york(4, 4)


@pytest.mark.parametrize(
    ("event", "kind", "release"),
    [
        ("Consumer price index", "report", Release.CPI),
        ("Core CPI year over year", "report", Release.CPI),
        ("Fed interest-rate decision", "fomc", Release.FOMC),
        ("U.S. nonfarm payrolls", "report", Release.PAYROLLS),
        ("U.S. employment report", "report", Release.PAYROLLS),
        ("ADP employment report", "report", Release.OTHER),
        ("PCE index", "report", Release.OTHER),
        ("Fed Governor speaks about CPI", "fed-speaker", Release.CPI),
    ],
)
def test_release_is_known_by_the_names_that_the_source_gives_it(event: str, kind: str, release: Release) -> None:
    row = {"event": event, "time": NOW.isoformat(), "type": kind}
    assert ECONOMIC_CALENDAR_KIND.parse(row, "", NOW).release is release


def test_major_releases_of_the_newest_list_are_told_apart_and_speeches_left_out() -> None:
    sooner, later = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    yesterday = DAY - timedelta(days=1)
    found = ECONOMIC_CALENDAR_KIND.condense(
        [
            (DAY, later, "report", Release.OTHER),
            (DAY, sooner, "report", Release.CPI),
            (DAY, sooner, "fed-speaker", Release.CPI),
            (yesterday, NOW, "report", Release.PAYROLLS),
        ]
    )
    assert found == (DAY, (sooner, later), (sooner,))
