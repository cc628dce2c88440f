"""`tradebot schedule`: what comes next, on whole and half days, and what is taken."""

from contextlib import closing
from datetime import date

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.values import NOW
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import as_missed

TIMES = """The times come from timetable: in the configuration:
  fetch-flow      every 5m from open+2m until close
  score           every 5m from open+2m until close
  evaluate-exits  every 1m from open+1m until close
  trade-once      every 5m from open+2m until close-15m
  reconcile       every 15m from open+1m until close
  backup          close+5m: backup --session
  audit           close+10m: audit
  parity          close+15m: parity {session}
  outcomes        close+20m: score --outcomes
  report          close+25m: report
  summary         close+35m: summary
An entry more than 90 s late is recorded as missed; other jobs run once, for the latest slot."""


def test_schedule_shows_each_moment_with_its_jobs_in_order(bot: Bot) -> None:
    assert bot.shown("schedule", "--next", "3") == (
        "Session Mon 2026-11-16\n"
        "  09:31 ET  open+1m  evaluate-exits > reconcile\n"
        "  09:32 ET  open+2m  fetch-flow > score > evaluate-exits > trade-once\n"
        f"  09:33 ET  open+3m  evaluate-exits\n{TIMES}"
    )


def test_schedule_ends_early_on_a_half_day(bot: Bot) -> None:
    moments = bot.json("schedule", "--next", "220", "--at", "2026-11-26")["moments"]
    half = [row for row in moments if row["session"] == "2026-11-27"]
    assert {row["half_day"] for row in half} == {True}
    at = [row["at"] for row in half if row["jobs"][0]["job"] in set(Job)]
    assert (at[0], at[-1]) == ("2026-11-27T14:31:00Z", "2026-11-27T17:59:00Z")
    assert half[-1]["at"] == "2026-11-27T18:35:00Z", "chores come after the early close"
    entries = [row["at"] for row in half if "trade-once" in [job["job"] for job in row["jobs"]]]
    assert entries[-1] == "2026-11-27T17:42:00Z"
    assert moments[len(half)]["session"] == "2026-11-30"


def test_schedule_answers_for_a_date_beyond_the_stored_calendar(bot: Bot) -> None:
    first = bot.json("schedule", "--next", "1", "--at", "2027-07-04")["moments"][0]
    assert (first["at"], first["session"]) == ("2027-07-06T13:31:00Z", "2027-07-06")


def test_schedule_names_who_took_a_slot(bot: Bot) -> None:
    bot.does("exchange tick open", "exchange tick 1m", "evaluate-exits")
    first = bot.json("schedule", "--next", "1")["moments"][0]
    assert [(job["job"], job["taken_by"] is not None) for job in first["jobs"]] == [
        ("evaluate-exits", True),
        ("reconcile", False),
    ]
    assert "evaluate-exits (taken) > reconcile" in bot.shown("schedule", "--next", "1")


def test_schedule_refuses_a_bad_date_with_an_example(bot: Bot) -> None:
    said = bot.says("schedule", "--at", "friday")
    assert (said.code, said.err) == (2, "error: can't read 'friday' as a date\n  next: write it as 2026-11-27\n")


def test_schedule_explains_unusual_days(bot: Bot) -> None:
    notes = bot.json("schedule", "--next", "460", "--at", "2026-11-26")["notes"]
    assert [note["said"] for note in notes] == [
        "Thu 2026-11-26 is a holiday: there is no session, so nothing runs that is timed by a session.",
        "Fri 2026-11-27 is a half day: the session closes at 13:00 in New York, so times relative to the close are 3 "
        "hours earlier.",
    ]
    shown = bot.shown("schedule", "--next", "1", "--at", "2026-11-26").splitlines()
    assert shown[0].startswith("Thu 2026-11-26 is a holiday")
    assert shown[-1].startswith("An entry more than 90 s late")


def test_schedule_says_why_a_slot_was_missed(trader: Bot) -> None:
    with closing(SqliteLedger.open(trader.folder)) as ledger:
        ledger.miss_slots([("reconcile", date(2026, 11, 16), "open+1m")], as_missed("serve", Reason.ASLEEP), NOW)
    shown = trader.shown("schedule", "--next", "1", "--at", "2026-11-16")
    assert "open+1m  evaluate-exits > reconcile (missed: ASLEEP)" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chek",), "schedule can't chek"),
        (("run",), "only schedule run takes the name of a chore"),
        (("check", "audit"), "only schedule run takes the name of a chore"),
        (("check", "--next", "3"), "--next and --at apply only to the list"),
        (("run", "adit"), "did you mean audit"),
    ],
)
def test_schedule_refuses_wrong_combinations_with_a_next_step(
    bot: Bot, arguments: tuple[str, ...], message: str
) -> None:
    refuses(bot.says("schedule", *arguments), 2, message)
