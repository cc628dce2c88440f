"""`tradebot events`: the last ones, and each one as it comes."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tests.kit.bot.folder import PROGRAM, Bot
from tests.kit.waiting import until
from tradebot.adapters.state.events import JsonlEvents
from tradebot.model.event import EventKind, Severity, SystemEvent

AT = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)


def emit(bot: Bot, kind: str, symbol: str | None = None, **details: str) -> None:
    events = JsonlEvents(bot.folder / "system_events.jsonl")
    events.emit(SystemEvent(AT, "flow", kind, Severity.WARN, symbol, details))


def _holds(descriptors: Path, path: Path) -> bool:
    """Tell whether a process has a file open, by its folder of descriptors."""
    return any(link.exists() and link.resolve() == path.resolve() for link in descriptors.iterdir())


def test_events_says_when_there_are_none(bot: Bot) -> None:
    (bot.folder / "system_events.jsonl").unlink(missing_ok=True)
    assert bot.shown("events") == "No events are recorded."


def test_event_is_a_line_without_control_characters(bot: Bot) -> None:
    emit(bot, "fetch_failed", "AAPL", message="503 \x1b[31m[red]ink")
    with (bot.folder / "system_events.jsonl").open("a") as file:
        file.write("torn\n")
    assert bot.shown("events") == (
        "2026-11-16 10:00:00 ET WARN     flow fetch_failed  AAPL message 503  [31m[red]ink\n"
        "1 line couldn't be read as an event"
    )


def test_events_shows_only_the_last_ones(bot: Bot) -> None:
    for number in range(5):
        emit(bot, f"kind_{number}")
    assert [event["event_type"] for event in bot.json("events", "-n", "2")["events"]] == ["kind_3", "kind_4"]


def test_events_hides_gate_refusals_unless_asked(bot: Bot) -> None:
    emit(bot, "fetch_failed")
    events = JsonlEvents(bot.folder / "system_events.jsonl")
    for _ in range(30):
        events.emit(EventKind.GATE_BLOCKED.at(AT, {"reason": "SCORE_BELOW_MIN", "gate": "score", "count": "7"}))
    (shown,) = bot.json("events", "-n", "1")["events"]
    assert shown["event_type"] == "fetch_failed"
    (refused,) = bot.json("events", "-n", "1", "--refusals")["events"]
    assert (refused["subsystem"], refused["event_type"], refused["details"]["count"]) == ("gate", "blocked", "7")


def test_events_shows_a_chores_output_line_by_line(bot: Bot) -> None:
    emit(bot, "chore_ran", job="audit", output="2 findings\n  1 [red]old\x1b[31m\n")
    assert bot.shown("events", "-n", "1") == (
        "2026-11-16 10:00:00 ET WARN     flow chore_ran  job audit\n    2 findings\n      1 [red]old [31m"
    )


def test_events_follow_prints_a_document_for_each_new_event(bot: Bot) -> None:
    command = [str(PROGRAM), "events", "--follow", "--json", "--state-dir", str(bot.folder)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    descriptors = Path(f"/proc/{running.pid}/fd")
    until(lambda: _holds(descriptors, bot.folder / "system_events.jsonl"))
    emit(bot, "news")
    document = json.loads(running.stdout.readline())
    assert document["schema"] == "tradebot.events/1"
    assert document["account"] == bot.tail()
    assert document["data"]["event_type"] == "news"
    running.stdout.close()
    emit(bot, "unheard")
    assert running.wait(timeout=120) == 0
    assert running.stderr is not None
    assert running.stderr.read() == ""
    running.stderr.close()
