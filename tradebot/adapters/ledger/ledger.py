"""The money records of one broker account: stores that share their tables, in a file with its journal or in memory."""

from datetime import date, datetime
from pathlib import Path

from tradebot.adapters.ledger import bodies, tables
from tradebot.adapters.ledger.arming import Armings
from tradebot.adapters.ledger.baseline import Baselines
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.history import History
from tradebot.adapters.ledger.money import Money
from tradebot.adapters.ledger.orders import Orders
from tradebot.adapters.ledger.passes import Passes
from tradebot.adapters.ledger.past import Past
from tradebot.adapters.ledger.schema import BUSY_TIMEOUT_S
from tradebot.adapters.ledger.states import TradingStates
from tradebot.adapters.ledger.table import Books
from tradebot.adapters.ledger.tables import Tables
from tradebot.adapters.ledger.tallies import Tallies
from tradebot.adapters.ledger.totals import FillTotals
from tradebot.adapters.ledger.trade_notes import TradeNotes
from tradebot.adapters.ledger.upkeep import Upkeep
from tradebot.adapters.text.canonical import parse_time
from tradebot.errors import TradebotError
from tradebot.model.trading import SlotClaim

LAST_CLAIM = """SELECT session, slot, holder, at FROM slots WHERE account = ? AND job = ?
    ORDER BY session DESC, at DESC LIMIT 1"""


class Stores(Orders, Money, Passes, TradeNotes):
    """What the ledgers of files and of backtests share: all but the trading state, and what fills add up to."""

    def __init__(self, books: Books) -> None:
        Money.__init__(self)
        self.tables = Tables(books)
        self.account_number = books.account_number


class SqliteLedger(Stores, TradingStates, FillTotals):
    """The ledger of a state folder; writers hold the folder's lock, readers need none."""

    def __init__(self, file: LedgerFile) -> None:
        Stores.__init__(self, file)
        TradingStates.__init__(self, file)
        self.file = file
        self.close = file.close
        self.past = Past(file)
        self.tallies = Tallies(file)
        self.armings = Armings(file)
        self.baselines = Baselines(file)
        self.history = History(file)
        self.upkeep = Upkeep(file)
        self.cash_movements = self.past.cash_movements

    def last_claim(self, job: str) -> SlotClaim | None:
        """Return the claim of a job that was made last in the latest session of any; None if there is none."""
        found = self.file.row(LAST_CLAIM, (job,))
        if found is None:
            return None
        session, slot, by, at = found
        return SlotClaim(job, date.fromisoformat(session), slot, by, parse_time(at), won=False)

    @staticmethod
    def forget() -> None:
        """Let go of rows that were parsed before; what a pass asks for is parsed again.

        A process that runs for months would otherwise keep thousands that no pass asks for any more.
        """
        bodies.forget()
        tables.forget()

    @classmethod
    def open(
        cls,
        folder: Path,
        account_number: str | None = None,
        *,
        read_only: bool = False,
        patience_s: float = BUSY_TIMEOUT_S,
    ) -> "SqliteLedger":
        """Open the books; raise OperatorError if they are damaged or belong to another account."""
        return cls(LedgerFile.open(folder, account_number, read_only=read_only, patience_s=patience_s))

    @classmethod
    def view(cls, folder: Path, account_number: str) -> "SqliteLedger":
        """Open the books read-only; raise as `open` and `LedgerFile.glance` do."""
        books = cls.open(folder, account_number, read_only=True)
        try:
            books.file.glance()
        except TradebotError:
            books.close()
            raise
        return books

    @classmethod
    def create(cls, folder: Path, account_number: str, at: datetime) -> "SqliteLedger":
        """Create the books of one account; raise OperatorError if there is a ledger or a journal already."""
        return cls(LedgerFile.create(folder, account_number, at))
