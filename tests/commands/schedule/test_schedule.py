"""`tradebot schedule`: what comes next, on whole and half days, and what is taken."""

from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from commands.schedule.check import check_schedule
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot
from tests.kit.bot.state import configure
from tests.kit.values import NOW, USUAL, us_sessions
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.app.loading import Options
from tradebot.app.settings import load
from tradebot.app.wiring import open_app
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize
from tradebot.model.trading import as_missed
from tradebot.timetable.sessions import CalendarRequest, claim_calendar_fetch

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
An entry pass more than 90 s late is recorded as missed. Other late jobs run once, for their latest slot."""


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
    expected = [("evaluate-exits", True), ("reconcile", False)]
    assert [(job["job"], job["taken_by"] is not None) for job in first["jobs"]] == expected
    assert "evaluate-exits (taken) > reconcile" in bot.shown("schedule", "--next", "1")


def test_schedule_refuses_a_bad_date_with_an_example(bot: Bot) -> None:
    said = bot.says("schedule", "--at", "friday")
    assert (said.code, said.err) == (2, "error: can't read 'friday' as a date\n  next: write it as 2026-11-27\n")


def test_schedule_explains_unusual_days(bot: Bot) -> None:
    notes = bot.json("schedule", "--next", "460", "--at", "2026-11-26")["notes"]
    assert [note["said"] for note in notes] == [
        "Thu 2026-11-26 is a holiday: there is no session, so nothing timed by a session runs.",
        "Fri 2026-11-27 is a half day: the session closes at 13:00 in New York, so times relative to the close are 3 "
        "hours earlier.",
    ]
    shown = bot.shown("schedule", "--next", "1", "--at", "2026-11-26").splitlines()
    assert shown[0].startswith("Thu 2026-11-26 is a holiday")
    assert shown[-1].startswith("An entry pass more than 90 s late")


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
def test_wrong_combinations_are_refused_with_a_next_step(bot: Bot, arguments: tuple[str, ...], message: str) -> None:
    refuses(bot.says("schedule", *arguments), 2, message)


SESSIONS = us_sessions(USUAL.date, USUAL.date + timedelta(days=120))


def problems(tmp_path: Path, lines: str) -> list[tuple[str, str, str]]:
    (file := tmp_path / "mine.yaml").write_text(f"timetable:\n  {lines}\n")
    found = check_schedule(load(file, {}).settings.timetable, SESSIONS, 90)
    return [(each.line, each.problem, each.fix) for each in found.problems]


@pytest.mark.parametrize(
    ("lines", "problem", "fix"),
    [
        ("report: {verb: report --foo, when: close+25m}", "tradebot report --foo: No such option", "report --help"),
        ('mine: {verb: trades, when: cron "0 9 29 Feb *"}', "it is never due in the coming year", "other times"),
        (
            "audit: {when: open-30m, needs: [reconciled]}",
            "needs reconciled, which reconcile doesn't provide before",
            "remove its needs",
        ),
        (
            "audit: {when: close+10m, late: skip}",
            "backup may still run for up to 1800 s",
            "late: once until 1h",
        ),
    ],
)
def test_schedule_check_names_each_problem_with_its_remedy(tmp_path: Path, lines: str, problem: str, fix: str) -> None:
    ((_, said, remedy),) = problems(tmp_path, lines)
    assert (problem in said, fix in remedy) == (True, True), (said, remedy)


def test_schedule_check_finds_a_limit_exceeded_only_on_half_days(tmp_path: Path) -> None:
    ((line, problem, _),) = problems(tmp_path, "audit: {when: 'open+3h, close+10m', limit: 1h, late: always}")
    assert line == "audit"
    assert problem == "its limit of 3600 s isn't below the 2400 s from open+180m on 2026-11-27 to the next"


def test_schedule_check_passes_the_shipped_timetable_and_counts_what_it_read(bot: Bot) -> None:
    said = bot.says("schedule", "check")
    assert said.code == 0
    assert said.out.startswith("The timetable works: checked 11 lines, ")


@pytest.mark.parametrize(("left", "told"), [(30, False), (29, True), (1, True)])
def test_schedule_check_reports_a_calendar_near_its_end(bot: Bot, left: int, told: bool) -> None:
    with open_app(Options(str(bot.folder)), {}) as app:
        now = app.now()
        app.ensure_calendar(now)
        ends = now.date() + timedelta(days=left)
        claim_calendar_fetch(app.ledger, CalendarRequest(now - timedelta(seconds=left), ends), "test")
    said = bot.says("schedule", "check")
    warning = f"until {ends}: {pluralize(left, 'day')} left. After that no slot is due"
    shown = " ".join(said.out.split())
    assert (warning in shown, "next: tradebot reconcile" in shown) == (told, told)
    judged = {row["subject"]: row for row in bot.json("health")["judgments"]}
    mine = bot.json("schedule", "check")["calendar"]
    assert (mine["state"], mine["found"]) == (judged["calendar"]["state"], judged["calendar"]["found"])


def test_schedule_check_exits_with_2_for_problems_with_next_steps(bot: Bot) -> None:
    configure(bot.folder, "timetable: {report: {verb: report --foo}}\n")
    shows(
        bot.says("schedule", "check"),
        2,
        "1 problem in the timetable",
        "timetable.report: tradebot report --foo: No such option: --foo",
    )
