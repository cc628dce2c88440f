"""Make new books from an intact ledger and a journal: each is copied and gets what only the other one holds.

If the ledger is sealed with a record of the journal, everything the journal says up to that record is in the ledger or
was never committed, so only later records must be written. Otherwise both are compared row by row.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.ledger.journal import Head, Journal, Record
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.rebuild_records import JournalRow
from tradebot.adapters.ledger.schema import copy_database
from tradebot.adapters.recovery.journal_replay import NOT_INHERITED, OF_PERSONS, replay
from tradebot.adapters.recovery.rebuild_sources import (
    KINDS,
    NAMED,
    Compared,
    Doubt,
    RowPlace,
    Sources,
    compare,
    identity,
    words_of,
)
from tradebot.adapters.state.state_folder import JOURNAL, LEDGER, StateFolder
from tradebot.adapters.text.canonical import parse_time

TIMED = frozenset({"promised", "settled", "abandoned", "retried", "fill", "cash_adjusted", "acknowledged"})
OUTCOMES = frozenset({"settled", "abandoned", "retried"})
"""Kinds that tell the outcome of a promise; they refer to it by its id."""
IN_FORCE = {"trading_state": "trading_states", "acknowledged": "acknowledged", "approved": "baselines"}
"""Kinds of which only the last record is in force, and their tables."""


def join(folder: StateFolder, scratch: Path, sources: Sources, now: datetime) -> Callable[[SqliteLedger], None]:
    """Copy both to the scratch folder; return a function that writes what only the journal holds into the ledger."""
    assert sources.ledger, "there is a ledger to be joined"
    copy = sources.copies[sources.ledger, LEDGER]
    with closing(SqliteLedger.open(copy, folder.account_number, read_only=True)) as old:
        lacking = _lacking(sources, old)
        if sources.last:
            sources.doubts += [_doubt_of(old, place) for place in lacking]
        head = _write_journal(folder, scratch / JOURNAL, sources, old, lacking, now)
        rest = _only_in_journal(sources, old)
    if copy == sources.ledger:
        copy_database(copy / LEDGER, scratch / LEDGER)
    else:
        with around("journal_merge.take_ledger"):
            (copy / LEDGER).rename(scratch / LEDGER)
    return partial(_replay_into_ledger, sources, head, rest)


def _sealed_in(sources: Sources, old: SqliteLedger) -> bool:
    """Return True if the ledger is sealed with a record of this very journal."""
    return sources.reading is not None and old.file.sealed().hash in sources.reading.found_hashes


def _lacking(sources: Sources, old: SqliteLedger) -> list[RowPlace]:
    """Return what the journal lacks compared with the ledger; nothing if the ledger is sealed with it."""
    if _sealed_in(sources, old) and sources.reading and not sources.reading.breaks:
        return []
    return _compared(sources, old).lacking


def _compared(sources: Sources, old: SqliteLedger) -> Compared:
    if old.file.folder not in sources.compared:
        sources.compared[old.file.folder] = compare(sources, old)
    return sources.compared[old.file.folder]


def _only_in_journal(sources: Sources, old: SqliteLedger) -> Iterator[Record]:
    """Return the records that the ledger doesn't hold and that nothing in it has superseded."""
    sealed = old.file.sealed()
    if _sealed_in(sources, old):
        return sources.records(after=sealed.sequence)
    missing = _compared(sources, old).missing
    if not missing and (sources.last is None or sources.last.head.sequence < sealed.sequence):
        return iter(())
    return _unknown(sources, missing, {kind: old.upkeep.latest(table) for kind, table in IN_FORCE.items()})


def _write_journal(
    folder: StateFolder, path: Path, sources: Sources, old: SqliteLedger, lacking: Iterable[RowPlace], now: datetime
) -> Head:
    """Write the new journal: the old one up to where its chain breaks, then the rest with what it lacks."""
    with closing(_start_journal(folder, path, sources)) as journal:
        rest = sources.reading.records(sources.reading.sound_bytes) if sources.reading else iter(())
        for record in _merged(rest, lacking, old):
            if record.kind != "created":
                journal.append(record.kind, record.payload, parse_time(record.at))
        if sources.last is None or old.file.sealed().sequence > sources.last.head.sequence:
            for words, at in _in_force(old, now):
                journal.append("trading_state", words, at)
        return journal.sync()


def _start_journal(folder: StateFolder, path: Path, sources: Sources) -> Journal:
    if sources.reading is None or not sources.reading.sound.sequence:
        return Journal.create(path, {"account": folder.account_number}, folder.created_at)
    if sources.reading.path.parent != sources.journal and sources.reading.sound_alone:
        sources.reading.move(path)
    else:
        sources.reading.copy_sound(path)
    return Journal.open(path, sources.reading.sound)


def _in_force(old: SqliteLedger, now: datetime) -> Iterator[tuple[dict[str, object], datetime]]:
    """Yield the states in force by a ledger that knows more than the journal, which was lost or cut short."""
    halts = old.halts()
    for halt in halts:
        words = {"state": str(halt.state), "who": halt.who, "why": halt.why}
        yield {**words, "causes": sorted(halt.causes), "accepted_at": None}, halt.at or now
    if not halts:
        words = {"state": "ACTIVE", "who": "recover", "why": "no halt was in force by the ledger"}
        yield {**words, "causes": [], "accepted_at": None}, now


def _replay_into_ledger(sources: Sources, head: Head, rest: Iterable[Record], books: SqliteLedger) -> None:
    """Write into the ledger what only the journal holds, and remove what new books don't inherit."""
    books.file.execute(
        "UPDATE book SET journal_sequence = ?, journal_hash = ?, rebuilt = NULL WHERE account = ?",
        (*head, books.account_number),
    )
    for table in (*NOT_INHERITED, *(OF_PERSONS.values() if sources.approval_unsure else ())):
        books.file.delete(table)
    _, known = books.tallies.counts()
    books.file.keeps_journal = False
    for record in rest:
        replay(books, record, sources)
    books.file.keeps_journal = True
    # If shares changed owners without a trade since the old ledger, their best price is no longer known.
    for owned in (row.owned for row in books.tables.fills.after(known).values()):
        if not owned.fill.venue_order_id:
            which = owned.strategy, owned.fill.symbol
            books.file.delete("high_water", "AND strategy = ? AND symbol = ?", which)


def _unknown(sources: Sources, missing: frozenset[bytes], latest: Mapping[str, str]) -> Iterator[Record]:
    """Yield the journal's records the ledger lacks; `latest` maps kinds to the time of the ledger's row in force."""
    for record in sources.records():
        if record.kind in IN_FORCE and record.at <= latest[record.kind]:
            continue
        if record.kind == "trading_state" or _identity_of_intent(record) in missing:
            yield record


def _identity_of_intent(record: Record) -> bytes:
    """Return the digest of the promise that a record refers to, or of the record itself."""
    return identity(record, "promised" if record.kind in OUTCOMES else record.kind)


def _at(old: SqliteLedger, place: RowPlace) -> JournalRow:
    return next(old.upkeep.as_journaled(KINDS[place.rank], place.sequence, place.sequence))


def _doubt_of(old: SqliteLedger, place: RowPlace) -> Doubt:
    record = _at(old, place)
    words = words_of(record) if record.kind in NAMED else record.payload
    return Doubt(record.kind, words.decode(), "the ledger holds it and the journal does not")


def _merged(records: Iterable[Record], lacking: Iterable[RowPlace], old: SqliteLedger) -> Iterator[Record | JournalRow]:
    """Insert lacking records in the order of time; halts carry a person's own time, which isn't trading time."""
    waiting = deque(lacking)
    for record in records:
        while waiting and record.kind in TIMED and waiting[0].at <= record.at:
            yield _at(old, waiting.popleft())
        yield record
    while waiting:
        yield _at(old, waiting.popleft())
