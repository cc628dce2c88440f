"""What an interrupted `init` leaves behind: a folder with books and no marker.

Books that were never used may be moved aside without a question; others need a person, because they are money records.
"""

import json
from pathlib import Path

from tradebot.adapters.ledger import SqliteLedger
from tradebot.adapters.state_folder import EXCHANGE, JOURNAL, LEDGER, MARKER, OWN_FILES, PLANS
from tradebot.errors import OperatorError, TradebotError

USER_FILE = "tradebot.yaml"
BEFORE_USE = frozenset({"created", "opening", "trading_state"})
"""Kinds of journal records that books hold before anything was promised or filled."""
MOVED = (*(name for name in OWN_FILES if name != USER_FILE), EXCHANGE, PLANS)
"""What moves with unused books: the market that was made for them goes too, a person's configuration stays."""


def found(folder: Path) -> bool:
    """Tell whether a folder without a marker holds books; OperatorError where they were used, or cannot be read."""
    if not any((folder / name).exists() for name in (LEDGER, JOURNAL)):
        return False
    if _journal_is_unused(folder / JOURNAL) and _ledger_is_unused(folder):
        return True
    raise OperatorError(
        f"{folder} holds books that were used, or that cannot be read, and their marker {MARKER} is lost: "
        "nothing is written over them.",
        f"put {MARKER} back from a copy, or keep the books elsewhere and begin anew: mv {folder} {folder}.lost",
    )


def _journal_is_unused(path: Path) -> bool:
    try:
        return all(json.loads(line)["kind"] in BEFORE_USE for line in path.read_bytes().splitlines())
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _ledger_is_unused(folder: Path) -> bool:
    """An empty file is a ledger whose making was cut short before its first commit."""
    path = folder / LEDGER
    if not path.exists() or not path.stat().st_size:
        return True
    try:
        ledger = SqliteLedger.open(folder, read_only=True)
    except TradebotError:
        return False
    unused = not ledger.intents() and not ledger.fills()
    ledger.close()
    return unused
