"""What a strategy needs to know before it can answer. What nobody needs isn't fetched."""

from msgspec import Struct


class BarNeed(Struct, frozen=True):
    """The last `depth` closed bars of each symbol; `timeframe` is 1Min to 59Min, 1Hour to 23Hour, or 1Day.

    Adjusted bars have prices as if every split and dividend so far had always been in force: they are for signals. Raw
    bars have the prices as traded: they are for sizes. Without `symbols`, the strategy's whole universe is meant. With
    `max_age_s`, the newest bar may have ended at most so many seconds ago, counting only while a session is open.
    """

    timeframe: str
    depth: int
    adjusted: bool = True
    symbols: tuple[str, ...] = ()
    max_age_s: int | None = None


class Needs(Struct, frozen=True):
    """Everything a strategy reads besides the time and its universe.

    `facts` are kinds of flow facts by name, such as "flow_alerts". `quotes` are current quotes of its universe. `lots`
    are its own open positions. `equity` is its allotment of the account's equity. A symbol without the bars or the
    quote that it needs is left out of the strategy's universe, with a decision that says why.
    """

    facts: frozenset[str] = frozenset()
    bars: tuple[BarNeed, ...] = ()
    quotes: bool = False
    lots: bool = False
    equity: bool = False


NOTHING = Needs()
