"""Handle what an interrupted `init` left behind: a folder with books but without a marker.

Unused books may be moved aside without asking. Used books are money records, so a person must decide.
"""

from contextlib import closing
from pathlib import Path

from tradebot.adapters.ledger import journal_reader
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import BARS_FOLDER, EXCHANGE, JOURNAL, LEDGER, MARKER, OWN_FILES, PLANS
from tradebot.errors import DamagedJournalError, OperatorError, TradebotError

USER_FILE = "tradebot.yaml"
BEFORE_USE = frozenset({"created", "opening", "approved", "trading_state"})
"""Kinds of journal records from before any intent or fill."""
MOVED_NAMES = (*(name for name in OWN_FILES if name != USER_FILE), EXCHANGE, PLANS, BARS_FOLDER)
"""Files that move along with unused books, including the market created for them; a person's configuration stays."""


def has_unused_books(folder: Path) -> bool:
    """Return True if a folder without a marker has unused books; raise OperatorError if its books are used or can't be
    read.
    """
    if not any((folder / name).exists() for name in (LEDGER, JOURNAL)):
        return False
    if _is_unused(folder):
        return True
    raise OperatorError(
        f"{folder} has books, but their marker {MARKER} is lost, and the books were used or can't be read. So"
        " init doesn't overwrite them.",
        f"restore {MARKER} from a copy, or keep the books elsewhere and start over: mv {folder} {folder}.lost",
    )


def _is_unused(folder: Path) -> bool:
    """Return True if nothing was ever recorded or filled in these books, as far as they can be read.

    Every intent is in the journal before it is in the ledger. So a ledger damaged by a power failure at its first
    commit was never used if its journal is intact, and vice versa.
    """
    try:
        reading = _reading(folder / JOURNAL)
    except DamagedJournalError:
        return False
    if not {record.kind for record in reading.records()} <= BEFORE_USE:
        return False
    if not _size(folder / LEDGER):
        return not reading.breaks
    try:
        with closing(SqliteLedger.open(folder, read_only=True)) as ledger:
            return not ledger.intents() and not ledger.fills()
    except TradebotError:
        return reading.last is not None and not reading.breaks


def _reading(path: Path) -> journal_reader.JournalContent:
    return journal_reader.read(path) if path.exists() else journal_reader.JournalContent(path)


def _size(path: Path) -> int:
    """Return the length of a file; a ledger is empty if its creation was interrupted before the first commit."""
    return path.stat().st_size if path.exists() else 0
