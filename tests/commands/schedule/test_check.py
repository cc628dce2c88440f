"""`tradebot schedule check`: what can't work, with what to do about it, and nothing else."""

from datetime import timedelta
from pathlib import Path

import pytest

from commands.schedule.check import check_schedule
from tests.kit.bot.ending import shows
from tests.kit.bot.folder import Bot
from tests.kit.bot.state import configure
from tests.kit.values import USUAL, us_sessions
from tradebot.app.loading import Options
from tradebot.app.settings import load
from tradebot.app.wiring import open_app
from tradebot.model.sentences import pluralize
from tradebot.timetable.sessions import CalendarRequest, claim_calendar_fetch

SESSIONS = us_sessions(USUAL.date, USUAL.date + timedelta(days=120))


def problems(tmp_path: Path, lines: str) -> list[tuple[str, str, str]]:
    (file := tmp_path / "mine.yaml").write_text(f"timetable:\n  {lines}\n")
    found = check_schedule(load(file, {}).settings.timetable, SESSIONS, 90)
    return [(each.line, each.problem, each.fix) for each in found.problems]


@pytest.mark.parametrize(
    ("lines", "problem", "fix"),
    [
        ("report: {verb: report --foo, when: close+25m}", "tradebot report --foo: No such option", "report --help"),
        ('mine: {verb: trades, when: cron "0 9 29 Feb *"}', "it is never due in the year to come", "other times"),
        (
            "audit: {when: open-30m, needs: [reconciled]}",
            "needs reconciled, which reconcile doesn't provide before",
            "remove its needs",
        ),
        ("audit: {when: close+10m, late: skip}", "backup may still run then, up to 1800 s", "late: once until 1h"),
    ],
)
def test_schedule_check_names_each_problem_with_its_remedy(tmp_path: Path, lines: str, problem: str, fix: str) -> None:
    ((_, said, remedy),) = problems(tmp_path, lines)
    assert (problem in said, fix in remedy) == (True, True), (said, remedy)


def test_schedule_check_finds_a_limit_exceeded_only_on_half_days(tmp_path: Path) -> None:
    ((line, problem, _),) = problems(tmp_path, "audit: {when: 'open+3h, close+10m', limit: 1h, late: always}")
    assert (line, problem) == (
        "audit",
        "its limit of 3600 s isn't below the 2400 s from open+180m on 2026-11-27 to the next",
    )


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
