"""Say what a source of bars must be able to do, for the store that fetches from it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol

from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import TemporaryError
from tradebot.model.series import PriceKind

SPLIT, DIVIDEND = "split", "dividend"


class CorporateAction(NamedTuple):
    """A split or dividend, in force from the ex-date's first trade.

    `amount` is how many shares each earlier share became, or the dividend in USD per share.
    """

    ex_date: date
    kind: str
    amount: float


class DelayedError(TemporaryError):
    """Raised once when the source turns out to have only older bars; its `delay` now says how old they must be."""


class BarSource(Protocol):
    """Where bars come from."""

    @property
    def name(self) -> str:
        """Return what stored bars say about where they came from."""

    @property
    def delay(self) -> timedelta:
        """Return how long after its end a bar is available."""

    @property
    def timeframes(self) -> frozenset[str]:
        """Return the timeframes that it has, minutes and days among them; the others are merged from minutes.

        Its bars of hours and of some minutes are those that merging the minutes of a session would make.
        """

    @property
    def refused(self) -> frozenset[str]:
        """Return the symbols that the source refused in the last `pages` call."""

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the raw bars of these symbols that start in a span, both ends inclusive, page by page.

        It is asked only for prices that its venue has: `Capabilities.bar_prices`.
        Raises TemporaryError, DelayedError, or OperatorError if asking again won't help.
        """

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return the splits and dividends that were processed between two dates, inclusive, by symbol.

        Raises TemporaryError, or OperatorError if asking again won't help.
        """
