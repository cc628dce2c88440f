"""The money records of one broker account: stores that share one ledger file, with the journal beside it."""

from datetime import datetime
from pathlib import Path

from tradebot.adapters.ledger import bodies
from tradebot.adapters.ledger import orders as order_rows
from tradebot.adapters.ledger.arming import Armings
from tradebot.adapters.ledger.baseline import Baselines
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.foreign import Foreign
from tradebot.adapters.ledger.history import History
from tradebot.adapters.ledger.money import Money
from tradebot.adapters.ledger.orders import Orders
from tradebot.adapters.ledger.passes import Passes
from tradebot.adapters.ledger.past import Past
from tradebot.adapters.ledger.schema import BUSY_TIMEOUT_S
from tradebot.adapters.ledger.states import TradingStates
from tradebot.adapters.ledger.tallies import Tallies
from tradebot.adapters.ledger.totals import FillTotals
from tradebot.adapters.ledger.trade_notes import TradeNotes
from tradebot.adapters.ledger.upkeep import Upkeep
from tradebot.errors import TradebotError


class SqliteLedger:
    """The ledger of a state folder; writers hold the folder's lock, readers need none.

    It has one store per kind of record, and all of them share one open file. The methods of the `Ledger` port are
    also attributes here; other callers use the stores.
    """

    def __init__(self, file: LedgerFile) -> None:
        self.file = file
        self.account_number = file.account_number
        self.close = file.close
        self.money = money = Money(file, foreign := Foreign(file))
        self.order_rows = orders = Orders(file)
        totals = FillTotals(file)
        self.tallies = Tallies(file)
        self.armings = Armings(file)
        self.baselines = Baselines(file)
        self.history = History(file)
        self.upkeep = Upkeep(file)
        passes, states = Passes(file), TradingStates(file)
        self.opening_cash = money.opening_cash
        self.open_books = money.open_books
        self.books_opened_at = money.books_opened_at
        self.standing = money.standing
        self.apply_fills = money.apply_fills
        self.fills = money.fills
        self.totals = totals.totals
        self.keep_totals = totals.keep_totals
        self.fills_with_others = money.fills_with_others
        self.known_fills = money.known_fills
        self.filled_quantities = money.filled_quantities
        self.last_reported_fill = money.last_reported_fill
        self.adjust_cash = money.adjust_cash
        self.cash_adjustments = money.cash_adjustments
        self.book = money.book
        self.booked = money.booked
        self.kept = money.kept
        self.put_marks = money.put_marks
        self.equity_peak = money.equity_peak
        self.put_equity_peak = money.put_equity_peak
        self._offer_orders(orders)
        self._offer_past(Past(file), TradeNotes(file))
        self.claim_slot = passes.claim_slot
        self.slot_claims = passes.slot_claims
        self.last_claim = passes.last_claim
        self.miss_slots = passes.miss_slots
        self.sessions = passes.sessions
        self.put_sessions = passes.put_sessions
        self.mark_reconciled = passes.mark_reconciled
        self.last_reconcile = passes.last_reconcile
        self.trading_state = states.trading_state
        self.set_trading_state = states.set_trading_state
        self.halts = states.halts
        self.armed = states.armed
        self.acknowledge = foreign.acknowledge
        self.acknowledged = foreign.acknowledged
        self.acknowledged_since = foreign.acknowledged_since

    def _offer_orders(self, orders: Orders) -> None:
        """Offer what the port asks of intents and orders."""
        self.promise = orders.promise
        self.settle = orders.settle
        self.retry = orders.retry
        self.abandon = orders.abandon
        self.intents = orders.intents
        self.intent = orders.intent
        self.last_acknowledged = orders.last_acknowledged
        self.apply_orders = orders.apply_orders
        self.orders = orders.orders
        self.order_chains = orders.order_chains
        self.promised = orders.promised
        self.recent_orders = orders.recent_orders
        self.recent_intents = orders.recent_intents
        self.unsettled_intents = orders.unsettled_intents

    def _offer_past(self, past: Past, notes: TradeNotes) -> None:
        """Offer what performance is computed from."""
        self.past = past
        self.cash_movements = past.cash_movements
        self.note_trade, self.change_note = notes.note_trade, notes.change_note
        self.trade_notes = notes.trade_notes

    @staticmethod
    def forget() -> None:
        """Let go of rows that were parsed before; what a pass asks for is parsed again.

        A process that runs for months would otherwise keep thousands that no pass asks for any more.
        """
        bodies.forget()
        order_rows.forget()

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
