"""Old or foreign books beside each other: no verb makes them believed, and the way out is `recover`."""

import os
import shutil
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tests.kit.bot.folder import Bot
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.position import Origin

NOW = datetime(2026, 11, 16, 15, tzinfo=UTC)
BOOKS = ("ledger.db", "journal.jsonl")


def book(folder: Path, *amounts: int) -> None:
    with closing(SqliteLedger.open(folder)) as ledger:
        for amount in amounts:
            ledger.adjust_cash(Decimal(amount), "made up", NOW, origin=Origin.PLAN)


def refused(bot: Bot, why: str) -> None:
    """Halt twice over books that do not hold: it is in force, its row is not written, and they are found out still."""
    before = (bot.folder / "journal.jsonl").read_bytes()
    for _ in range(2):
        said = bot.says("halt", "--reason", "odd fills")
        assert (said.code, said.out.startswith("Halted: REDUCE_ONLY")) == (5, True)
        assert "in force, but the ledger's history doesn't have it" in said.out
        assert why in said.out.replace("\n", " ")
    assert (bot.folder / "journal.jsonl").read_bytes() == before
    assert bot.says("journal", "verify").code == 10


def test_a_halt_does_not_make_an_old_ledger_believed(copy: Bot) -> None:
    old = (copy.folder / "ledger.db").read_bytes()
    book(copy.folder, 1, 2)
    (copy.folder / "ledger.db").write_bytes(old)
    refused(copy, "is older than its journal")
    said = copy.says("unhalt", "--override", "--reason", "I know", "--confirm", copy.tail())
    assert (said.code, "is older than its journal" in said.err, "tradebot recover" in said.err) == (2, True, True)


def test_a_halt_does_not_make_the_journal_of_another_bot_believed(copy: Bot) -> None:
    other = copy.folder.with_name("other")
    other.mkdir()
    for name in BOOKS:
        shutil.copy(copy.folder / name, other)
    book(copy.folder, 1)
    book(other, 2, 3)
    shutil.copy(other / "journal.jsonl", copy.folder / "journal.jsonl")
    refused(copy, "don't belong together")


def test_what_integrity_halted_for_is_told_again_at_unhalt_and_ends_by_recover(bot: Bot) -> None:
    book(bot.folder, 1, -1)
    path = bot.folder / "journal.jsonl"
    os.truncate(path, path.stat().st_size - len(path.read_bytes().splitlines(keepends=True)[-1]))
    cut, mark = path.read_bytes(), bot.json("status")["reconcile"]
    bot.says("evaluate-exits", "--force-slot")
    for _ in range(2):
        said = bot.says("unhalt", "--confirm", bot.tail(), "--reason", "looks well")
        assert said.code == 2
        assert "In force: REDUCE_ONLY by integrity" in said.err
        assert "ends before record" in said.err.rpartition("In force")[2]
        assert "next: tradebot recover" in said.err
    assert (path.read_bytes(), bot.json("status")["reconcile"]) == (cut, mark), "nothing was compared or booked"
    assert bot.says("recover", "--accept", bot.json("recover")["name"], "--confirm", bot.tail()).code in (0, 10)
    assert bot.says("unhalt", "--confirm", bot.tail()).code == 0
    assert bot.json("status")["trading_state"] == "ACTIVE"
