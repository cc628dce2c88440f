"""Lines of the timetable: short or with all parts, written back as they mean, and refused with what is expected."""

import re
from datetime import date, timedelta

import pytest

from tests.kit.values import VENUE_DAY, there
from tradebot.app.settings import load
from tradebot.model.record import Job
from tradebot.timetable.entries import EntryNeed, Lane, Timetable, parse

SHIPPED = load(None, {}).settings.timetable


def test_the_shipped_lines_are_the_five_jobs_and_the_chores() -> None:
    assert list(SHIPPED) == [Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE]
    assert [line.job for line in SHIPPED.chores] == ["backup", "audit", "parity", "outcomes", "report", "summary"]
    lanes = {line.lane for line in SHIPPED.lines if not line.is_chore}
    assert lanes == {Lane.FETCHING, Lane.EXITS, Lane.ENTRIES}
    assert [line.job for line in SHIPPED.of([Lane.EXITS])] == ["evaluate-exits", "reconcile"]
    assert [line.job for line in SHIPPED.lines if EntryNeed.RECONCILED in line.needs] == ["trade-once"]


def test_lines_are_written_as_they_were_read() -> None:
    written = SHIPPED.to_settings()
    lines = [parse(job, value, VENUE_DAY) for job, value in written.items()]
    assert Timetable(line for line in lines if line) == SHIPPED
    assert written != SHIPPED
    assert written["reconcile"] == "every 15m from open+1m until close"
    assert written["audit"] == {"verb": "audit", "when": "close+10m", "late": "once until 12h", "limit": "5m"}


def test_a_text_is_enough_and_the_session_of_the_slot_can_stand_among_the_options() -> None:
    line = there(parse("pnl", "close+30m", VENUE_DAY))
    assert (line.verb, line.options, line.late.text, line.limit_s) == ("pnl", (), "once until 12h", 600)
    again = there(parse("again", {"verb": "parity {session} --utc", "when": "close+30m"}, VENUE_DAY))
    assert again.command(date(2026, 11, 27)) == ("parity", "2026-11-27", "--utc")
    two = there(parse("check", {"verb": "bars check --json", "when": "close+30m"}, VENUE_DAY))
    assert (two.verb, two.options) == ("bars check", ("--json",))
    walk = there(
        parse("walk", {"verb": "learn policy walk --to {session}", "when": "last session of week close+1h"}, VENUE_DAY)
    )
    assert walk.command(date(2026, 11, 27)) == ("learn", "policy", "walk", "--to", "2026-11-27")


def test_entries_may_need_the_flow_of_their_own_minute() -> None:
    line = there(parse("trade-once", {"when": "every 5m", "needs": "flow"}, VENUE_DAY))
    assert (line.needs, line.to_setting()) == (frozenset(EntryNeed), {"when": "every 5m", "needs": [EntryNeed.FLOW]})
    assert line.slots(date(2026, 11, 28), [], 90) == ()


@pytest.mark.parametrize(
    ("job", "value", "said"),
    [
        ("Nightly", "close+5m", "a name of small letters"),
        ("nightly", "close+5m", "is neither a job ('fetch-flow', "),
        ("nightly", {"verb": "trade-once", "when": "close+5m"}, "nor a verb that a chore can run"),
        ("nightly", {"verb": 5, "when": "close+5m"}, "verb has to be a text"),
        ("nightly", {"verb": "doctor --order", "when": "close+5m"}, "it sends an order"),
        ("nightly", {"verb": "reconcile --apply plan-1a2b3c4d", "when": "close+5m"}, "which only a person may do"),
        ("nightly", {"verb": "reconcile --json --apply=plan", "when": "close+5m"}, "which only a person may do"),
        ("nightly", {"verb": "schedule run nightly", "when": "close+5m"}, "only one runs at a time"),
        ("nightly", {"verb": "status --watch", "when": "close+5m"}, "it never ends"),
        ("nightly", {"verb": "events -fn 5", "when": "close+5m"}, "it never ends"),
        ("nightly", {"verb": "bars list --state-dir /tmp", "when": "close+5m"}, "the bot whose timetable it is in"),
        ("nightly", {"verb": "audit --config=x.yaml", "when": "close+5m"}, "the bot whose timetable it is in"),
        ("audit", {"late": "skip"}, "when has to be a text"),
        ("audit", {"when": "close+5m", "every": "1h"}, "there is no setting every here; use"),
        ("audit", {"when": "close+5m", "late": "never"}, "use 'skip', 'once until 2h' or 'always'"),
        ("audit", {"when": "close+5m", "late": "once until 169h"}, "from 1m to 168h"),
        (
            "audit",
            {"when": "close+5m", "late": "once until 25h"},
            "lasts longer than the 86400 s between two of its slots",
        ),
        ("audit", {"when": "close+5m", "limit": "7h"}, "from 1m to 6h"),
        ("audit", {"when": "every 30m", "late": "always", "limit": "30m"}, "limit 1800 s is not below the 1800 s"),
        ("audit", {"when": "close+5m", "needs": ["quotes"]}, "needs 'quotes'; use flow or reconciled"),
        ("parity", {"verb": "score --from {session}", "when": 'cron "0 9 * * Sat"'}, "names days without one"),
        ("evaluate-exits", {"when": "every 1m", "needs": ["flow"]}, "always run"),
        ("reconcile", {"when": "every 15m", "needs": ["reconciled"]}, "always run"),
        ("trade-once", {"when": "every 5m", "late": "always"}, "there is no setting late here"),
        ("trade-once", "close+5m", "is not a time"),
        ("trade-once", None, "use times such as"),
    ],
)
def test_a_line_that_contradicts_others_is_refused_with_its_numbers(job: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(job, value, VENUE_DAY)


def test_null_switches_a_chore_off_and_is_remembered() -> None:
    assert parse("audit", None, VENUE_DAY) is None
    table = load(None, {"TRADEBOT_TIMETABLE__AUDIT": "null"}).settings.timetable
    assert ("audit" in {line.job for line in table.lines}, table.to_settings()["audit"]) == (False, None)


def test_the_times_alone_change_nothing_else_of_a_line() -> None:
    table = load(None, {"TRADEBOT_TIMETABLE__PARITY": "close+3h"}).settings.timetable
    (line,) = [line for line in table.lines if line.job == "parity"]
    assert (str(line.times), line.options) == ("close+3h", ("{session}",))


@pytest.mark.parametrize(("late", "lasting"), [("skip", timedelta(seconds=90)), ("once until 2h", timedelta(hours=2))])
def test_a_slot_of_a_chore_may_begin_for_as_long_as_its_line_says(late: str, lasting: timedelta) -> None:
    line = there(parse("audit", {"when": 'cron "0 12 * * *"', "late": late}, VENUE_DAY))
    (slot,) = line.slots(date(2026, 11, 28), [], 90)
    assert (slot.name, slot.session, slot.end - slot.start) == ("12:00 ET", date(2026, 11, 28), lasting)
