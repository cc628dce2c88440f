"""The money records of one account in memory: what a backtest writes to, and the tests of the core."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from decimal import Decimal
from functools import partial

from tradebot.adapters.ledger.fills_and_cash import OLDEST_FIRST
from tradebot.adapters.ledger.ledger import Stores
from tradebot.adapters.ledger.rows import OrderRow
from tradebot.adapters.ledger.table import Kind, Row, Worded
from tradebot.adapters.memory.table import MemoryTable, Remembered
from tradebot.adapters.state.halt_switch import newer_halt
from tradebot.adapters.text.activity_types import meaning_if_any
from tradebot.model.account import CashMovement
from tradebot.model.intent import IntentRecord
from tradebot.model.order import Order
from tradebot.model.position import OwnedFill
from tradebot.model.totals import Totals
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.values import replace

BEGUN = TradingStateRecord(TradingState.ACTIVE, "init", "armed", None)
"""The state that books in memory begin in: there is no file that could halt them."""


class MemoryStates:
    """Whether the bot may open positions, who decided it, and since when."""

    def __init__(self) -> None:
        self._states: list[TradingStateRecord] = [BEGUN]

    def trading_state(self) -> TradingStateRecord:
        return self._states[-1]

    def set_trading_state(self, new: TradingStateRecord, over: TradingStateRecord | None = None) -> None:
        before = self.trading_state()
        if over is not None and before != over:
            raise newer_halt()
        flattens = new.state is TradingState.REDUCE_ONLY and before.state is TradingState.FLATTEN
        self._states.append(replace(new, state=before.state) if flattens else new)

    def halts(self) -> Sequence[TradingStateRecord]:
        open_last = max(place for place, one in enumerate(self._states) if one.state is TradingState.ACTIVE)
        return tuple(self._states[open_last + 1 :])

    def trading_states(self) -> Sequence[TradingStateRecord]:
        """Return all states that were written, oldest first."""
        return tuple(self._states[1:])

    def armed(self) -> bool:
        # A halt disarms, and whoever ends it arms again.
        return self.trading_state().state is TradingState.ACTIVE


AT_ONCE = nullcontext()
LEFT_OUT = 200
"""How many fills lie at least between the totals that are kept."""


class MemoryBooks:
    """Tables in memory, without a journal."""

    is_writing = False
    """Nothing is ever taken back."""

    def __init__(self, account_number: str) -> None:
        self.account_number = account_number

    def table(self, kind: Kind[Row]) -> MemoryTable[Row]:
        """Return one table."""
        return MemoryTable(kind)

    def as_written(self, row: Worded) -> Worded:
        """Return a row as it is."""
        return row

    def write(self) -> AbstractContextManager[None]:
        """Run one transaction, which nothing can interrupt."""
        return AT_ONCE

    reading = write

    def note(self, kind: str, payload: object, at: datetime) -> None:
        """Keep no journal."""

    def seal(self) -> None:
        """Keep no journal."""


class MemoryLedger(Stores, MemoryStates):
    """A ledger without a file; armed and ACTIVE from the start.

    Nothing here is durable: `saving` writes a finished run as an ordinary state folder.
    """

    def __init__(self, account_number: str) -> None:
        Stores.__init__(self, MemoryBooks(account_number))
        MemoryStates.__init__(self)
        self._remembered = Remembered()
        self._chains = Chains()
        self._last_added = 0
        self._totals = self._newer = self._older = Totals()
        """What all fills add up to, and what they did before the newest came, for one that comes late."""
        self._filled_of: dict[str, Decimal] = defaultdict(Decimal)
        """How many shares of each order have filled, unsigned."""

    def orders(self, *, working: bool = False, since: datetime | None = None) -> Sequence[Order]:
        if not working or since is not None:
            return Stores.orders(self, working=working, since=since)
        return self._remembered.of(self.tables.orders, "working", None, lambda: Stores.orders(self, working=True))

    def order_chains(self, venue_ids: Collection[str]) -> Mapping[str, Sequence[Order]]:
        orders = self.tables.orders
        assert isinstance(orders, MemoryTable), "a table in memory knows its changes"
        return self._chains.of(orders, venue_ids, partial(Stores.order_chains, self))

    def filled_quantities(self, venue_ids: Collection[str]) -> Mapping[str, Decimal]:
        self.totals()
        return {venue_id: self._filled_of[venue_id] for venue_id in venue_ids if venue_id in self._filled_of}

    def recent_intents(self, since: date) -> Sequence[IntentRecord]:
        return self._remembered.of(self.tables.intents, "recent", since, lambda: Stores.recent_intents(self, since))

    def unsettled_intents(self, since: date) -> Sequence[IntentRecord]:
        read = partial(Stores.unsettled_intents, self, since)
        return self._remembered.of(self.tables.intents, "unsettled", since, read)

    def totals(self) -> Totals:
        new = self.tables.fills.after(self._last_added)
        if new:
            self._last_added = max(new)
            for row in new.values():
                self._filled_of[row.owned.fill.venue_order_id] += row.owned.fill.quantity
            self._add(sorted((row.owned for row in new.values()), key=OLDEST_FIRST))
        return self._totals

    def _add(self, fills: Sequence[OwnedFill]) -> None:
        """Add fills to those before them; one that sorts before others is added by going back to earlier totals."""
        first = fills[0].fill.at
        if self._totals.last_at is None or self._totals.last_at <= first:
            self._totals = self._totals.after(fills)
        else:
            self._older = self._older if self._older.last_at and self._older.last_at <= first else Totals()
            self._totals = self._newer = self._older.after(self.fills()[self._older.count :])
        if self._totals.count - self._newer.count >= LEFT_OUT:
            self._older, self._newer = self._newer, self._totals

    def keep_totals(self) -> None:
        """Keep nothing: the totals are always there."""

    def cash_movements(self) -> Sequence[CashMovement]:
        return tuple(
            CashMovement(
                row.happened_at or row.at,
                row.amount,
                row.kind,
                row.origin,
                row.about,
                row.why,
                row.symbol,
                row.sub_kind,
                meaning_if_any(row.kind, row.sub_kind),
            )
            for row in self.tables.cash.after(0).values()
        )


MOST = 5_000
"""How many chains are kept at most."""


class Chains:
    """The chains that were read of a table of orders; a copy or a pickle remembers none.

    A chain follows from the rows of the orders that it names, and from the rows that say that one of these replaced
    them, so it is read again once such a row has changed.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._chains: dict[str, Sequence[Order]] = {}
        self._naming: dict[str, set[str]] = defaultdict(set)

    def __reduce__(self) -> tuple[type["Chains"], tuple[()]]:
        return Chains, ()

    def of(
        self,
        table: MemoryTable[OrderRow],
        venue_ids: Collection[str],
        read: Callable[[Collection[str]], Mapping[str, Sequence[Order]]],
    ) -> Mapping[str, Sequence[Order]]:
        """Return the chain of each of these orders of which anything is known; `read` reads chains of the table."""
        self._forget_changed(table)
        if unread := [one for one in venue_ids if one not in self._chains]:
            found = read(unread)
            for one in unread:
                self._keep(one, found.get(one, ()))
        return {one: chain for one in venue_ids if (chain := self._chains[one])}

    def _keep(self, venue_id: str, chain: Sequence[Order]) -> None:
        self._chains[venue_id] = chain
        for name in (venue_id, *(order.venue_id for order in chain), *(order.parent for order in chain)):
            if name:
                self._naming[name].add(venue_id)

    def _forget_changed(self, table: MemoryTable[OrderRow]) -> None:
        changed, self._seen = table.changes[self._seen :], table.version
        rows = [table.numbered(number) for number in changed]
        if None in rows or len(self._chains) > MOST:
            self._chains.clear()
            self._naming.clear()
        for row in filter(None, rows):
            for name in (row.order.venue_id, row.order.replaced_by):
                for one in self._naming.pop(name, ()) if name else ():
                    self._chains.pop(one, None)
