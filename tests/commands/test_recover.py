"""Damaged books, from the first refusal to the next order, judged by the exchange's own log."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from commands.shared.checklist import RESTORED
from papervenue import process
from tests.kit.bot import forked
from tests.kit.bot.ending import shows
from tests.kit.bot.folder import KEYS, Bot, log, second_session
from tests.kit.ledgers import edit
from tests.kit.values import there
from tradebot.adapters import failpoint
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import backups
from tradebot.adapters.state import state_locks

BEFORE = ("ledger.db", "journal.jsonl", "ARMED")


@pytest.fixture
def bot(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Bot]:
    """Yield a bot that holds positions; each test damages its books, which are put back afterwards."""
    bot = Bot(folder, capsys)
    if not (folder / "backups").exists():
        second_session(bot)
        bot.does("trade-once", "exchange tick 2m", "reconcile")
        assert bot.json("fills")["fills"], "nothing was traded, so there is nothing to lose"
    for name in BEFORE:
        shutil.copy2(folder / name, tmp_path / name)
    yield bot
    for name in ("quarantine", "rebuilding"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "HALT").unlink(missing_ok=True)
    # The books that are put back know of no pair that a test placed.
    requests.delete(f"{bot.url}/v2/orders", headers=KEYS, timeout=60)
    (folder / "ledger.db-journal").unlink(missing_ok=True)
    for name in BEFORE:
        shutil.copy2(tmp_path / name, folder / name)


def older(path: Path) -> None:
    shutil.copy(next(path.parent.glob("backups/parts/*session*.ledger.db")), path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "lost": Path.unlink,
    "bit-flipped": lambda path: path.write_bytes(path.read_bytes().replace(b'"price":"', b'"qrice":"')),
    "older": older,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_books_send_nothing_until_rebuilt_and_accepted(bot: Bot, damage: str) -> None:
    positions, fills, judged = bot.json("positions"), bot.json("fills"), len(log(bot.url))
    DAMAGE[damage](bot.folder / "ledger.db")
    refused = bot.says("trade-once", "--force-slot")
    assert refused.code == 2, refused.out + refused.err
    assert "tradebot recover" in refused.err
    assert bot.says("evaluate-exits", "--force-slot").code == 2
    rebuilt = bot.says("recover", "--json").data
    assert rebuilt["compared"] is True
    assert rebuilt["name"]
    assert {doubt["what"] for doubt in rebuilt["doubts"]} <= {"ledger"}
    assert (positions, fills) == (bot.json("positions"), bot.json("fills"))
    assert bot.says("trade-once", "--force-slot", "--json").data["orders"] == 0
    assert bot.says("unhalt", "--confirm", bot.tail()).code == 3
    assert [event for event in log(bot.url)[judged:] if str(event["event"]).startswith("order_")] == []

    assert bot.says("recover", "--accept", rebuilt["name"], "--confirm", "nope").code == 3
    accepted = bot.says("recover", "--accept", rebuilt["name"], "--confirm", bot.tail())
    assert accepted.code == 0, accepted.err
    assert bot.says("reconcile").code == 0
    assert bot.says("unhalt", "--confirm", bot.tail()).code == 0
    assert bot.says("recover").out.startswith("The books are intact")


def test_the_quarantine_keeps_what_was_damaged(bot: Bot) -> None:
    path = bot.folder / "ledger.db"
    DAMAGE["bit-flipped"](path)
    damaged = path.read_bytes()
    assert "was moved to" in bot.says("trade-once", "--force-slot").err
    bot.says("recover")
    (place,) = (entry for entry in (bot.folder / "quarantine").iterdir() if entry.is_dir())
    assert (place / "ledger.db").read_bytes() == damaged
    assert (place / "manifest.json").exists()


def test_exits_continue_while_a_backup_is_made(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    read_through, said = backups._read_through, list[int]()

    def meanwhile(*given: Any) -> backups.Backup:
        said.append(forked.run(["evaluate-exits", "--force-slot", "--state-dir", str(bot.folder)]).returncode)
        return read_through(*given)

    monkeypatch.setattr(backups, "_read_through", meanwhile)
    made = bot.json("backup")["made"]
    assert said == [0]
    shutil.rmtree(bot.folder / "backups" / made["name"])


def test_backup_can_be_restored(bot: Bot) -> None:
    fills, made = bot.json("fills"), bot.json("backup")["made"]
    assert made["fills"] == fills["known"]
    assert bot.says("restore", "nonsense", "--confirm", bot.tail()).code == 2
    assert bot.says("restore", made["name"]).code == 2
    restored = bot.says("restore", made["name"], "--confirm", bot.tail(), "--json")
    assert (restored.code, [doubt["what"] for doubt in restored.data["doubts"]]) == (10, ["configuration"])
    assert restored.data["ledger"].endswith(made["name"])
    assert "CONFIG_NOT_ACCEPTED" in bot.says("status").out
    assert bot.json("fills") == fills
    assert bot.says("unhalt", "--confirm", bot.tail()).code == 3
    with closing(SqliteLedger.open(bot.folder, read_only=True)) as books:
        assert there(books.last_claim(RESTORED)).slot == made["name"]
    shutil.rmtree(bot.folder / "backups" / made["name"])


def _flipped(lines: list[bytes], at: int) -> None:
    lines[at] = lines[at].replace(b'"values"', b'"walues"')


def _cut(lines: list[bytes], at: int) -> None:
    lines[at:] = [lines[at][:200]]


@pytest.mark.parametrize("damage", [_flipped, _cut])
def test_lost_approval_of_a_journal_revives_no_older_one(bot: Bot, damage: Callable[[list[bytes], int], None]) -> None:
    settings = bot.folder / "tradebot.yaml"
    before = settings.read_text()
    settings.write_text(before.replace("limits: {", "limits: {max_open_positions: 14, ", 1))
    try:
        assert bot.says("config", "accept", "--confirm", bot.tail()).code == 0
        lines = (bot.folder / "journal.jsonl").read_bytes().split(b"\n")
        damage(lines, max(at for at, line in enumerate(lines) if b'"kind":"approved"' in line))
        (bot.folder / "journal.jsonl").write_bytes(b"\n".join(lines))
        (bot.folder / "ledger.db").unlink()
        doubts = {doubt["what"] for doubt in bot.says("recover", "--json").data["doubts"]}
    finally:
        settings.write_text(before)
    assert "configuration" in doubts
    assert "CONFIG_NOT_ACCEPTED" in bot.says("status").out


def test_damaged_backup_is_reported_early(bot: Bot) -> None:
    assert bot.says("backup", "--list").code == 0
    (part,) = bot.folder.glob("backups/parts/*session*.journal.jsonl")
    whole, (name,) = part.read_bytes(), bot.json("backup", "--list")["kept"]
    part.write_bytes(whole[:-1] + b" ")
    why = f"{part} has changed since the backup was made"
    listed = bot.says("backup", "--list", "--json")
    assert (listed.code, listed.data["damaged"]) == (10, [{"name": name, "why": why}])
    shows(bot.says("backup"), 10, f"Damaged: {name}: {why}")
    for verb, rows in (("doctor", "judgments"), ("audit", "findings")):
        (finding,) = [row for row in bot.says(verb, "--offline", "--json").data[rows] if why in row["found"]]
        assert "tradebot backup" in finding["next"]
    part.write_bytes(whole)
    assert bot.says("backup", "--list").code == 0
    for place in bot.folder.glob("backups/*by-hand"):
        shutil.rmtree(place)


def test_the_copy_of_a_session_leaves_an_event_for_each_damaged_backup(bot: Bot) -> None:
    made = bot.json("backup")["made"]
    (bot.folder / "backups" / made["name"] / "state.id").write_text("{")
    for place in bot.folder.glob("backups/*session*"):
        shutil.rmtree(place)
    assert bot.says("reconcile").code == 0
    assert list(bot.folder.glob("backups/*session*")), "the session was not copied again, so this shows nothing"
    lines = (json.loads(line) for line in (bot.folder / "system_events.jsonl").read_text().splitlines())
    damaged = [line for line in lines if (line["subsystem"], line["event_type"]) == ("backup", "damaged")]
    assert [(line["severity"], line["details"]["name"]) for line in damaged] == [("ERROR", made["name"])]
    shutil.rmtree(bot.folder / "backups" / made["name"])


def test_restoring_an_old_backup_lists_what_it_cannot_prove(bot: Bot) -> None:
    (name,) = [name for name in bot.json("backup", "--list")["kept"] if "session" in name]
    restored = bot.says("restore", name, "--confirm", bot.tail(), "--json")
    assert restored.code == 10
    assert restored.data["doubts"]
    assert bot.says("trade-once", "--force-slot", "--json").data["orders"] == 0


def test_books_from_before_a_pair_was_placed_take_it_over_by_the_usual_plan(bot: Bot, tmp_path: Path) -> None:
    # Another minute has another slot, so that this pair isn't taken for one that a forgotten pass has sent.
    bot.says("exchange", "tick", "1m")
    assert bot.says("evaluate-exits", "--json").data["orders"] == 1
    for name in BEFORE:
        shutil.copy2(tmp_path / name, bot.folder / name)
    found = bot.says("reconcile", "--json")
    assert (found.code, {one["kind"] for one in found.data["findings"]}) == (10, {"unknown_pair"})
    assert "BOOKS_OLD" in bot.says("trade-once", "--force-slot").out
    assert bot.says("reconcile", "--apply", found.data["plan"]).code == 0
    before = len(log(bot.url))
    assert bot.says("evaluate-exits", "--force-slot").code == 0
    assert [event for event in log(bot.url)[before:] if event["event"] == "order_accepted"] == []
    assert bot.says("flatten", "--all", "--confirm", "ALL").code == 0
    told = [event for event in log(bot.url)[before:] if event["event"].startswith("order_")]
    assert [event for event in told if event["event"] == "order_rejected"] == []
    assert any(event.get("replaces") for event in told), "the exit goes through the pair"
    assert bot.says("reconcile").code == 0


def test_recover_with_intact_books_changes_nothing(bot: Bot) -> None:
    before = (bot.folder / "ledger.db").read_bytes()
    said = bot.says("recover")
    assert (said.code, said.out) == (0, "The books are intact; nothing was changed.\n")
    assert (bot.folder / "ledger.db").read_bytes() == before
    assert bot.says("recover", "--accept", "rebuilt-nonsense").code == 3


def test_rebuild_killed_before_asking_the_broker_keeps_its_doubts(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(point: str) -> None:
        if point == "rebuild.forget_scratch.before":
            raise KeyboardInterrupt

    DAMAGE["bit-flipped"](bot.folder / "journal.jsonl")
    monkeypatch.setattr(failpoint, "hook", dies)
    assert bot.says("recover").code not in (0, 10)
    monkeypatch.setattr(failpoint, "hook", None)
    again = bot.says("recover", "--json")
    assert again.code == 10
    assert {doubt["what"] for doubt in again.data["doubts"]} >= {"record", "broker"}
    assert "couldn't be proven" in bot.says("recover").out
    assert bot.says("recover", "--accept", again.data["name"], "--confirm", bot.tail()).code == 0


def test_recover_rebuilds_a_ledger_of_another_version(bot: Bot) -> None:
    fills = bot.json("fills")
    edit(bot.folder / "ledger.db", "PRAGMA user_version = 99")
    assert "another version" in bot.says("trade-once", "--force-slot").err
    assert not (bot.folder / "quarantine").exists()
    assert bot.says("recover", "--json").data["compared"] is True
    assert bot.json("fills") == fills


@pytest.mark.parametrize("name", [state_locks.SERVE_LOCK, state_locks.STREAM_LOCK, state_locks.FETCH_LOCK])
@pytest.mark.usefixtures("waiting")
def test_recover_is_refused_while_serve_or_a_fetch_runs(bot: Bot, name: str) -> None:
    (bot.folder / "ledger.db").unlink(missing_ok=True)
    with state_locks.hold(bot.folder, "another one", name=name):
        said = bot.says("recover")
    assert (said.code, "another one, process" in said.err) == (6, True)
    assert not (bot.folder / "quarantine").exists()


def test_recover_rebuilds_a_damaged_journal_after_a_halt(bot: Bot) -> None:
    path = bot.folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"price":"', b'"qrice":"', 1))
    found = bot.says("journal", "verify", "--json")
    assert found.code == 10
    assert [place["problem"] for place in found.data["breaks"]] == ["its text doesn't match its hash"]
    assert bot.says("trade-once", "--force-slot", "--json").data["orders"] == 0
    assert not (bot.folder / "ARMED").exists()
    assert bot.says("recover").code == 10
    assert bot.says("journal", "verify").code == 0
    assert "The hash chain is intact" in bot.says("journal", "verify").out


def test_torn_unsynced_end_of_a_journal_is_set_aside(bot: Bot) -> None:
    path = bot.folder / "journal.jsonl"
    before, pieces = path.read_bytes(), b'{"schema":2,' + bytes(500) + b'"}\n'
    path.write_bytes(before + pieces)
    found = bot.says("journal", "verify", "--json")
    assert (found.code, found.data["torn_bytes"], found.data["breaks"]) == (0, len(pieces), [])
    assert bot.says("halt").code == 0
    assert (bot.folder / "journal.torn-1").read_bytes() == pieces
    assert path.read_bytes().startswith(before)
    assert bot.says("journal", "verify", "--json").data["torn_bytes"] == 0


def test_recover_without_the_broker_says_so(bot: Bot) -> None:
    market = bot.folder / "exchange" / "market.json"
    kept = market.read_bytes()
    process.stop(bot.folder / "exchange")
    market.write_bytes(b"{")
    (bot.folder / "ledger.db").unlink()
    said = bot.says("recover", "--json")
    market.write_bytes(kept)
    assert said.code == 10
    assert said.data["compared"] is False
    assert any(doubt["what"] == "broker" for doubt in said.data["doubts"])
