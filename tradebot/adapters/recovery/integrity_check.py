"""Check the books before every pass, so that nothing is decided or sent from damaged books.

SQLite's own check covers the ledger's pages, and each row's checksum covers its content (`ledger/integrity.py`). The
journal is covered by its hash chain. A seal ties ledger and journal together, so that an older or foreign ledger is
noticed. Every write checks the seal again. If another process has written, it also checks the journal after the sealed
record. So nothing is ever added to a ledger and a journal that don't belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.integrity import IntegrityCache
from tradebot.adapters.recovery import quarantine
from tradebot.adapters.state import folder_identity, halt_switch, state_folder, state_locks
from tradebot.adapters.state.evidence import trading
from tradebot.adapters.state.state_folder import FACTS, REBUILD, StateFolder
from tradebot.errors import DamagedBooksError, DamagedJournalError, ExitCode, OperatorError, TradebotError
from tradebot.model.event import EventKind

if TYPE_CHECKING:
    from tradebot.ports.stores import Events

WHO = "integrity"


@contextmanager
def hold(
    folder: StateFolder,
    verb: str,
    events: Events,
    books: Callable[[], LedgerFile | None] = lambda: None,
    first: Callable[[], None] = lambda: None,
    *,
    ahead: bool = False,
    gives_way: bool = False,
    wait_s: float = state_locks.WAIT_S,
) -> Iterator[None]:
    """Check the ledger and hold the folder's lock inside the block; raise DamagedBooksError like `require_sound`.

    `books` returns the folder's books if they are open. It is called again at the end, because a process's first pass
    opens them inside the block. `first` runs under the lock before the check. If `first` finds damage, the check finds
    out the details. `ahead`, `gives_way` and `wait_s` mean the same as in `state_locks.hold`. Raise OperatorError for a
    finished backtest's folder.
    """
    with state_locks.hold(trading(folder).path, verb, wait_s, ahead=ahead, gives_way=gives_way):
        require_own(folder)
        folder_identity.note_place(folder)
        with suppress(DamagedBooksError):
            first()
        require_sound(folder, events, books())
        try:
            with _Suspicion(folder, events, books):
                yield
        finally:
            # Do this before releasing the lock: otherwise the next process would have to read all of the books.
            if (used := books()) is not None:
                used.keep_custody()


class _Suspicion(Struct, frozen=True):
    """Check the books again if the block ends with an error that damaged books could have caused.

    With damaged books anything may fail, because the values read aren't those that were written. If the books are
    intact, the error continues unchanged.
    """

    folder: StateFolder
    events: Events
    books: Callable[[], LedgerFile | None]

    def __enter__(self) -> None:
        """Suspect nothing yet."""

    def __exit__(self, _kind: object, fault: BaseException | None, _trace: object) -> None:
        """Halt and raise DamagedBooksError if the books caused the error."""
        of_books = isinstance(fault, DamagedBooksError) and not isinstance(fault, DamagedJournalError)
        if of_books or is_fault(fault):
            look_again(self.folder, self.events, self.books())


def is_fault(error: BaseException | None) -> bool:
    """Return True for an unintended error: a bug, but not a system error or a signal."""
    return isinstance(error, Exception) and not isinstance(error, TradebotError | OSError)


def require_own(folder: StateFolder) -> None:
    """Raise an error if the folder's marker was lost or replaced since it was opened; in that case nothing is moved."""
    marked = folder_identity.load_marker(folder.path)
    if (marked.id, marked.account_number) != (folder.id, folder.account_number):
        raise OperatorError(
            f"{folder.path} now holds the state of another bot, for account …{marked.tail}.",
            f"stop this bot; tradebot status {state_folder.option(folder.path)} shows the other one",
            code=ExitCode.REFUSED,
        )


def require_sound(folder: StateFolder, events: Events, books: LedgerFile | None = None) -> None:
    """Check ledger and journal like `LedgerFile.check`; halt the bot if either is damaged.

    A ledger that can't be trusted is moved to the quarantine with everything that belongs to it, and DamagedBooksError
    says where. If only the journal is damaged, nothing is raised: exits continue from the ledger as long as they can be
    journaled. Raise TemporaryError if another process keeps the ledger locked.
    """
    try:
        problem(folder, books)
    except DamagedJournalError as error:
        _halt(folder, error.message, events)
    except DamagedBooksError as error:
        _halt(folder, error.message, events)
        path = quarantine.move(folder.path, "damaged", datetime.now(UTC))
        moved = f" All of it was moved to {path}." if path else ""
        raise DamagedBooksError(f"{error.message}{moved}", REBUILD) from error


def look_again(folder: StateFolder, events: Events, books: LedgerFile | None) -> None:
    """Read the books completely because damage was found during work; raise like `require_sound`.

    Books that were removed or replaced while open are left to the next pass, because a person may be working on them.
    """
    if books is None:
        IntegrityCache(folder.path).revoke()
    elif books.in_place:
        books.distrust()
    else:
        return
    require_sound(folder, events, books)


def blame(folder: StateFolder) -> TradebotError | None:
    """Read the ledger, the journal and the facts, and return the error of the first that is damaged.

    Return None if all are intact; the error being handled must then be a bug. Return None as well if they can't be read
    now.
    """
    from tradebot.adapters.facts import schema as facts_schema

    try:
        with closing(LedgerFile.open(folder.path, folder.account_number, read_only=True)) as books:
            books.check_pages()
            books.check_journal()
        if (folder.path / FACTS).exists():
            facts_schema.check(folder.path / FACTS, pages=True)
    except OperatorError as damaged:
        return damaged
    except TradebotError:
        return None
    return None


def problem(folder: StateFolder, books: LedgerFile | None = None) -> None:
    """Raise DamagedBooksError for damaged books, or OperatorError if they belong to another bot."""
    if books is not None and books.in_place:
        books.check()
        return
    with closing(LedgerFile.open(folder.path, folder.account_number, read_only=True)) as books_now:
        books_now.check()


def _halt(folder: StateFolder, why: str, events: Events) -> None:
    """Block entries; an earlier halt keeps its reason."""
    now = datetime.now(UTC)
    if halt_switch.read(folder.path).state == "ACTIVE":
        halt_switch.halt(folder.path, WHO, why, now, "REDUCE_ONLY")
        events.emit(EventKind.LEDGER_DAMAGED.at(now, {"found": why}))
