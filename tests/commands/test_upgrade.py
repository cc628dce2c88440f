"""`tradebot upgrade`: what it would change is said and left, and a made-up next version is gone to and come back from.

The ways there and back are those of docs/DEPLOY.md; what is installed is stood in for by the form that it reads.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from commands import upgrade
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot, made, second_session
from tests.kit.fakes.machine import another_process
from tests.kit.ledgers import KEPT, LATER
from tradebot.adapters.facts import schema as facts
from tradebot.adapters.ledger.migration import LedgerVersion
from tradebot.adapters.ledger.schema import FORM, open_database
from tradebot.adapters.state import state_locks
from tradebot.app.loading import Options
from tradebot.errors import ExitCode, TradebotError
from tradebot.judging.judgment import HealthState, Judgment

NOW_THEN = f"version {FORM.version}; this tradebot upgrades it to {LATER.version} (new: colors)"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with made(tmp_path / "state") as path:
        yield path


def upgraded(folder: Path, form: LedgerVersion = LATER, *, check: bool = False) -> upgrade.Upgraded:
    """Run the verb of a version with this form."""
    report = upgrade.run(Options(str(folder)), {}, check=check, form=form)
    assert report.exit_code is (ExitCode.FINDINGS if report.data.state is HealthState.FAILED else ExitCode.DONE)
    assert isinstance(report.data, upgrade.Upgraded)
    return report.data


def about(found: upgrade.Upgraded) -> dict[str, Judgment]:
    return {each.subject: each for each in found.judgments}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_check_says_what_would_be_migrated_and_changes_nothing(folder: Path) -> None:
    facts.FILE.start_over(folder / "facts.db")[0].close()
    with closing(sqlite3.connect(folder / "facts.db")) as database:
        database.execute("PRAGMA user_version = 7")
    (folder / "tradebot.yaml").write_text((folder / "tradebot.yaml").read_text() + "serve: {grace_s: 99}\n")
    before = content(folder)
    rows = about(upgraded(folder, check=True))
    assert (content(folder), rows["ledger"].state) == (before, HealthState.DEGRADED)
    assert rows["ledger"].found.startswith(f"{NOW_THEN} and stores ")
    assert rows["facts.db"].found.startswith("version 7; this tradebot reads 1, so it moves the file aside")
    assert (rows["bars.db"].state, rows["journal"].state) == (HealthState.SKIPPED, HealthState.OK)
    assert "serve.grace_s" in rows["settings"].found


def test_settings_that_this_version_cannot_read_are_a_failure_with_the_name(folder: Path) -> None:
    (folder / "tradebot.yaml").write_text("limits: {max_of_the_past: 1}\n")
    rows = about(upgraded(folder, FORM, check=True))
    assert rows["settings"].state is HealthState.FAILED
    assert "max_of_the_past" in rows["settings"].found


def test_upgrade_and_the_way_back_lose_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot = Bot(folder, capsys)
    assert bot.says("reconcile").code == 0
    before = bot.json("positions"), bot.json("orders", "--all"), bot.json("journal", "verify")
    assert upgraded(folder).done == f"upgraded the ledger from version {FORM.version} to {LATER.version}"
    assert upgraded(folder).done == ""
    refuses(bot.says("status"), 2, f"its ledger is {LATER.version}, this one reads {FORM.version}")
    assert bot.says("upgrade", "--check").code == 10
    verified = bot.says("deploy", "verify", "--json")
    files = next(row for row in verified.data["judgments"] if row["subject"] == "files")
    assert (verified.code, files["state"]) == (10, "FAILED")
    assert "tradebot upgrade" in files["next"]

    shows(bot.says("upgrade"), 0, f"Done: restored {KEPT}")
    assert before == (bot.json("positions"), bot.json("orders", "--all"), bot.json("journal", "verify"))
    assert bot.says("reconcile").code == 0


def test_going_back_after_a_later_versions_pass_is_by_recover(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot = Bot(folder, capsys)
    early = (folder / "ledger.db").read_bytes()
    second_session(bot)
    assert bot.says("trade-once").code == 0
    open_database(folder / "ledger.db", read_only=False, form=LATER).close()
    (folder / KEPT).write_bytes(early)
    refuses(bot.says("upgrade"), 2, "The bot has written since")
    name = bot.says("recover", "--json").data["name"]
    assert bot.says("recover", "--accept", name, "--confirm", bot.tail()).code == 0
    assert bot.says("reconcile").code == 0
    assert bot.json("fills")["fills"] or bot.json("orders", "--all")["orders"]


def test_a_bot_at_work_is_not_upgraded(folder: Path) -> None:
    before = (folder / "ledger.db").read_bytes()
    with another_process("state_locks.hold(folder, 'serve', name=sys.argv[2])", folder, state_locks.SERVE_LOCK):
        with pytest.raises(TradebotError, match="serve") as refused:
            upgraded(folder)
        assert refused.value.code is ExitCode.ANOTHER_INSTANCE
        assert about(upgraded(folder, check=True))["ledger"].state is HealthState.DEGRADED
    assert (folder / "ledger.db").read_bytes() == before
