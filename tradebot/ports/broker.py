"""Ports to a broker: reads, orders, prices, and the lock under which orders are sent."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Protocol

from tradebot.model.account import Account, Activity, BrokerPosition, BrokerView
from tradebot.model.bar import Depth, Quote, Session, VenueClock
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent
from tradebot.model.order import Fill, Order, OrdersTold, Reply
from tradebot.model.venue import Capabilities, Proof

Undisturbed = Callable[[], AbstractContextManager[None]]
"""Opens a block in which a pass doesn't give way to exits."""


class Bell(Protocol):
    """Rings when a venue tells that something has happened in the account; what has happened, only the reader says."""

    def rang(self) -> bool:
        """Return True if it has rung since the last call, without waiting."""

    def problem(self) -> str:
        """Return why it can't ring at the moment, in plain words; empty if it can."""

    def close(self) -> None:
        """Stop listening."""


class BrokerReader(Protocol):
    """Reads from the venue. They raise TemporaryError if it doesn't answer and OperatorError if it refuses the keys."""

    @property
    def capabilities(self) -> Capabilities:
        """Return what the venue can do; this asks nobody."""

    def clock(self) -> VenueClock:
        """Return the venue's time and session."""

    def account(self) -> Account:
        """Return the account figures."""

    def view(self) -> BrokerView:
        """Return account, positions and open orders, read together; `steady` is False if our orders kept changing."""

    def position(self, symbol: str) -> BrokerPosition | None:
        """Ask the venue directly for its position in one symbol; return None if it says there is none."""

    def order(self, client_order_id: str) -> Order | None:
        """Return the order with this id, wherever the venue keeps it; None proves nothing by itself.

        If several orders have the id, it is the newest.
        """

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        """Return what can be proven about a request of ours without a known outcome.

        `intent.at` is when it was last sent, `sessions` are those stored around that time and now, and `now` has passed
        by every clock. A change of date proves nothing.
        """

    def has_outlived(self, order: Order, sessions: Sequence[Session], now: datetime) -> str:
        """Return the evidence that an order the venue no longer lists can't fill any more by its own life.

        It is empty if there is none. The rest is as for `end_of`, but this asks nobody.
        """

    def follower(self, venue_id: str) -> Order | None:
        """Return the order with this venue id, which is how a replacement order is named; None if there is none."""

    def legs(self, venue_id: str) -> Sequence[Order]:
        """Return the legs of the order with this venue id, open or ended; none if the venue doesn't know the order."""

    def ended(self, since: datetime) -> Sequence[Order]:
        """Return orders submitted at or after `since` that have ended, oldest first; a very long list is cut off."""

    def orders_of(self, symbols: Sequence[str]) -> OrdersTold:
        """Return all orders in these symbols, open or not, newest first; a very long list is cut off."""

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        """Return executions later than `after` (None: all), oldest first, each once."""

    @property
    def unreadable_fills(self) -> int:
        """Return how many rows the last call of `fills` left out because we couldn't parse them."""

    def activities(self, after: datetime) -> Sequence[Activity]:
        """Return account activities other than executions later than `after`, oldest first, each once."""

    def calendar(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        """Return sessions from `start` through `end`: the venue's, or those of another calendar that it lists."""

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        """Return how the venue lists these symbols, without those that we can't read; `read_at` is the venue's time."""


class Ending(Protocol):
    """What a venue needs to know to cancel an order: an intent says it, and so does a cancel that none was made for."""

    @property
    def target_venue_id(self) -> str | None:
        """Return the venue's id of the order."""


class OrderPort(Protocol):
    """Writes to the venue. Each call makes one request, which the adapter never repeats; no reply makes it raise."""

    def submit(self, intent: Intent) -> Reply:
        """Send one order; anything other than a clear yes or no is Outcome.UNKNOWN."""

    def replace(self, intent: Intent) -> Reply:
        """Ask the venue to change the price of `intent.target_venue_id`; if it does, return the order as it is then.

        That is the order that takes its place, or the same one, as the venue's capabilities say.
        """

    def cancel(self, intent: Ending) -> Reply:
        """Ask the venue to cancel `intent.target_venue_id`; an order that has already ended counts as accepted."""


class SendLock(Protocol):
    """The lock that `halt` waits for. An order that adds risk is sent only after checking the state under this lock."""

    def hold(self, intent: Intent) -> AbstractContextManager[None]:
        """Hold the lock while one order is promised and sent; raise TradebotError if another order keeps it."""


class Market(Protocol):
    """Current prices at the venue."""

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest usable quote of each symbol; symbols without one are absent."""

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Ask for quotes again, as `quotes` does. On a real venue, wait a moment first, and five seconds at most."""

    def depth(self, symbol: str) -> Depth | None:
        """Return what rests at the venue for a symbol; None if the venue doesn't say, or if it can't be read."""

    @property
    def rejected_quotes(self) -> Mapping[str, str]:
        """Return why each absent symbol is missing from the last result of `quotes`; SUSPENDED has its own reason."""
