"""Ports to a broker: reads, orders, prices, and the lock under which orders are sent."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Protocol

from tradebot.model.account import Account, Activity, BrokerPosition, BrokerView
from tradebot.model.bar import Depth, Quote, Session, VenueClock
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent
from tradebot.model.order import Fill, Order, OrdersReported, Reply
from tradebot.model.venue import Capabilities, Proof

Undisturbed = Callable[[], AbstractContextManager[None]]
"""Opens a block in which a pass doesn't give way to exits."""


class AccountSignal(Protocol):
    """Signals that the venue reported something new in the account; the reader must fetch the details."""

    def rang(self) -> bool:
        """Return True if there was a signal since the last call, without waiting."""

    def problem(self) -> str:
        """Return why signals can't arrive at the moment, in plain words; empty if they can."""

    def close(self) -> None:
        """Stop listening for signals."""


class BrokerReader(Protocol):
    """Reads from the venue. Methods raise TemporaryError if it doesn't answer, OperatorError if it refuses the keys."""

    @property
    def capabilities(self) -> Capabilities:
        """Return the venue's capabilities, without a request."""

    def clock(self) -> VenueClock:
        """Return the venue's time and session."""

    def account(self) -> Account:
        """Return the account's figures, such as equity and cash."""

    def view(self) -> BrokerView:
        """Return account, positions and open orders, read together; `steady` is False if our orders kept changing."""

    def position(self, symbol: str) -> BrokerPosition | None:
        """Query the venue's position in one symbol; return None if it has none."""

    def order(self, client_order_id: str) -> Order | None:
        """Return the order with this id from any of the venue's lists; None alone proves nothing.

        If several orders have the id, return the newest.
        """

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        """Return what the venue can prove about a request of the bot whose outcome is unknown.

        `intent.at` is when the request was last sent. `sessions` are the stored sessions around that time and around
        `now`, which is the earliest time of all clocks. A change of date alone proves nothing.
        """

    def has_outlived(self, order: Order, sessions: Sequence[Session], now: datetime) -> str:
        """Return the evidence that an order has expired and can't fill any more, if the venue no longer lists it.

        Return an empty text if there is no evidence. The other parameters are as for `end_of`, but this method makes no
        request.
        """

    def follower(self, venue_id: str) -> Order | None:
        """Return the order with this venue id; None if there is none.

        A replacement order is known only by its venue id.
        """

    def legs(self, venue_id: str) -> Sequence[Order]:
        """Return the legs of the order with this venue id, open or ended; none if the venue doesn't know the order."""

    def ended(self, since: datetime) -> Sequence[Order]:
        """Return orders submitted at or after `since` that have ended, oldest first; a very long list is cut off."""

    def orders_of(self, symbols: Sequence[str]) -> OrdersReported:
        """Return all orders in these symbols, open or not, newest first; a very long list is cut off."""

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        """Return executions later than `after`, or all if it is None, oldest first, without repeats."""

    @property
    def unreadable_fills(self) -> int:
        """Return how many rows the last call of `fills` left out because we couldn't parse them."""

    def activities(self, after: datetime) -> Sequence[Activity]:
        """Return account activities other than executions later than `after`, oldest first, without repeats."""

    def calendar(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        """Return sessions from `start` through `end`: the venue's, or those of another calendar that it lists."""

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        """Return the venue's listings of these symbols, without unreadable ones; `read_at` is the venue's time."""


class Ending(Protocol):
    """The fields needed to cancel an order; an intent has them, as does a cancel without an intent."""

    @property
    def target_venue_id(self) -> str | None:
        """Return the venue's id of the order."""


class OrderPort(Protocol):
    """Writes to the venue. Each call makes one request, never repeats it, and doesn't raise an error for any reply."""

    def submit(self, intent: Intent) -> Reply:
        """Send one order; anything other than a clear yes or no is UNKNOWN."""

    def replace(self, intent: Intent) -> Reply:
        """Ask the venue to change the price of `intent.target_venue_id`; if it does, return the resulting order.

        The resulting order is a replacement or the same order, depending on the venue's capabilities.
        """

    def cancel(self, intent: Ending) -> Reply:
        """Ask the venue to cancel `intent.target_venue_id`; an order that has already ended counts as accepted."""


class SendLock(Protocol):
    """The lock that `halt` waits for. An order that adds risk is sent only after checking the state under this lock."""

    def hold(self, intent: Intent) -> AbstractContextManager[None]:
        """Hold the lock while one order is recorded and sent; raise TradebotError if another order holds it."""


class Market(Protocol):
    """Current prices at the venue."""

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest usable quote of each symbol; symbols without one are absent."""

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Request quotes again, like `quotes`. On a real venue, wait a moment first, at most five seconds."""

    def depth(self, symbol: str) -> Depth | None:
        """Return the order book of a symbol; None if the venue doesn't provide it, or if it can't be read."""

    @property
    def rejected_quotes(self) -> Mapping[str, str]:
        """Return why each absent symbol is missing from the last result of `quotes`; SUSPENDED is one such reason."""
