"""What the books are evidence of: ledger, journal, orders, the last comparison, and halts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradebot.model.trading import hidden_halts
from tradebot.views.health.evidence import Halts, Journal, Orders, Unread

if TYPE_CHECKING:
    from tradebot.adapters.ledger.ledger import SqliteLedger

NO_JOURNAL = "tradebot journal verify"


def books_of(ledger: "SqliteLedger", folder: Path) -> Mapping[str, Callable[[], Any]]:
    """Return how to look at each part of the books, by its name; each may raise TradebotError."""
    return {
        "ledger": lambda: ledger.file.sealed().sequence,
        "journal": lambda: _journal(ledger, folder),
        "orders": lambda: _orders(ledger),
        "books": ledger.last_reconcile,
        "halts": lambda: _halts(ledger),
    }


def _journal(ledger: "SqliteLedger", folder: Path) -> Journal | Unread:
    from tradebot.adapters.ledger.journal_reading import last_record
    from tradebot.adapters.state.state_folder import JOURNAL

    sealed, record = ledger.file.sealed(), last_record(folder / JOURNAL)
    if record is None:
        return Unread("its last record can't be read", NO_JOURNAL)
    return Journal(record.head.sequence, sealed.sequence, record.head.hash == sealed.hash)


def _orders(ledger: "SqliteLedger") -> Orders:
    unresolved = ledger.intents(unresolved=True)
    oldest = min((record.intent.at for record in unresolved), default=None)
    return Orders(ledger.file.sealed().sequence, len(unresolved), oldest)


def _halts(ledger: "SqliteLedger") -> Halts:
    from commands.shared.notes import why_in_state

    state = ledger.trading_state()
    hidden = hidden_halts(ledger.halts(), state)
    return Halts(state, why_in_state(state), tuple(halt.why for halt in hidden))
