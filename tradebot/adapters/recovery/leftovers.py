"""What an interrupted `init` leaves behind: a folder with books and no marker.

Books that were never used may be moved aside without a question; others need a person, because they are money records.
"""

from contextlib import closing
from pathlib import Path

from tradebot.adapters.ledger import journal_reading
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import EXCHANGE, JOURNAL, LEDGER, MARKER, OWN_FILES, PLANS
from tradebot.errors import DamagedJournalError, OperatorError, TradebotError

USER_FILE = "tradebot.yaml"
BEFORE_USE = frozenset({"created", "opening", "approved", "trading_state"})
"""Kinds of journal records that books hold before anything was promised or filled."""
MOVED = (*(name for name in OWN_FILES if name != USER_FILE), EXCHANGE, PLANS)
"""What moves with unused books: the market that was made for them goes too, a person's configuration stays."""


def found(folder: Path) -> bool:
    """Tell whether a folder without a marker holds books; OperatorError where they were used, or cannot be read."""
    if not any((folder / name).exists() for name in (LEDGER, JOURNAL)):
        return False
    if _unused(folder):
        return True
    raise OperatorError(
        f"{folder} holds books that were used, or that cannot be read, and their marker {MARKER} is lost: "
        "nothing is written over them.",
        f"put {MARKER} back from a copy, or keep the books elsewhere and begin anew: mv {folder} {folder}.lost",
    )


def _unused(folder: Path) -> bool:
    """Tell whether nothing was ever promised or filled in these books, as far as they can be read.

    Each promise is in the journal before the ledger knows it. So a ledger whose first commit a power failure has left
    in pieces was never used where its journal is whole, and a journal in pieces was not where the ledger is whole.
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


def _reading(path: Path) -> journal_reading.Reading:
    return journal_reading.read(path) if path.exists() else journal_reading.Reading(path)


def _size(path: Path) -> int:
    """Return how long a file is; an empty ledger is one whose making was cut short before its first commit."""
    return path.stat().st_size if path.exists() else 0
