"""New books from whatever is whole of the old ones: the journal played again, and what only a ledger holds.

Everything is made in a folder of its own first. Then the damaged books move into the quarantine, and the new ones into
their place, the ledger last: whoever dies in between leaves books that are lost, which can be rebuilt from the same.
"""

import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from tradebot.adapters import backups, journal_reading, quarantine
from tradebot.adapters.canonical import json_text, parse_time
from tradebot.adapters.codec import decode
from tradebot.adapters.failpoint import around
from tradebot.adapters.ledger import SqliteLedger
from tradebot.adapters.state_folder import JOURNAL, LEDGER, REBUILDING, StateFolder, cannot_write, sync_folder
from tradebot.errors import TradebotError
from tradebot.model.activity import id_of
from tradebot.model.decision import Decision
from tradebot.model.intent import Intent, IntentRecord, IntentState
from tradebot.model.order import Reply
from tradebot.model.position import OwnedFill

Record = Mapping[str, Any]


class Doubt(NamedTuple):
    """Something that could not be proven: of what kind, where, and why."""

    what: str
    where: str
    why: str


@dataclass(slots=True)
class Sources:
    """What new books are made of; a place is a folder, None where nothing whole was found there.

    `hashes` are those of all records of this account's journals: a ledger that knows none of them is of elsewhere.
    `generation` counts the rebuilds that the journals tell of, because the one of the last rebuild is the newer.
    """

    journal: Path | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    ledger: Path | None = None
    doubts: list[Doubt] = field(default_factory=list)
    hashes: set[str] = field(default_factory=set)
    generation: int = 0


class Rebuilt(NamedTuple):
    """Books made anew: their name, where the damaged ones lie, what they were made of, and what they hold."""

    name: str
    quarantine: Path | None
    journal: Path | None
    ledger: Path | None
    records: int
    intents: int
    fills: int
    doubts: tuple[Doubt, ...]


class Replayed(SqliteLedger):
    """Books that are being written in one go: one transaction over all, one sync at its end."""

    @contextmanager
    def all_at_once(self) -> Iterator[None]:
        """Hold one transaction; whatever goes wrong inside leaves nothing."""
        with super()._write():
            yield
            super()._seal()

    @contextmanager
    def _write(self) -> Iterator[None]:
        yield

    def _seal(self) -> None:
        """Leave the sync to the end."""

    def move_as(self, record: IntentRecord) -> None:
        """Write how far an intent has come, as other books tell it."""
        name = record.intent.client_order_id
        self._move(name, record.state, record.code, record.message, record.updated_at)


def rebuild(folder: StateFolder, why: str, on: datetime, *, only: Path | None = None) -> Rebuilt:
    """Make new books, move the old ones into the quarantine, and put the new ones in their place.

    `on` is a person's own time, for the name of the quarantine; `only` the one folder to take the books from. The
    caller holds the pass lock and has halted; the new books wait for a person to accept them. OperatorError where the
    disk does not take them.
    """
    sources = find(folder, only)
    now = _after_all(sources, folder.created_at)
    name = _name(folder, sources, on)
    scratch = folder.path / REBUILDING
    try:
        with around("rebuild.forget_last"):
            shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        intents, fills = _make(folder, scratch, sources, name, now)
        moved = quarantine.move(folder.path, why, on)
        for file in (JOURNAL, LEDGER):
            with around("rebuild.install"):
                (scratch / file).rename(folder.path / file)
        sync_folder(folder.path)
        with around("rebuild.forget_scratch"):
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise cannot_write(folder.path, error) from error
    counted = len(sources.records), intents, fills
    return Rebuilt(name, moved, sources.journal, sources.ledger, *counted, tuple(sources.doubts))


def _after_all(sources: Sources, created_at: datetime) -> datetime:
    """Return trading time just after the last record: of two journals the one that ends later is the newer."""
    last = parse_time(sources.records[-1]["at"]) if sources.records else created_at
    return max(last, created_at) + timedelta(microseconds=1)


def _name(folder: StateFolder, sources: Sources, on: datetime) -> str:
    content = f"{folder.id} {on.isoformat()} {len(sources.records)} {sources.ledger}"
    return f"rebuilt-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def find(folder: StateFolder, only: Path | None = None) -> Sources:
    """Look for the journal and the ledger that know most: in the folder, in its quarantine, among its copies."""
    places = [folder.path, *quarantine.places(folder.path), *backups.places(folder.path)]
    found = Sources()
    _find_journal(found, places, folder, only)
    _find_ledger(found, [only] if only else places, folder)
    return found


def _find_journal(found: Sources, places: Iterable[Path], folder: StateFolder, only: Path | None) -> None:
    best, broken = (-1, 0), list[Doubt]()
    for place in places:
        reading = journal_reading.read(place / JOURNAL) if (place / JOURNAL).is_file() else None
        records = reading.records if reading else []
        if reading is None or not records or not _is_ours(records, folder.account_number):
            if reading is not None and only in (None, place):
                found.doubts.append(Doubt("journal", str(place / JOURNAL), "it holds no record of this account"))
            continue
        found.hashes |= {line.hash for line in reading.lines}
        generation = _generation(records)
        found.generation = max(found.generation, generation)
        if only in (None, place) and (generation, len(records)) > best:
            best, found.journal, found.records = (generation, len(records)), place, records
            broken = [Doubt("record", f"{place / JOURNAL}:{line.number}", str(line.problem)) for line in reading.breaks]
    if found.journal is None:
        broken = [Doubt("journal", str(folder.path / JOURNAL), "no journal that can be read was found")]
    found.doubts += broken


def _generation(records: list[dict[str, Any]]) -> int:
    """Return how many rebuilds a journal descends from."""
    return max((int(r["payload"]["generation"]) for r in records if r["kind"] == "rebuilt"), default=0)


def _is_ours(records: list[dict[str, Any]], account: str) -> bool:
    """Tell whether a journal belongs to the account, by its first record or by any order that it promised."""
    first = records[0]
    if first["kind"] == "created":
        return bool(first["payload"]["account"] == account)
    return any(r["kind"] == "promised" and r["payload"]["intent"]["key"]["account"] == account for r in records)


def _find_ledger(found: Sources, places: Iterable[Path], folder: StateFolder) -> None:
    best = ""
    for place in places:
        if not (place / LEDGER).is_file():
            continue
        try:
            with closing(SqliteLedger.open(place, folder.account_number, read_only=True)) as ledger:
                ledger.check_pages()
                newest, related = ledger.newest(), _is_related(ledger, found)
        except TradebotError as damaged:
            found.doubts.append(Doubt("ledger", str(place / LEDGER), damaged.message))
            continue
        if not related:
            found.doubts.append(Doubt("ledger", str(place / LEDGER), "it belongs to no journal that was found"))
        elif newest > best:
            best, found.ledger = newest, place
    if found.ledger is None:
        lost = "no whole ledger was found: claimed slots and the marks of trailing stops begin anew"
        found.doubts.append(Doubt("ledger", str(folder.path / LEDGER), lost))


def _is_related(ledger: SqliteLedger, found: Sources) -> bool:
    """Tell whether a ledger belongs to a journal: one holds its last record, or it holds all of one cut short."""
    seal = ledger.seal()
    if not found.records or seal.hash in found.hashes:
        return True
    held = {(kind, _identity(_record(kind, payload, at))) for kind, payload, at in ledger.as_journalled()}
    told = {(r["kind"], _identity(r)) for r in found.records if r["kind"] in LASTING}
    return int(found.records[-1]["seq"]) < seal.sequence and told <= held


def _make(folder: StateFolder, scratch: Path, sources: Sources, name: str, now: datetime) -> tuple[int, int]:
    """Write the new books into the scratch folder and return how many intents and fills they hold."""
    SqliteLedger.create(scratch, folder.account_number, folder.created_at).close()
    with closing(Replayed.open(scratch, folder.account_number)) as books:
        with books.all_at_once():
            _fill(books, folder, sources, now)
            books.record_state("REDUCE_ONLY", "recover", f"{name} waits to be accepted", now)
            places = {"journal": _text(sources.journal), "ledger": _text(sources.ledger)}
            books.mark_rebuilt(name, {"generation": sources.generation + 1, **places}, now)
        books.check_pages()
        books.check_journal()
        return len(books.promised_ids()), len(books.fills())


def _fill(books: Replayed, folder: StateFolder, sources: Sources, now: datetime) -> None:
    """Play the journal again, with what it lacks and a whole ledger holds; then take over what no journal carries."""
    if sources.ledger is None:
        for record in sources.records:
            _replay(books, record, sources)
        return
    with closing(SqliteLedger.open(sources.ledger, folder.account_number, read_only=True)) as old:
        lacking = _lacking(sources.records, old)
        if sources.records:
            sources.doubts += [_doubt_of(record) for record in lacking]
        for merged in _merged(sources.records, lacking):
            _replay(books, merged, sources)
        _advance(books, old)
        _take_over_halts(books, old, sources, now)
        books.apply_orders(old.orders(), now)
        for table in LEDGER_ONLY:
            books.copy_rows(old, table)
        stale = _restated_since(books, old)
        books.copy_rows(old, "high_water", lambda row: (row["strategy"], row["symbol"]) not in stale)


def _take_over_halts(books: Replayed, old: SqliteLedger, sources: Sources, now: datetime) -> None:
    """Write down what is in force by a ledger that knows more than the journal, which was lost or cut short."""
    if sources.records and old.seal().sequence <= int(sources.records[-1]["seq"]):
        return
    for halt in old.halts():
        books.record_state(halt.state, halt.who, halt.why, halt.at or now)
    if not old.halts():
        books.record_state("ACTIVE", "recover", "no halt was in force by the ledger", now)


def _text(place: Path | None) -> str | None:
    return None if place is None else place.name


def _replay(books: Replayed, record: Record, sources: Sources) -> None:
    """Write one record again; one that makes no sense without another that is lost becomes a doubt."""
    kind, where = str(record["kind"]), f"record {record['seq']}"
    if kind in NOT_PLAYED:
        return
    if kind not in PLAYED:
        sources.doubts.append(Doubt("record", where, f"this version does not know records of kind {kind}"))
        return
    try:
        PLAYED[kind](books, record["payload"], parse_time(record["at"]))
    except (KeyError, TypeError, ValueError, InvalidOperation, AssertionError) as error:
        said = f"{kind} could not be written again ({type(error).__name__}: {error})"
        sources.doubts.append(Doubt("record", where, said))


def _promised(books: Replayed, payload: Any, at: datetime) -> None:
    books.promise(decode(Intent, payload["intent"]), [decode(Decision, verdict) for verdict in payload["verdicts"]])


def _settled(books: Replayed, payload: Any, at: datetime) -> None:
    books.settle(payload["client_order_id"], decode(Reply, payload["reply"]), at)


def _filled(books: Replayed, payload: Any, at: datetime) -> None:
    books.apply_fills([decode(OwnedFill, payload)], at)


def _moved_cash(books: Replayed, payload: Any, at: datetime) -> None:
    # Whoever was killed between journal and ledger books an activity again, and the journal holds it twice.
    if id_of(payload["why"]) not in books.booked():
        books.adjust_cash(Decimal(payload["amount"]), payload["why"], at)


PLAYED: Mapping[str, Callable[[Replayed, Any, datetime], object]] = {
    "opening": lambda books, payload, at: books.open_books(Decimal(payload["cash"]), at),
    "promised": _promised,
    "settled": _settled,
    "abandoned": lambda books, payload, at: books.abandon(payload["client_order_id"], payload["why"], at),
    "retried": lambda books, payload, at: books.retry(payload["client_order_id"], at),
    "fill": _filled,
    "cash_adjusted": _moved_cash,
    "acknowledged": lambda books, payload, at: books.acknowledge(
        payload["symbol"], Decimal(payload["quantity"]), payload["why"], at
    ),
    "trading_state": lambda books, payload, at: books.record_state(
        payload["state"], payload["who"], payload["why"], at
    ),
}
"""How a record of the journal is written again."""
NOT_PLAYED = frozenset({"created", "live_armed", "rebuilt", "accepted"})
"""Records that new books do not inherit: they are their own, and real money is armed anew by a person."""

LEDGER_ONLY = ("slots", "sessions")
"""Tables that the journal does not carry, beside the best prices."""


def _restated_since(books: Replayed, old: SqliteLedger) -> set[tuple[str, str]]:
    """Return the positions whose shares became others by no trade since the old ledger: their best prices are gone."""
    known = {owned.fill.activity_id for owned in old.fills()}
    made = (owned for owned in books.fills() if not owned.fill.venue_order_id)
    return {(owned.strategy, owned.fill.symbol) for owned in made if owned.fill.activity_id not in known}


def _lacking(records: Sequence[Record], old: SqliteLedger) -> list[Record]:
    """Return, as records, what a whole ledger holds of money and the journal does not: oldest first."""
    known = {(record["kind"], _identity(record)) for record in records}
    found = [_record(kind, payload, at) for kind, payload, at in old.as_journalled()]
    lacking = [record for record in found if (record["kind"], _identity(record)) not in known]
    return sorted(lacking, key=lambda record: str(record["at"]))


def _record(kind: str, payload: Any, at: str) -> Record:
    return {"seq": "of the ledger", "kind": kind, "payload": payload, "at": at}


def _identity(record: Record) -> str:
    """Return what makes a record itself: an id where it has one, else all that it says."""
    payload = record["payload"]
    if record["kind"] == "promised":
        return str(payload["intent"]["client_order_id"])
    if record["kind"] == "fill":
        return str(payload["fill"]["activity_id"])
    return json_text([payload, record["at"]])


def _doubt_of(record: Record) -> Doubt:
    return Doubt(str(record["kind"]), _identity(record), "the ledger holds it and the journal does not")


def _merged(records: Iterable[Record], lacking: list[Record]) -> Iterator[Record]:
    """Put what was lacking where its time says; halts carry a person's own time, and tell nothing of trading time."""
    waiting = deque(lacking)
    for record in records:
        while waiting and record["kind"] in TIMED and waiting[0]["at"] <= record["at"]:
            yield waiting.popleft()
        yield record
    yield from waiting


LASTING = frozenset({"opening", "promised", "fill"})
"""Kinds of which a ledger keeps every one."""
TIMED = frozenset({"promised", "settled", "abandoned", "retried", "fill", "cash_adjusted", "acknowledged"})


UNRESOLVED = frozenset({IntentState.SENT, IntentState.UNKNOWN})


def _advance(books: Replayed, old: SqliteLedger) -> None:
    """Take over how intents ended whose answer was never journalled, because that is not synced by itself."""
    known = {record.intent.client_order_id: record for record in books.intents()}
    for record in old.intents():
        name = record.intent.client_order_id
        if name in known and _is_further(record, known[name]):
            books.move_as(record)


def _is_further(record: IntentRecord, known: IntentRecord) -> bool:
    """Tell whether a ledger knows more of an intent than was journalled; one pass gives all it does the same time."""
    ended = record.state not in UNRESOLVED and known.state in UNRESOLVED
    return record.updated_at > known.updated_at or (record.updated_at == known.updated_at and ended)
