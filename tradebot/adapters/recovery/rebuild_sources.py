"""Find the sources of new books: the most complete journal and ledger, wherever they are.

For books of several years, checking each takes seconds. So while this process checks the journal, a second process
(this module, run as a program) copies and checks the ledger. It exits with 0 only if the copy is complete; otherwise
the copy isn't used, and the caller reads the ledger itself.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct, field

from tradebot.adapters.ledger import journal_reader
from tradebot.adapters.ledger.journal import JournalRecord
from tradebot.adapters.ledger.journal_reader import JournalContent
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.rebuild_records import AS_JOURNALED, JournalRow
from tradebot.adapters.ledger.schema import copy_database
from tradebot.adapters.recovery import backups, quarantine
from tradebot.adapters.recovery.backups import BackupPoint
from tradebot.adapters.state.safe_open import is_plain
from tradebot.adapters.state.state_folder import BACKUPS, JOURNAL, LEDGER, StateFolder
from tradebot.errors import TradebotError

LARGE = 32 << 20
"""Copying a ledger below this size in bytes takes less time than starting a process."""
NEEDED = ("LD_LIBRARY_PATH", "PATH", "TMPDIR")
"""The environment variables that the second process gets; the others may hold keys."""


class CheckedCopy:
    """A copy of the ledger in `folder` that is being written to the folder `target`."""

    def __init__(self, folder: Path, target: Path, process: "subprocess.Popen[bytes]") -> None:
        self.place = folder
        self.target = target
        self._process = process

    def is_whole(self) -> bool:
        """Wait for the copy; return True if it is complete and intact."""
        return self._process.wait() == 0


@contextmanager
def start_copy(path: Path, root: Path) -> Iterator[CheckedCopy | None]:
    """Start copying the ledger in `path` to a folder below `root`, in a separate process.

    When the block ends, the process is ended and the folder removed. Yield None if the ledger is small or no process
    could be started.
    """
    if not root.is_dir() or backups.ledger_size(path) < LARGE:
        yield None
        return
    with backups.scratch(root) as target:
        command = [sys.executable, "-P", "-m", __name__, str(path.absolute()), str(target.absolute())]
        environ = {name: os.environ[name] for name in NEEDED if name in os.environ}
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        nothing = subprocess.DEVNULL
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=nothing, stdout=nothing, stderr=nothing, env=environ
            )
        except OSError:
            yield None
            return
        try:
            yield CheckedCopy(path, target, process)
        finally:
            process.kill()
            process.wait()


def make(folder: Path, target: Path) -> None:
    """Copy the ledger in `folder` into the folder `target`; raise if it is damaged."""
    if backups.in_parts(folder):
        # The digest shows that this is the copy that was read when the backup was made.
        backups.assemble(folder, LEDGER, target)
        return
    copy_database(folder / LEDGER, target / LEDGER)
    with closing(SqliteLedger.open(target, read_only=True)) as copy:
        copy.file.check_pages()


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))


LASTING = frozenset({"opening", "promised", "fill"})
"""Kinds of records that a ledger never deletes."""
OF_AN_INTENT = re.compile(rb'"client_order_id":"([^"]*)"')
NAMED = {
    "promised": OF_AN_INTENT,
    "settled": OF_AN_INTENT,
    "abandoned": OF_AN_INTENT,
    "retried": OF_AN_INTENT,
    "fill": re.compile(rb'"activity_id":"([^"]*)"'),
}
"""Patterns for the id in payloads of the kinds that have one."""
KINDS = tuple(AS_JOURNALED)


class Doubt(NamedTuple):
    """Something that couldn't be proven: its kind, its location, and why."""

    what: str
    where: str
    why: str


class RowPlace(NamedTuple):
    """A row's position in a ledger, sortable by time; `rank` is the index of its kind in `KINDS`."""

    at: str
    rank: int
    sequence: int


class LedgerComparison(NamedTuple):
    """The result of comparing a journal with a ledger.

    It has the records that the ledger lacks, oldest first, and the digests of those that the journal lacks. `lasting`
    is True if the ledger lacks a record of a kind that ledgers never delete.
    """

    lacking: list[RowPlace]
    missing: frozenset[bytes]
    lasting: bool


class Sources(Struct):
    """The sources of new books; each is a folder, or None if nothing intact was found.

    `reading` is the content of the journal. `known_hashes` has the hashes of journal ends and ledger seals that this
    account's journals contain: a ledger with any other seal comes from elsewhere. `generation` is the highest number of
    rebuilds recorded in a journal, because the last rebuild's journal is the newest. `copies` maps a source and a file
    name to the folder with the assembled file. `compared` compares a folder's journal with its ledger, if that was
    needed. `money_digests` has what `digests_of` returned for the journal, if its chain is intact and they were needed.
    """

    journal: Path | None = None
    reading: JournalContent | None = None
    ledger: Path | None = None
    doubts: list[Doubt] = field(default_factory=list)
    known_hashes: set[str] = field(default_factory=set)
    generation: int = 0
    copies: dict[tuple[Path, str], Path] = field(default_factory=dict)
    compared: dict[Path, LedgerComparison] = field(default_factory=dict)
    money_digests: Mapping[bytes, bool] | None = None

    @property
    def approval_unsure(self) -> bool:
        """Return True if the latest approved configuration may be lost, because only backups or a damaged journal
        remain.
        """
        made_of = [path for path in (self.journal, self.ledger) if path is not None]
        of_backups = bool(made_of) and all(path.parent.name == BACKUPS for path in made_of)
        of_ledger = self.ledger is not None and self.ledger.parent.name != BACKUPS
        return of_backups or (not of_ledger and self.reading is not None and not self.reading.sound_alone)

    @property
    def last(self) -> JournalRecord | None:
        """Return the last record of the journal."""
        return self.reading.last if self.reading else None

    def records(self, after: int = 0) -> Iterator[JournalRecord]:
        """Yield the records of the journal with numbers above `after`."""
        return self.reading.records(after=after) if self.reading else iter(())


def find(folder: StateFolder, opened: ExitStack, only: Path | None = None) -> Sources:
    """Find the most complete journal and ledger, in the folder, its quarantine and its backups.

    A source is skipped if another source that was read contains all of it, or if it is older than an intact source.
    Files assembled for the search are removed when `opened` is closed.
    """
    places = [folder.path, *quarantine.places(folder.path), *backups.places(folder.path)]
    sources = Sources()
    ends = {path: end for path in places if (end := _end(sources, path, only))}
    ledgers = [path for path, end in ends.items() if end.newest and only in (None, path)]
    ledgers.sort(key=lambda index: ends[index].newest, reverse=True)
    # While the newest ledger is being copied, this process reads the journals.
    copy = opened.enter_context(start_copy(ledgers[0], folder.path / BACKUPS)) if ledgers else None
    _find_journal(sources, opened, ends, folder, only)
    _find_ledger(sources, opened, ledgers, copy, folder)
    return sources


def _end(sources: Sources, path: Path, only: Path | None) -> BackupPoint | None:
    """Return how far a folder's books reach, None if it has none; for a damaged ledger, according to its journal."""
    try:
        return backups.end(path)
    except TradebotError as damaged:
        if only in (None, path):
            sources.doubts.append(Doubt("ledger", str(path / LEDGER), damaged.message))
        return BackupPoint(journal_reader.last_hash(path / JOURNAL), None, "")


def _copy(sources: Sources, opened: ExitStack, path: Path, file: str) -> Path:
    """Return a folder with an intact file of a source; if it isn't intact, record a doubt."""
    if (path, file) not in sources.copies:
        lost = list[str]()
        sources.copies[path, file] = opened.enter_context(backups.assembled_backup(path, (file,), lost))
        sources.doubts += [Doubt("backup", str(path), why) for why in lost]
    return sources.copies[path, file]


def _find_journal(
    sources: Sources, opened: ExitStack, ends: Mapping[Path, BackupPoint], folder: StateFolder, only: Path | None
) -> None:
    best, wanted = (-1, 0), frozenset(hash_ for end in ends.values() for hash_ in (end.last, end.sealed) if hash_)
    for path, end in ends.items():
        if end.last in sources.known_hashes and path != only:
            # Another journal contains all of its records, because each record has the previous one's hash.
            continue
        # A backup's journal usually ends before its ledger, and is then compared with it.
        lineage = Lineage(folder.account_number, digesting=path != folder.path)
        if only not in (None, path):
            # Nothing is taken from it, but it may show rebuilds that the chosen source doesn't know.
            for record in journal_reader.rebuilds(path / JOURNAL):
                lineage.add(record)
            sources.generation = max(sources.generation, lineage.generation)
            continue
        reading = _reading(sources, opened, path, wanted, lineage)
        if reading is None or not lineage.ours:
            if reading is not None:
                sources.doubts.append(Doubt("journal", str(path / JOURNAL), "it has no record of this account"))
            continue
        sources.known_hashes |= reading.found_hashes
        sources.generation = max(sources.generation, lineage.generation)
        if (lineage.generation, reading.whole) > best:
            best, sources.journal, sources.reading = (lineage.generation, reading.whole), path, reading
            sources.money_digests = None if reading.breaks else lineage.money_digests
    sources.doubts += _breaks(sources) or []


def _breaks(sources: Sources) -> list[Doubt]:
    if sources.journal is None or sources.reading is None:
        return [Doubt("journal", JOURNAL, "no readable journal was found")]
    where = sources.journal / JOURNAL
    return [Doubt("record", f"{where}:{line.number}", line.problem) for line in sources.reading.breaks]


def _reading(
    sources: Sources, opened: ExitStack, folder: Path, wanted: frozenset[str], lineage: "Lineage"
) -> JournalContent | None:
    """Read a source's journal completely; None if there is none or it can't be assembled."""
    try:
        path = _copy(sources, opened, folder, JOURNAL) / JOURNAL
        return journal_reader.read(path, wanted=wanted, each=lineage.add) if is_plain(path) else None
    except TradebotError as damaged:
        sources.doubts.append(Doubt("journal", str(folder / JOURNAL), damaged.message))
        return None


class Lineage:
    """Finds out from a journal's records whether it belongs to our account, and how many rebuilds it records.

    The first record names the account. If that record is lost, any recorded intent does.
    """

    def __init__(self, account: str, digesting: bool = False) -> None:
        self.ours: bool | None = None
        self.generation = 0
        self.money_digests: dict[bytes, bool] | None = {} if digesting else None
        self._account = account

    def add(self, record: JournalRecord) -> None:
        """Learn from the journal's next record."""
        if self.money_digests is not None and record.kind in AS_JOURNALED:
            self.money_digests[identity(record)] = record.kind in LASTING
        if record.kind == "rebuilt":
            self.generation = max(self.generation, int(json.loads(record.payload)["generation"]))
        elif record.kind == "created" and record.head.sequence == 1:
            self.ours = json.loads(record.payload)["account"] == self._account
        elif self.ours is None and record.kind == "promised":
            self.ours = json.loads(record.payload)["intent"]["key"]["account"] == self._account or None


def _find_ledger(
    sources: Sources, opened: ExitStack, places: Iterable[Path], copy: CheckedCopy | None, folder: StateFolder
) -> None:
    """Choose the first intact ledger that belongs to one of the journals; one may be copied already."""
    for path in places:
        try:
            checked = copy if copy and copy.place == path and copy.is_whole() else None
            if checked:
                sources.copies[path, LEDGER] = checked.target
            with closing(
                SqliteLedger.open(_copy(sources, opened, path, LEDGER), folder.account_number, read_only=True)
            ) as ledger:
                # A file assembled from parts equals, byte for byte, the one read at backup time.
                if not checked and not backups.in_parts(path):
                    ledger.file.check_pages()
                related = _is_related(ledger, sources)
        except TradebotError as damaged:
            # Name an assembled copy by its source.
            message = damaged.message.replace(str(sources.copies.get((path, LEDGER), path)), str(path))
            sources.doubts.append(Doubt("ledger", str(path / LEDGER), message))
            continue
        if related:
            sources.ledger = path
            return
        sources.doubts.append(Doubt("ledger", str(path / LEDGER), "it doesn't belong to any of the journals"))
    lost = (
        "no intact ledger was found, so claimed slots, the best prices of trailing stops and the highest equity "
        "start over"
    )
    sources.doubts.append(Doubt("ledger", str(folder.path / LEDGER), lost))


def _is_related(ledger: SqliteLedger, sources: Sources) -> bool:
    """Return True if a ledger belongs to a journal:

    the journal has its last record, or it has all of a shortened journal.
    """
    seal = ledger.file.sealed_head()
    if sources.last is None or seal.hash in sources.known_hashes:
        return True
    if sources.last.head.sequence >= seal.sequence:
        return False
    sources.compared[ledger.file.folder] = compared = compare(sources, ledger)
    return not compared.lasting


def compare(sources: Sources, ledger: SqliteLedger) -> "LedgerComparison":
    """Compare each money record with the rows of an intact ledger, by identity."""
    digests = sources.money_digests
    missing = dict(digests if digests is not None else digests_of(sources.records()))
    lacking = list[RowPlace]()
    for row in ledger.upkeep.identities():
        if missing.pop(digest(row.kind, row.words), None) is None:
            lacking.append(RowPlace(row.at, KINDS.index(row.kind), row.sequence))
    return LedgerComparison(sorted(lacking), frozenset(missing), any(missing.values()))


def digests_of(records: Iterable[JournalRecord]) -> dict[bytes, bool]:
    """Return the digests of the money records, each with a flag: True if ledgers never delete records of its kind."""
    return {identity(record): record.kind in LASTING for record in records if record.kind in AS_JOURNALED}


def identity(record: JournalRecord, kind: str | None = None) -> bytes:
    """Return a digest of a record's kind (or of `kind` instead) and its identity."""
    return digest(kind or record.kind, words_of(record))


def words_of(record: JournalRecord | JournalRow) -> bytes:
    """Return a record's id if it has one, otherwise its whole content with its time."""
    named = NAMED[record.kind].search(record.payload) if record.kind in NAMED else None
    return named[1] if named else record.payload + record.at.encode()


def digest(kind: str, words: bytes) -> bytes:
    """Compute a record's digest, which is short to save memory."""
    return hashlib.blake2b(b"%s %s" % (kind.encode(), words), digest_size=16).digest()
