"""Before every pass the books are read through: nothing is decided, and nothing sent, from books that are damaged."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.recovery import quarantine
from tradebot.adapters.state import lock, state_folder, switch
from tradebot.adapters.state.state_folder import REBUILD, StateFolder
from tradebot.errors import DamagedBooksError, DamagedJournalError, ExitCode, OperatorError
from tradebot.model.event import Severity, SystemEvent
from tradebot.ports.stores import Events

WHO = "integrity"


@contextmanager
def hold(
    folder: StateFolder,
    verb: str,
    events: Events,
    books: LedgerFile | None = None,
    first: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold the folder's lock over sound books; DamagedBooksError where they are not, as `require_sound` has it.

    `books` are those of the folder, where they are open already: what they read through now they need not read again.
    `first` runs under the lock before the books are read through. If it finds them damaged, reading them says more.
    """
    with lock.hold(folder.path, verb):
        require_own(folder)
        with suppress(DamagedBooksError):
            first()
        require_sound(folder, events, books)
        yield


def require_own(folder: StateFolder) -> None:
    """Raise where the folder's marker is lost, damaged, or another's since it was opened; nothing is moved for that."""
    marked = state_folder.read_marker(folder.path)
    if (marked.id, marked.account_number) != (folder.id, folder.account_number):
        raise OperatorError(
            f"{folder.path} is the state of another bot now, of account …{marked.tail}.",
            f"end this one; tradebot status --state-dir {folder.path} shows whose it is",
            code=ExitCode.REFUSED,
        )


def require_sound(folder: StateFolder, events: Events, books: LedgerFile | None = None) -> None:
    """Read ledger and journal through; whatever does not hold halts the bot first.

    A ledger that cannot be believed is moved into the quarantine with all that belongs to it, and DamagedBooksError
    says where. A damaged journal beside a whole ledger only halts: exits go on from the ledger, as far as they can be
    journalled. TemporaryError where another process keeps the ledger locked.
    """
    try:
        problem(folder, books)
    except DamagedJournalError as damaged:
        _halt(folder, damaged.message, events)
    except DamagedBooksError as damaged:
        _halt(folder, damaged.message, events)
        place = quarantine.move(folder.path, "damaged", datetime.now(UTC))
        moved = f" All of it was moved to {place}." if place else ""
        raise DamagedBooksError(f"{damaged.message}{moved}", REBUILD) from damaged


def problem(folder: StateFolder, books: LedgerFile | None = None) -> None:
    """Raise what is wrong with the books, if anything: DamagedBooksError, or another OperatorError for foreign ones."""
    if books is not None and books.in_place:
        books.check()
        return
    with closing(LedgerFile.open(folder.path, folder.account_number, read_only=True)) as found:
        found.check()


def _halt(folder: StateFolder, why: str, events: Events) -> None:
    """Close entries; a halt that is in force already keeps its own reason."""
    now = datetime.now(UTC)
    if switch.read(folder.path).state == "ACTIVE":
        switch.halt(folder.path, WHO, why, now, "REDUCE_ONLY")
        events.emit(SystemEvent(now, "ledger", "damaged", Severity.CRITICAL, None, {"found": why}))
