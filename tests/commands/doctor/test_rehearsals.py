"""`tradebot doctor --policy`: each row says what was looked at, and fails for what a policy lacks."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from commands.doctor import rehearsals
from commands.doctor.rehearsals import SessionRehearsal
from commands.serve.watchdog_thread import MB
from tests.commands.model.test_model import PARTS, act_by, entries, spoil
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.fakes.networks import Signed
from tradebot.errors import ExitCode
from tradebot.judging.judgment import HealthState
from tradebot.timetable.sessions import slots

USUAL = SessionRehearsal(date(2026, 11, 16), 100, (0.02,) * 98 + (0.09, 0.4), 7, 300 * MB, 200 * MB)
Rows = Callable[[], dict[str, Any]]


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a rehearsed session have three slots only."""
    monkeypatch.setattr(rehearsals, "slots", lambda *about: slots(*about)[12:15])


@pytest.fixture
def policy_rows(bot: Bot) -> Rows:
    def rows() -> dict[str, Any]:
        found = bot.says("doctor", "--policy", "policy", "--json").data["judgments"]
        return {row["subject"]: row for row in found if row["subject"].startswith("policy ")}

    return rows


@pytest.mark.usefixtures("rehearsed")
def test_a_policy_is_rehearsed_through_a_session_of_its_own_and_the_bots_books_stay_as_they_are(
    bot: Bot, tmp_path: Path, policy_rows: Rows
) -> None:
    signed = Signed(tmp_path)
    act_by(bot, signed, signed.write(PARTS))
    bot.does("exchange tick next_open", "exchange tick 40m")
    entries(bot)
    before = bot.json("status")
    rows = policy_rows()
    # How much memory the tests' own process uses, and how busy the machine is, decide the two others.
    judged = {name: rows[f"policy {name}"]["state"] for name in ("model", "features", "last session")}
    assert judged == {"model": "OK", "features": "OK", "last session": "OK"}
    assert "MB in the bot's process" in rows["policy memory"]["found"]
    assert rows["policy decision"]["count"] == 3
    assert "from bar to order" in rows["policy decision"]["found"]
    assert rows["policy features"]["count"] == 2
    assert rows["policy last session"]["found"].endswith(": 1 decision, 1 order, 0 refusals of the policy")
    assert bot.json("status")["positions"] == before["positions"]


@pytest.mark.usefixtures("rehearsed")
def test_a_changed_model_fails_its_row_with_the_next_step(bot: Bot, tmp_path: Path, policy_rows: Rows) -> None:
    signed = Signed(tmp_path)
    name = signed.write(PARTS)
    act_by(bot, signed, name)
    spoil(signed.folder / name)
    row = policy_rows()["policy model"]
    assert (row["state"], row["found"].startswith(f"{name}: MODEL_CHANGED")) == ("FAILED", True)
    assert row["next"]


def test_a_strategy_that_is_no_learned_policy_is_refused(bot: Bot) -> None:
    said = bot.says("doctor", "--policy", "flow")
    refuses(said, ExitCode.USAGE, "flow isn't a learned policy", "strategy list")


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, HealthState.OK, "from bar to order: 99% within 90 ms (limit: 100 ms), half within 20 ms"),
        ({"took_s": (0.02,) * 97 + (0.101,) * 3}, HealthState.FAILED, "99% within 101 ms"),
        ({"took_s": ()}, HealthState.FAILED, "it made no decision in 100 slots of a generated session"),
    ],
)
def test_decisions_are_judged_by_their_99th_percentile(changes: dict[str, Any], state: HealthState, words: str) -> None:
    found = rehearsals.judge_decision_time(100, "policy", USUAL._replace(**changes))
    assert (found.state, words in found.found) == (state, True)


@pytest.mark.parametrize(
    ("own_mb", "state"), [(800, HealthState.OK), (801, HealthState.DEGRADED), (1001, HealthState.FAILED)]
)
def test_memory_is_judged_by_what_serve_may_use(own_mb: int, state: HealthState) -> None:
    assert rehearsals.judge_memory(1000, USUAL._replace(own_bytes=own_mb * MB)).state is state
