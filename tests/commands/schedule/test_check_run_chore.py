"""`tradebot schedule run`: a chore in its slot, once, whoever starts it."""

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, second_session


def test_chore_runs_once_in_its_slot_and_never_outside(bot: Bot) -> None:
    assert "no slot is due now" in bot.shown("schedule", "run", "audit")
    assert bot.says("reconcile").code == 0
    second_session(bot)
    first = bot.json("schedule", "run", "backup")
    assert (first["slot"], first["said"]) == ("close+5m", "tradebot backup --session: exit 0")
    again = bot.json("schedule", "run", "backup")
    assert again["slot"] is None
    assert again["said"].startswith("no slot is due now: close+5m of 2026-11-16 was run by ")
    (event,) = [event for event in bot.json("events")["events"] if event["event_type"] == "chore_ran"]
    assert event["details"]["outcome"] == "exit 0"
    assert "Backups kept: 1" in event["details"]["output"]


def test_failed_chore_returns_its_exit_code_and_is_not_repeated(bot: Bot) -> None:
    assert bot.says("reconcile").code == 0
    second_session(bot)
    with (bot.folder / "tradebot.yaml").open("a") as file:
        file.write("timetable: {broken: {verb: report --foo, when: close+1m, late: always}}\n")
    refuses(bot.says("schedule", "run", "broken"), 2, "tradebot report --foo: exit 2")
    assert "was run by" in bot.shown("schedule", "run", "broken")
    assert chores(bot) == (
        "DEGRADED",
        "1 of 7 chores succeeded; broken at 2026-11-17 21:00 UTC: exit 2",
        "tradebot events; then tradebot schedule run broken --again",
    )
    assert bot.says("schedule", "run", "broken", "--again").code == 2
    assert chores(bot)[0] == "DEGRADED"
    mend = (bot.folder / "tradebot.yaml").read_text().replace("--foo", "--json")
    (bot.folder / "tradebot.yaml").write_text(mend)
    assert bot.json("schedule", "run", "broken", "--again")["said"] == "tradebot report --json: exit 0"
    assert chores(bot) == ("OK", "2 of 7 chores succeeded", "")


def chores(bot: Bot) -> tuple[str, str, str]:
    """Return how health judges chores, without how long the last of them took, and what to do about it."""
    (found,) = [each for each in bot.json("health")["judgments"] if each["subject"] == "chores"]
    return found["state"], found["found"].rpartition(", ")[0] or found["found"], found["next"]


def test_chore_without_a_past_slot_cannot_run_again(bot: Bot) -> None:
    assert "no slot is due now" in bot.shown("schedule", "run", "audit", "--again")
    refuses(bot.says("schedule", "--again"), 2, "--again belongs to schedule run")
