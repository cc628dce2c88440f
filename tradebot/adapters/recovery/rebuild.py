"""Rebuild books from whatever is intact: join a ledger and a journal, or replay a journal.

Everything is built in a separate folder first. Then the damaged books move to the quarantine and the new ones replace
them, the ledger last. If the process dies in between, the books are missing and can be rebuilt from the same sources.
If the journal has the record that the ledger is sealed with, only later records must be added to the ledger: each
earlier one is already there, or was never committed. Otherwise ledger and journal are compared row by row.
"""

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tradebot.adapters.failpoint import around
from tradebot.adapters.ledger.journal import ChainHead, Journal, JournalRecord
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.rebuild_records import JournalRow
from tradebot.adapters.ledger.rows import IntentContent, StoredFill
from tradebot.adapters.ledger.schema import copy_database
from tradebot.adapters.recovery import quarantine
from tradebot.adapters.recovery.rebuild_sources import (
    KINDS,
    NAMED,
    Doubt,
    LedgerComparison,
    RowPlace,
    Sources,
    compare,
    find,
    identity,
    words_of,
)
from tradebot.adapters.state.state_folder import JOURNAL, LEDGER, REBUILDING, StateFolder, cannot_write, sync_folder
from tradebot.adapters.text.canonical import parse_time
from tradebot.adapters.text.codec import decode
from tradebot.model.account import Booking, Entry
from tradebot.model.intent import Intent
from tradebot.model.order import Reply
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.promotion import Promotion
from tradebot.model.trade import TradeNote
from tradebot.model.trading import Baseline
from tradebot.model.venue import Settlement

NOT_ACCEPTED = (
    "the accepted configuration was read from a backup or a damaged journal, so it may be looser than the "
    "last accepted one: entries stay blocked until tradebot config accept"
)


class Rebuilt(NamedTuple):
    """Rebuilt books: their name, the location of the damaged books, their sources, and their size."""

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
    keep: Callable[[Rebuilt], None] = lambda _: None,
) -> Rebuilt:
    """Build new books, move the old ones to the quarantine, and then install the new books.

    `on` is the machine's time, which names the quarantine folder. If `only` is set, books are taken only from that
    folder. `keep` is called with the result before the new books are installed, so that the list of doubts isn't lost
    if the process is killed. The caller holds the pass lock and has halted the bot. Afterward the user must accept the
    new books. Raise OperatorError if the disk fails.
    """
    try:
        with ExitStack() as opened:
            return _rebuilt(folder, find(folder, opened, only), why, on, keep)
    except OSError as error:
        # Assemble a backup in parts next to itself before creating anything else.
        raise cannot_write(folder.path, error) from error


def _rebuilt(folder: StateFolder, sources: Sources, why: str, on: datetime, keep: Callable[[Rebuilt], None]) -> Rebuilt:
    now = _after_all(sources, folder.created_at)
    if sources.approval_unsure:
        sources.doubts.append(Doubt("configuration", str(sources.journal or sources.ledger), NOT_ACCEPTED))
    content = f"{folder.id} {on.isoformat()} {_count(sources)} {sources.ledger}"
    name = f"rebuilt-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
    scratch = folder.path / REBUILDING
    try:
        with around("rebuild.forget_last"):
            shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        intents, fills = _make(folder, scratch, sources, name, now)
        moved = quarantine.move(folder.path, why, on)
        counted = _count(sources), intents, fills
        doubt = Rebuilt(name, moved, sources.journal, sources.ledger, *counted, tuple(sources.doubts))
        keep(doubt)
        for file in (JOURNAL, LEDGER):
            with around("rebuild.install"):
                (scratch / file).rename(folder.path / file)
        sync_folder(folder.path)
        with around("rebuild.forget_scratch"):
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise cannot_write(folder.path, error) from error
    return doubt


def _count(sources: Sources) -> int:
    return sources.reading.whole if sources.reading else 0


def _after_all(sources: Sources, created_at: datetime) -> datetime:
    """Return a time just after the last record: of two journals, the one that ends later counts as newer."""
    last = parse_time(sources.last.at) if sources.last else created_at
    return max(last, created_at) + timedelta(microseconds=1)


def _make(folder: StateFolder, scratch: Path, sources: Sources, name: str, now: datetime) -> tuple[int, int]:
    """Write the new books to the scratch folder; return their number of intents and fills."""
    joined = join(folder, scratch, sources, now) if sources.ledger else None
    if joined is None:
        SqliteLedger.create(scratch, folder.account_number, folder.created_at).close()
    with closing(SqliteLedger.open(scratch, folder.account_number)) as books:
        with books.file.in_one_write():
            if joined:
                joined(books)
            else:
                for record in sources.records():
                    replay(books, record, sources)
            books.checkpoint_totals()
            books.history.record("REDUCE_ONLY", "recover", f"{name} is waiting to be accepted", now)
            books.upkeep.mark_rebuilt(name, _rebuild_record(sources), now)
        if joined is None:
            books.file.check_pages()
            books.file.check_journal()
        return books.tallies.counts()


def _rebuild_record(sources: Sources) -> dict[str, str | int | bool | None]:
    """Return the journal's record of a rebuild: its generation, its sources, and what it revokes."""
    made_of = {"journal": sources.journal, "ledger": sources.ledger}
    record: dict[str, str | int | bool | None] = {"generation": sources.generation + 1}
    record |= {name: path.name if path else None for name, path in made_of.items()}
    return record | ({"approved": False} if sources.approval_unsure else {})


TIMED = frozenset({"promised", "settled", "abandoned", "retried", "fill", "cash_adjusted", "acknowledged"})
OUTCOMES = frozenset({"settled", "abandoned", "retried"})
"""Kinds of records with an intent's outcome, which refer to the intent by its id."""
IN_FORCE = {"trading_state": "trading_states", "acknowledged": "acknowledged", "approved": "baselines"}
"""Kinds of which only the last record counts, and their tables."""


def join(folder: StateFolder, scratch: Path, sources: Sources, now: datetime) -> Callable[[SqliteLedger], None]:
    """Copy journal and ledger to the scratch folder; return a function that adds the journal's extra records to the
    ledger.
    """
    assert sources.ledger, "joining needs a ledger"
    copy = sources.copies[sources.ledger, LEDGER]
    with closing(SqliteLedger.open(copy, folder.account_number, read_only=True)) as old:
        lacking = _lacking(sources, old)
        if sources.last:
            sources.doubts += [_doubt_of(old, row_place) for row_place in lacking]
        head = _write_journal(folder, scratch / JOURNAL, sources, old, lacking, now)
        rest = _only_in_journal(sources, old)
    if copy == sources.ledger:
        copy_database(copy / LEDGER, scratch / LEDGER)
    else:
        with around("rebuild.take_ledger"):
            (copy / LEDGER).rename(scratch / LEDGER)
    return partial(_replay_into_ledger, sources, head, rest)


def _sealed_in(sources: Sources, old: SqliteLedger) -> bool:
    """Return True if the ledger is sealed with a record of this journal."""
    return sources.reading is not None and old.file.sealed_head().hash in sources.reading.found_hashes


def _lacking(sources: Sources, old: SqliteLedger) -> list[RowPlace]:
    """Return the records that only the ledger has; none if the two are sealed together."""
    if _sealed_in(sources, old) and sources.reading and not sources.reading.breaks:
        return []
    return _compare_once(sources, old).lacking


def _compare_once(sources: Sources, old: SqliteLedger) -> LedgerComparison:
    if old.file.folder not in sources.compared:
        sources.compared[old.file.folder] = compare(sources, old)
    return sources.compared[old.file.folder]


def _only_in_journal(sources: Sources, old: SqliteLedger) -> Iterator[JournalRecord]:
    """Yield the records that the ledger lacks and that nothing in it supersedes."""
    sealed = old.file.sealed_head()
    if _sealed_in(sources, old):
        return sources.records(after=sealed.sequence)
    missing = _compare_once(sources, old).missing
    if not missing and (sources.last is None or sources.last.head.sequence < sealed.sequence):
        return iter(())
    return _unknown(sources, missing, {kind: old.upkeep.latest(table) for kind, table in IN_FORCE.items()})


def _write_journal(
    folder: StateFolder, path: Path, sources: Sources, old: SqliteLedger, lacking: Iterable[RowPlace], now: datetime
) -> ChainHead:
    """Write the new journal: the old one up to where its chain breaks, the remaining records, and the missing ones."""
    with closing(_start_journal(folder, path, sources)) as journal:
        rest = sources.reading.records(sources.reading.sound_bytes) if sources.reading else iter(())
        for record in _merge_lacking(rest, lacking, old):
            if record.kind != "created":
                journal.append(record.kind, record.payload, parse_time(record.at))
        if sources.last is None or old.file.sealed_head().sequence > sources.last.head.sequence:
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
    """Yield the states in force according to a ledger that goes beyond a lost or shortened journal."""
    halts = old.halts()
    for halt in halts:
        words = {"state": str(halt.state), "who": halt.who, "why": halt.why}
        yield {**words, "causes": sorted(halt.causes), "accepted_at": None}, halt.at or now
    if not halts:
        words = {"state": "ACTIVE", "who": "recover", "why": "according to the ledger, no halt was in force"}
        yield {**words, "causes": [], "accepted_at": None}, now


def _replay_into_ledger(sources: Sources, head: ChainHead, rest: Iterable[JournalRecord], books: SqliteLedger) -> None:
    """Write records that only the journal has to the ledger, and remove what new books don't inherit."""
    books.file.execute(
        "UPDATE book SET journal_sequence = ?, journal_hash = ?, rebuilt = NULL WHERE account = ?",
        (*head, books.account_number),
    )
    for table in (*NOT_INHERITED, *(OF_PERSONS.values() if sources.approval_unsure else ())):
        books.file.delete(table)
    _, counts = books.tallies.counts()
    books.file.keeps_journal = False
    for record in rest:
        replay(books, record, sources)
    books.file.keeps_journal = True
    # If shares changed owners without a trade since the old ledger, their best price is unknown.
    for owned in (row.owned for row in books.tables.fills.after(counts).values()):
        if not owned.fill.venue_order_id:
            which = owned.strategy, owned.fill.symbol
            books.file.delete("high_water", "AND strategy = ? AND symbol = ?", which)


def _unknown(sources: Sources, missing: frozenset[bytes], latest: Mapping[str, str]) -> Iterator[JournalRecord]:
    """Yield the journal's records that the ledger lacks; `latest` maps kinds to the time of the ledger's last row."""
    for record in sources.records():
        if record.kind in IN_FORCE and record.at <= latest[record.kind]:
            continue
        if record.kind == "trading_state" or _identity_of_intent(record) in missing:
            yield record


def _identity_of_intent(record: JournalRecord) -> bytes:
    """Return the digest of the intent that a record refers to, or of the record itself."""
    return identity(record, "promised" if record.kind in OUTCOMES else record.kind)


def _at(old: SqliteLedger, row_place: RowPlace) -> JournalRow:
    return next(old.upkeep.as_journaled(KINDS[row_place.rank], row_place.sequence, row_place.sequence))


def _doubt_of(old: SqliteLedger, row_place: RowPlace) -> Doubt:
    record = _at(old, row_place)
    words = words_of(record) if record.kind in NAMED else record.payload
    return Doubt(record.kind, words.decode(), "the ledger has it, but the journal doesn't")


def _merge_lacking(
    records: Iterable[JournalRecord], lacking: Iterable[RowPlace], old: SqliteLedger
) -> Iterator[JournalRecord | JournalRow]:
    """Insert missing records in the order of time; halts carry the machine's time, which isn't trading time."""
    waiting = deque(lacking)
    for record in records:
        while waiting and record.kind in TIMED and waiting[0].at <= record.at:
            yield _at(old, waiting.popleft())
        yield record
    while waiting:
        yield _at(old, waiting.popleft())


def replay(books: SqliteLedger, record: JournalRecord, sources: Sources) -> None:
    """Replay one record; a record that makes no sense because an earlier one was lost is added to the doubts."""
    kind, where = record.kind, f"record {record.head.sequence}"
    if kind in NOT_PLAYED or (kind in OF_PERSONS and sources.approval_unsure):
        return
    if kind not in BY_TEXT and kind not in PLAYED:
        sources.doubts.append(Doubt("record", where, f"this version does not know records of kind {kind}"))
        return
    try:
        if kind == "promised":
            _record_intent_again(books, record.payload.decode())
        elif kind == "fill":
            _fill_again(books, record.payload.decode(), parse_time(record.at))
        else:
            PLAYED[kind](books, json.loads(record.payload), parse_time(record.at))
    except (KeyError, TypeError, ValueError, InvalidOperation, AssertionError) as error:
        problem = f"{kind} could not be written again ({type(error).__name__}: {error})"
        sources.doubts.append(Doubt("record", where, problem))


def _record_intent_again(books: SqliteLedger, text: str) -> None:
    """Replay an intent from its text without parsing its verdicts, which are most of the journal."""
    intent, end = JSON.raw_decode(text, len(INTENT))
    if not text.startswith(INTENT) or not text.startswith(VERDICTS, end):
        raise ValueError("it isn't an intent")
    texts = text[len(INTENT) : end], text[end + len(VERDICTS) : -1]
    books.record_intent_again(decode(Intent, intent), IntentContent(texts=texts))


def _fill_again(books: SqliteLedger, text: str, at: datetime) -> None:
    """Replay a fill from its text, which the ledger stores exactly as the journal does."""
    books.apply_fill(StoredFill(decode(OwnedFill, json.loads(text)), at, text))


def _replay_outcome(books: SqliteLedger, payload: Any, at: datetime) -> None:
    books.record_outcome(payload["client_order_id"], decode(Reply, payload["reply"]), at)


def _moved_cash(books: SqliteLedger, payload: Any, at: datetime) -> None:
    # A process killed between journal and ledger books an activity again, so the journal may hold it twice.
    origin, about = Origin(payload["origin"]), payload["about"]
    if origin is not Origin.ACTIVITY:
        books.adjust_cash(Decimal(payload["amount"]), payload["why"], at, origin=origin, about=about)
    else:
        happened_at = parse_time(payload["happened_at"]) if "happened_at" in payload else None
        cash = payload.get("symbol", ""), payload.get("sub_kind", "")
        entry = Entry(about, payload["kind"], Decimal(payload["amount"]), payload["why"], happened_at, *cash)
        books.book(Booking((entry,)), at)


def _replay_configuration(books: SqliteLedger, payload: Any, at: datetime) -> None:
    if payload.get("approved") is False:
        for table in OF_PERSONS.values():
            books.file.delete(table)


def _replay_note(books: SqliteLedger, payload: Any, at: datetime) -> None:
    trade = payload["strategy"], payload["symbol"], parse_time(payload["opened_at"])
    books.note_trade(TradeNote(trade, tuple(payload["tags"]), payload["note"], payload["who"], at))


PLAYED: Mapping[str, Callable[[SqliteLedger, Any, datetime], object]] = {
    "opening": lambda books, payload, at: books.open_books(
        Decimal(payload["cash"]), at, Settlement(payload.get("settlement", Settlement.PAID))
    ),
    "settled": _replay_outcome,
    "abandoned": lambda books, payload, at: books.abandon(payload["client_order_id"], payload["why"], at),
    "retried": lambda books, payload, at: books.retry(
        payload["client_order_id"], at, Decimal(payload["limit_price"]) if "limit_price" in payload else None
    ),
    "cash_adjusted": _moved_cash,
    "acknowledged": lambda books, payload, at: books.acknowledge(
        payload["symbol"],
        Decimal(payload["quantity"]),
        payload["why"],
        at,
        origin=Origin(payload["origin"]),
        about=payload["about"],
    ),
    "approved": lambda books, payload, at: books.baselines.approve(Baseline(payload["values"], payload["who"], at)),
    "promoted": lambda books, payload, at: books.promotions.append(decode(Promotion, payload)),
    "rebuilt": _replay_configuration,
    "trade_noted": _replay_note,
    "trading_state": lambda books, payload, at: books.history.record(
        payload["state"],
        payload["who"],
        payload["why"],
        at,
        causes=payload["causes"],
        accepted_at=payload["accepted_at"],
    ),
}
"""How to replay each kind of record."""
BY_TEXT = frozenset({"promised", "fill"})
"""Records whose text the ledger stores exactly as the journal does."""
OF_PERSONS = {"approved": "baselines", "promoted": "promotions"}
"""Kinds of records that permit trading until revoked, and their tables: if the last one may be lost, none counts."""
NOT_PLAYED = frozenset({"created", "live_armed", "accepted"})
NOT_INHERITED = ("armings", "last_reconcile")
"""Tables that new books don't inherit: they start their own, and a person must arm live trading again."""
JSON = json.JSONDecoder()
INTENT, VERDICTS = '{"intent":', ',"verdicts":'
