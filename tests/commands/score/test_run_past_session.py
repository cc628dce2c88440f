"""`tradebot score --from SESSION`: a past session, scored again from the replies that were kept."""

import hashlib
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.bot.folder import Bot, second_session
from tradebot.adapters.facts import schema as facts_schema


def digests(folder: Path) -> dict[str, str]:
    """Return what the bot's own records hold; the exchange beside them plays on."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.endswith(("-shm", "lock"))]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def scored(bot: Bot) -> dict[str, object]:
    """Score in the second session, then let half an hour pass in which more flow is fetched and scored."""
    if (bot.folder / "replies.db").exists():
        return SCORED
    second_session(bot)
    SCORED.update(bot.json("score"))
    for _ in range(2):
        bot.does("exchange tick 15m", "fetch-flow", "score")
    return SCORED


SCORED: dict[str, object] = {}
"""What the bot of this module scored at 10:00."""


def test_past_score_equals_the_recorded_one(bot: Bot, scored: dict[str, object]) -> None:
    again = bot.json("score", "--from", "2026-11-17", "--at", str(scored["at"]))
    assert scored["rows"]
    assert again["scores"]["rows"] == scored["rows"]
    assert (again["session"], again["left_out"], again["unreadable"]) == ("2026-11-17", [], 0)
    assert again["replies"] > 4


def test_without_a_time_it_scores_what_was_known_at_the_last_reply(bot: Bot, scored: dict[str, object]) -> None:
    last, first = bot.json("score", "--from", "2026-11-17"), bot.json("score", "--from", "2026-11-17", "--at", "10:00")
    assert last["replies"] > first["replies"]
    assert last["scores"]["rows"] != first["scores"]["rows"]
    assert last["scores"]["rows"] == bot.json("score")["rows"]


def test_past_score_records_nothing(bot: Bot, scored: dict[str, object]) -> None:
    before = digests(bot.folder)
    shown = bot.shown("score", "--from", "2026-11-17", "--at", "10:00")
    assert digests(bot.folder) == before
    first, second = shown.splitlines()[:2]
    assert first.startswith("Session 2026-11-17 from ")
    assert first.endswith(" stored replies; nothing is recorded")
    assert second == "Scores at 2026-11-17 10:00:00 ET, from -1 (bearish) to 1 (bullish)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "2026-11-12"), "No reply from the flow source is stored for session 2026-11-12."),
        (("--from", "2026-11-17", "--at", "04:00"), "The first stored reply of session 2026-11-17 arrived at"),
        (("--from", "yesterday"), "'yesterday' is not a session"),
        (("--from", "2026-11-17", "--at", "noon"), "is not a date and time"),
        (("--at", "10:00"), "--at needs the session"),
        (("--from", "2026-11-17", "--explain", "AAPL"), "can't be combined"),
    ],
)
def test_session_that_cannot_be_scored_again_is_refused_with_a_next_step(
    bot: Bot, scored: dict[str, object], arguments: tuple[str, ...], message: str
) -> None:
    said = bot.says("score", *arguments)
    assert said.code == 2
    assert message in said.err
    assert "UTC" not in said.err


def test_past_score_says_if_earlier_replies_are_gone(bot: Bot, scored: dict[str, object]) -> None:
    assert bot.json("score", "--from", "2026-11-17")["complete"] is True
    with closing(facts_schema.FILE.open(bot.folder / "facts.db")) as database:
        database.execute(
            "REPLACE INTO main.intakes (sequence, endpoint, symbol, at, received, foreign_rows, duplicates, rejected)"
            " SELECT sequence, endpoint, symbol, '2026-11-16T15:00:00.000000Z', received, foreign_rows, duplicates,"
            " rejected FROM intakes WHERE sequence = 1"
        )
    assert "Replies of earlier days are no longer stored" in bot.says("score", "--from", "2026-11-17").out
