"""`tradebot deploy verify`: each way in which an upgrade can go wrong is named, with what to type."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commands import deploy
from tests.kit.bot.folder import Bot, second_session
from tradebot import __version__
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.serve_status import write_serving
from tradebot.model.serving import ServeNote


def verified(bot: Bot) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code and the rows by subject."""
    said = bot.says("deploy", "verify", "--json")
    return said.code, {row["subject"]: row for row in said.data["judgments"]}


@contextmanager
def serving(bot: Bot, version: str = __version__, *, ready: bool = True, pid: int | None = None) -> Iterator[None]:
    """Stand in for a serve that works on the folder."""
    now = datetime.now(UTC)
    with state_locks.hold(bot.folder, "serve", name=state_locks.SERVE_LOCK):
        write_serving(
            bot.folder,
            ServeNote(pid or os.getpid(), now, {"exits": now}, now, version, ready_at=now if ready else None),
        )
        yield
    (bot.folder / "serve.json").unlink()


@pytest.fixture
def worked(bot: Bot) -> Bot:
    """Return the module's bot, which has finished passes; health finds nothing wrong with it."""
    if not bot.json("fills")["known"]:
        second_session(bot)
        bot.does("trade-once", "exchange tick 2m", "reconcile")
    return bot


def test_a_bot_without_serve_is_judged_by_what_it_recorded(worked: Bot) -> None:
    _, rows = verified(worked)
    assert {name: rows[name]["state"] for name in ("installed", "version", "files", "first pass", "journal")} == {
        "installed": "OK", "version": "SKIPPED", "files": "OK", "first pass": "SKIPPED", "journal": "OK",
    }  # fmt: skip
    assert rows["health"]["state"] == worked.json("health")["state"]


def test_part_that_is_not_well_is_named_with_its_own_next_step(worked: Bot) -> None:
    with serving(worked, ready=False):
        code, rows = verified(worked)
        told = worked.json("health")
    worst = next(row for row in told["judgments"] if row["state"] == told["state"])
    assert (code, rows["health"]["state"]) == (10, told["state"])
    assert f"; {worst['subject']}: {worst['found'][:20]}" in rows["health"]["found"]
    assert rows["health"]["next"] == worst["next"]


def test_serve_of_another_version_is_named_with_the_restart(worked: Bot) -> None:
    with serving(worked, "0.0.9"):
        code, rows = verified(worked)
    assert (code, rows["version"]["state"]) == (10, "FAILED")
    assert f"runs 0.0.9, and {__version__} is installed" in rows["version"]["found"]
    assert "Restart serve" in rows["version"]["next"]
    with serving(worked):
        assert verified(worked)[1]["version"]["state"] == "OK"


def test_first_pass_is_due_until_serve_has_worked(worked: Bot) -> None:
    with serving(worked, ready=False):
        assert verified(worked)[1]["first pass"]["state"] == "DEGRADED"
    with serving(worked):
        seen = verified(worked)[1]["first pass"]
    # The slots above were claimed by this very process.
    assert (seen["state"], seen["looked_at"]) == ("OK", "claimed slots")
    with serving(worked, pid=1):
        assert verified(worked)[1]["first pass"]["state"] == "NOT_DUE"


def test_failed_unit_is_named_with_its_log(worked: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def says(*lines: str) -> dict[str, Any]:
        (tmp_path / "systemctl").write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        (tmp_path / "systemctl").chmod(0o755)
        return verified(worked)[1]["unit"]

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    well = "tradebot@main.service loaded active running tradebot main: every job"
    seen = says(well, "tradebot@two.service loaded failed failed tradebot two: every job")
    assert (seen["state"], seen["found"]) == ("FAILED", "tradebot@two.service failed")
    assert seen["next"] == "journalctl -u tradebot@two.service -o cat -n 50"
    assert says(well)["found"] == "active: tradebot@main.service"
    assert says("tradebot@main.service loaded inactive dead tradebot main")["state"] == "DEGRADED"
    assert says()["state"] == "SKIPPED"


def test_unit_of_a_process_is_read_from_its_control_group(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "0::/system.slice/system-tradebot.slice/tradebot@main.service\n"
    monkeypatch.setattr(Path, "read_text", lambda path: group)
    assert deploy._unit_of(1) == "tradebot@main.service"
    monkeypatch.setattr(Path, "read_text", lambda path: "0::/user.slice/session-1.scope\n")
    assert deploy._unit_of(1) is None


def test_broken_journal_is_a_failure_with_the_way_out(worked: Bot) -> None:
    path = worked.folder / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"kind":"opening"', b'"kind":"0pening"'))
    try:
        code, rows = verified(worked)
    finally:
        path.write_bytes(whole)
    assert (code, rows["journal"]["state"]) == (10, "FAILED")
    assert "tradebot recover" in rows["journal"]["next"]
