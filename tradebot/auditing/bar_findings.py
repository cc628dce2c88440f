"""Define the flaws that stored bars can have, and what a check of bars takes and returns."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.series import DAY, PriceKind, width_of


class Flaw(StrEnum):
    """The type of flaw, most urgent first: flaws that spoil every price come before flaws that spoil a single price."""

    NOTHING_STORED = "nothing_stored"
    WRONG_ZONE = "wrong_zone"
    END_STAMP = "end_stamp"
    UNADJUSTED_SPLIT = "unadjusted_split"
    ALREADY_ADJUSTED = "already_adjusted"
    SCALE = "scale"
    NOT_ITS_CONTRACT = "not_its_contract"
    NOT_CLOSED = "not_closed"
    BAD_PRICE = "bad_price"
    SPIKE = "spike"
    DUPLICATE = "duplicate"
    NO_SESSION = "no_session"
    GAP = "gap"
    HOLE = "hole"


class RawBar(NamedTuple):
    """One bar as traded: its start in seconds since 1970 UTC, prices in USD per share, volume in shares.

    A daily bar starts at midnight of the venue's day.
    """

    start_s: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class KnownSplit(NamedTuple):
    """A split on record: the moment from which prices refer to new shares, and the number of new shares per old
    share.
    """

    at_s: int
    ratio: float


class RawSeries(Struct, frozen=True):
    """The raw bars of one series, oldest first, with the splits on record of its symbol."""

    symbol: str
    timeframe: str
    bars: Sequence[RawBar]
    splits: Sequence[KnownSplit] = ()
    price: PriceKind = PriceKind.TRADE

    @property
    def daily(self) -> bool:
        return self.timeframe == DAY

    @property
    def width_s(self) -> int:
        """Return the length of an intraday bar in seconds; 0 for a daily one, which lasts a session."""
        width = width_of(self.timeframe)
        return int(width.total_seconds()) if width else 0


class BarFinding(Struct, frozen=True):
    """One finding: when it begins and ends, how many bars or sessions it concerns, and the numbers behind it.

    The unit of `observed` and `expected` depends on the flaw: prices for bad prices, ratios for splits, hours for a
    wrong zone, and minutes for gaps. `found` describes the finding in a sentence.
    """

    flaw: Flaw
    symbol: str
    timeframe: str
    at: datetime | None
    until: datetime | None
    count: int
    observed: float | None
    expected: float | None
    found: str
    price: PriceKind = PriceKind.TRADE


def finding(
    stored: RawSeries, flaw: Flaw, span_s: tuple[int, int] | int, finding: str, count: int, *compared: float
) -> BarFinding:
    """Return a finding about bars from `span_s[0]` to `span_s[1]`, or about one bar.

    `compared` has the observed and the expected number, if the finding compares numbers.
    """
    span_s = (span_s, span_s) if isinstance(span_s, int) else span_s
    first, last = (datetime.fromtimestamp(at_s, UTC) for at_s in span_s)
    observed, expected = (*compared, None, None)[:2]
    return BarFinding(
        flaw, stored.symbol, stored.timeframe, first, last, count, observed, expected, finding, stored.price
    )
