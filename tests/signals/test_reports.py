"""The next earnings report: from the source's reply about earnings, or else from the newest alert."""

from datetime import date, timedelta

from tests.builders import DAY, alert
from tradebot.model.record import SymbolFacts
from tradebot.signals.kinds.earnings import EarningsFacts
from tradebot.signals.reports import next_report

SOON, LATER, PAST = DAY + timedelta(days=3), DAY + timedelta(days=9), DAY - timedelta(days=1)


def facts(report: date | None, *named: date | None) -> SymbolFacts:
    known: dict[str, object] = {"flow_alerts": tuple(alert(9 - n, next_earnings=day) for n, day in enumerate(named))}
    return SymbolFacts("AAPL", known | ({"earnings": EarningsFacts(report, "premarket")} if report else {}))


def test_the_reply_about_earnings_comes_before_what_alerts_say() -> None:
    assert next_report(facts(SOON, LATER), DAY) == EarningsFacts(SOON, "premarket")


def test_without_a_coming_report_the_newest_alert_counts() -> None:
    assert next_report(facts(PAST, SOON, LATER), DAY) == EarningsFacts(LATER, "unknown")
    assert next_report(facts(None, LATER), DAY) == EarningsFacts(LATER, "unknown")


def test_a_report_of_today_is_still_to_come_and_one_of_yesterday_is_not() -> None:
    assert next_report(facts(DAY), DAY) == EarningsFacts(DAY, "premarket")
    assert next_report(facts(PAST, PAST), DAY) is None
    assert next_report(facts(None, None), DAY) is None
    assert next_report(facts(None), DAY) is None
