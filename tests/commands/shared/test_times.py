"""Times for people: by the clock of the opened bot's venue, in UTC with --utc, and in New York's before one is open."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

import pytest

from commands.shared import times
from commands.shared.times import for_reader, moment, show_utc, show_venue, slot_for_reader, stamp, when, zone
from tradebot.errors import OperatorError
from tradebot.model.venue_day import VenueDay

AT = datetime(2026, 11, 16, 14, 31, 7, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nobody_is_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(times._Reader, "day", None)
    yield
    show_utc(False)


def shown() -> tuple[str, str, str, str]:
    read = moment("2026-11-16 09:31:07")
    return (
        when(AT),
        for_reader("at 2026-11-16 14:31 UTC"),
        slot_for_reader("at 14:31:07Z", AT),
        read.isoformat(" ")[:16],
    )


def test_before_a_bot_is_open_times_are_new_yorks() -> None:
    assert shown() == ("2026-11-16 09:31:07 ET", "at 2026-11-16 09:31 ET", "at 09:31:07 ET", "2026-11-16 14:31")
    assert times.venue_day().zone == "America/New_York"


@pytest.mark.parametrize(
    ("name", "label", "clock", "typed"),
    [
        ("America/New_York", "ET", "09:31:07", "14:31"),
        ("America/Chicago", "CT", "08:31:07", "15:31"),
        ("UTC", "UTC", "14:31:07", "09:31"),
        ("Asia/Tokyo", "JST", "23:31:07", "00:31"),
        ("Europe/Berlin", "Berlin", "15:31:07", "08:31"),
    ],
)
def test_times_are_shown_and_read_by_the_venues_clock(name: str, label: str, clock: str, typed: str) -> None:
    show_venue(VenueDay(name))
    whole, written, slot, read = shown()
    assert whole == f"2026-11-16 {clock} {label}"
    assert written == f"at 2026-11-16 {clock[:5]} {label}"
    assert slot == f"at {clock} {label}"
    assert read.endswith(typed)
    assert (zone(), times.venue_day().zone) == (label, name)


def test_utc_is_shown_if_asked_for_whatever_the_venue_and_typed_times_stay_the_venues() -> None:
    show_venue(VenueDay("America/Chicago", timedelta(hours=-7), timedelta(hours=23)))
    show_utc(True)
    whole, written, slot, read = shown()
    assert (whole, written, slot) == ("2026-11-16 14:31:07 UTC", "at 2026-11-16 14:31 UTC", "at 14:31:07 UTC")
    assert read == "2026-11-16 15:31"


def test_a_machine_without_time_zones_shows_utc() -> None:
    show_venue(VenueDay("Nowhere/At_all"))
    assert (when(AT), stamp(AT)) == ("2026-11-16 14:31:07 UTC", "2026-11-16 14:31:07")
    assert moment("2026-11-16 09:31").time() == time(9, 31)


@pytest.mark.parametrize("text", ["9999-12-31T23:30", "0001-01-01T00:00Z"])
def test_time_in_no_year_of_ours_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="outside the years 1970 to 2199"):
        moment(text)
