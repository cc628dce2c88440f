"""Rebuild books from whatever is intact: join a ledger and a journal, or replay a journal.

Everything is made in a separate folder first. Then the damaged books move to the quarantine and the new ones take their
place, the ledger last. If the process dies in between, the books are missing and can be rebuilt from the same sources.
"""

import hashlib
import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import journal_merge, quarantine
from tradebot.adapters.recovery.journal_replay import replay
from tradebot.adapters.recovery.rebuild_sources import Doubt, Sources, find
from tradebot.adapters.state.state_folder import JOURNAL, LEDGER, REBUILDING, StateFolder, cannot_write, sync_folder
from tradebot.adapters.text.canonical import parse_time

NOT_ACCEPTED = (
    "what a backup or a damaged journal knows as accepted may be looser than what was accepted last: entries stay"
    " closed until tradebot config accept"
)


class Rebuilt(NamedTuple):
    """Rebuilt books: their name, where the damaged ones are, what they were made of, and what they hold."""

    name: str
    quarantine: Path | None
    journal: Path | None
    ledger: Path | None
    records: int
    intents: int
    fills: int
    doubts: tuple[Doubt, ...]


def rebuild(
    folder: StateFolder,
    why: str,
    on: datetime,
    *,
    only: Path | None = None,
    keep: Callable[[Rebuilt], None] = lambda made: None,
) -> Rebuilt:
    """Make new books, move the old ones to the quarantine, and put the new ones in their place.

    `on` is the person's own time, used to name the quarantine folder; `only` is the one folder to take the books from.
    `keep` is told of the new books before they are put in place, so that no kill leaves books without their doubts.
    The caller holds the pass lock and has halted the bot. The new books wait for a person to accept them. OperatorError
    if the disk refuses.
    """
    try:
        with ExitStack() as opened:
            return _rebuilt(folder, find(folder, opened, only), why, on, keep)
    except OSError as error:
        # A backup in parts is put together beside itself before anything is made.
        raise cannot_write(folder.path, error) from error


def _rebuilt(folder: StateFolder, sources: Sources, why: str, on: datetime, keep: Callable[[Rebuilt], None]) -> Rebuilt:
    now = _after_all(sources, folder.created_at)
    if sources.approval_unsure:
        sources.doubts.append(Doubt("configuration", str(sources.journal or sources.ledger), NOT_ACCEPTED))
    name = _name(folder, sources, on)
    scratch = folder.path / REBUILDING
    try:
        with around("rebuild.forget_last"):
            shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        intents, fills = _make(folder, scratch, sources, name, now)
        moved = quarantine.move(folder.path, why, on)
        counted = _count(sources), intents, fills
        made = Rebuilt(name, moved, sources.journal, sources.ledger, *counted, tuple(sources.doubts))
        keep(made)
        for file in (JOURNAL, LEDGER):
            with around("rebuild.install"):
                (scratch / file).rename(folder.path / file)
        sync_folder(folder.path)
        with around("rebuild.forget_scratch"):
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise cannot_write(folder.path, error) from error
    return made


def _count(sources: Sources) -> int:
    return sources.reading.whole if sources.reading else 0


def _after_all(sources: Sources, created_at: datetime) -> datetime:
    """Return a time just after the last record: of two journals, the one that ends later is the newer."""
    last = parse_time(sources.last.at) if sources.last else created_at
    return max(last, created_at) + timedelta(microseconds=1)


def _name(folder: StateFolder, sources: Sources, on: datetime) -> str:
    content = f"{folder.id} {on.isoformat()} {_count(sources)} {sources.ledger}"
    return f"rebuilt-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _make(folder: StateFolder, scratch: Path, sources: Sources, name: str, now: datetime) -> tuple[int, int]:
    """Write the new books into the scratch folder; return how many intents and fills they hold."""
    joined = journal_merge.join(folder, scratch, sources, now) if sources.ledger else None
    if joined is None:
        SqliteLedger.create(scratch, folder.account_number, folder.created_at).close()
    with closing(SqliteLedger.open(scratch, folder.account_number)) as books:
        with books.file.in_one_write():
            if joined:
                joined(books)
            else:
                for record in sources.records():
                    replay(books, record, sources)
            books.keep_totals()
            books.history.record("REDUCE_ONLY", "recover", f"{name} waits to be accepted", now)
            books.upkeep.mark_rebuilt(name, _rebuild_record(sources), now)
        if joined is None:
            books.file.check_pages()
            books.file.check_journal()
        return books.tallies.counts()


def _rebuild_record(sources: Sources) -> dict[str, str | int | bool | None]:
    """Return what the journal records about a rebuild: its generation, its sources, and what it revokes."""
    made_of = {"journal": sources.journal, "ledger": sources.ledger}
    record: dict[str, str | int | bool | None] = {"generation": sources.generation + 1}
    record |= {name: place.name if place else None for name, place in made_of.items()}
    return record | ({"approved": False} if sources.approval_unsure else {})
