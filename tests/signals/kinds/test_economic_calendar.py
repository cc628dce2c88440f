"""The economic calendar: which releases move all markets, and the newest list of what is due."""

from datetime import timedelta

import pytest

from tests.kit.values import DAY, NOW
from tradebot.signals.kinds.economic_calendar import KIND, Release


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
    assert KIND.parse(row, "", NOW).release is release


def test_major_releases_of_the_newest_list_are_told_apart_and_speeches_left_out() -> None:
    sooner, later = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    yesterday = DAY - timedelta(days=1)
    found = KIND.condense(
        [
            (DAY, later, "report", Release.OTHER),
            (DAY, sooner, "report", Release.CPI),
            (DAY, sooner, "fed-speaker", Release.CPI),
            (yesterday, NOW, "report", Release.PAYROLLS),
        ]
    )
    assert found == (DAY, (sooner, later), (sooner,))
