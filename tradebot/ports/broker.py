"""What we ask of a broker: reads, orders, prices, and the lock that orders are sent under."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Protocol

from tradebot.model.account import Account, BrokerPosition, BrokerView
from tradebot.model.activity import Activity
from tradebot.model.bar import Quote, Session, VenueClock
from tradebot.model.intent import Intent
from tradebot.model.order import Fill, Order, OrdersTold, Reply


class BrokerReader(Protocol):
    """Reads of the venue. Raises TemporaryError when it does not answer, OperatorError on refused keys."""

    def clock(self) -> VenueClock:
        """Return the venue's time and session."""

    def account(self) -> Account:
        """Return the account figures."""

    def view(self) -> BrokerView:
        """Return account, positions and open orders, read together; `steady` tells whether ours held still."""

    def position(self, symbol: str) -> BrokerPosition | None:
        """Return the venue's position in one symbol, asked for directly; None where the venue says it holds none."""

    def order(self, client_order_id: str) -> Order | None:
        """Return the order of this id; None where the venue does not know it, which is no proof by itself."""

    def follower(self, venue_id: str) -> Order | None:
        """Return the order of the venue's own id, as one that replaced another is named; None where there is none."""

    def ended(self, since: datetime) -> Sequence[Order]:
        """Return orders submitted from `since` on that are open no more, oldest first; very many are cut off."""

    def orders_of(self, symbols: Sequence[str]) -> OrdersTold:
        """Return the orders of these symbols, open or not, of any age, newest first; very many are cut off."""

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        """Return executions later than `after` (all where None), oldest first, each once."""

    @property
    def unreadable_fills(self) -> int:
        """Return how many rows of the last answer of `fills` could not be read, and are not in it."""

    def activities(self, after: datetime) -> Sequence[Activity]:
        """Return what changed the account later than `after` and was no execution, oldest first, each once."""

    def calendar(self, start: date, end: date) -> Sequence[Session]:
        """Return the venue's sessions from `start` to `end`, both included."""


class OrderPort(Protocol):
    """Writes to the venue: one request per call, never repeated by the adapter, never raising on an answer."""

    def submit(self, intent: Intent) -> Reply:
        """Send one order; anything but a clear yes or no is Outcome.UNKNOWN."""

    def replace(self, intent: Intent) -> Reply:
        """Ask the venue for `intent.target_venue_id` at another price; a yes is the order that takes its place."""

    def cancel(self, intent: Intent) -> Reply:
        """Ask the venue to end `intent.target_venue_id`; an order already done counts as accepted."""


class SendLock(Protocol):
    """What `halt` waits for: no order that adds risk begins unless its sender looked at the state under this lock."""

    def hold(self, intent: Intent) -> AbstractContextManager[None]:
        """Hold the lock while one order is promised and sent; TradebotError where another order keeps it."""


class Market(Protocol):
    """Prices."""

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest quote of each symbol that has a usable one; the others are absent."""

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Ask once more, after a moment of a real venue's time and for at most five seconds of it; see `quotes`."""

    @property
    def rejected_quotes(self) -> Mapping[str, str]:
        """Return why symbols are absent from the last answer of `quotes`, by symbol."""
