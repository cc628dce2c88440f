"""What a strategy needs to know, what it sees when it is asked, and what it may want.

What nobody needs isn't fetched. The core turns wants into candidates, and gates and limits decide. What would cross
from long to short closes first. `Reduce` and `Close` become exits: no entry gate is asked, and a halt lets them out.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, field

from tradebot.model.bar import Quote, Session
from tradebot.model.candidate import STRATEGY_SOURCE, Component, OptionContract, ScaleOutLevel, Side
from tradebot.model.costs import CostModel
from tradebot.model.decision import Decision
from tradebot.model.position import Kept, Position, RoundTrip
from tradebot.model.record import SymbolFacts
from tradebot.model.series import DAY, PriceKind, Series, SeriesKey

if TYPE_CHECKING:
    import pandas as pd


class BarNeed(Struct, frozen=True):
    """The last `depth` closed bars of each symbol; `timeframe` is 1Min to 59Min, 1Hour to 23Hour, or 1Day.

    Adjusted bars have prices as if every split and dividend so far had always been in force: they are for signals. Raw
    bars have the prices as traded: they are for sizes. Without `symbols`, the strategy's whole universe is meant. With
    `max_age_s`, the newest bar may have ended at most so many seconds ago, counting only while a session is open. With
    `least`, so many bars are enough for a symbol that hasn't been listed for long. `price` says what the bars are made
    of: a strategy may read the spot price of what it trades a perpetual on.
    """

    timeframe: str
    depth: int
    adjusted: bool = True
    symbols: tuple[str, ...] = ()
    max_age_s: int | None = None
    price: PriceKind = PriceKind.TRADE
    least: int | None = None

    def key_of(self, symbol: str) -> SeriesKey:
        """Return what names the bars of a symbol among those that a strategy sees."""
        return SeriesKey(symbol, self.timeframe, self.adjusted, self.price)

    @property
    def enough(self) -> int:
        """Return the fewest bars with which a symbol can be used."""
        return self.depth if self.least is None else self.least


class FeatureNeed(Struct, frozen=True):
    """Features of each symbol's last closed bar, by name; docs/internals/FEATURES.md lists them.

    The bars are fetched as far back as the features reach, joined over rolls. A symbol for which one of them is absent
    is left out of the strategy's universe, with a decision that says why; one that is `optional` is only left out of
    the values. With `max_age_s`, the bar may have ended at most so many seconds ago, as for `BarNeed`.
    """

    timeframe: str
    names: tuple[str, ...]
    optional: tuple[str, ...] = ()
    max_age_s: int | None = None


class FeatureRow(Struct, frozen=True):
    """The features of a bar that closed `at`, by name, and why those are absent that are, by name."""

    at: datetime
    values: Mapping[str, float]
    absent: Mapping[str, str] = field(default_factory=dict)


class Needs(Struct, frozen=True):
    """Everything a strategy reads besides the time and its universe.

    `facts` are kinds of flow facts by name, such as "flow_alerts". `quotes` are current quotes of its universe. `lots`
    are its own open positions, with what the books keep of them, and `trades` those that it closed. `equity` is its
    allotment of the account's equity. `features` are numbers made of closed bars. `situation` is how the account and
    the session stand. A symbol without the bars, the quote or the features that it needs is left out of the strategy's
    universe, with a decision that says why.
    """

    facts: frozenset[str] = frozenset()
    bars: tuple[BarNeed, ...] = ()
    quotes: bool = False
    lots: bool = False
    equity: bool = False
    trades: bool = False
    features: tuple[FeatureNeed, ...] = ()
    situation: bool = False


class Situation(Struct, frozen=True):
    """How the account and the session stand; money is in USD.

    `session` is open now, or None. `equity` is the account's, and `highest` the highest that counts so far, that equity
    included. `unrealized` is the profit of each of the strategy's open positions at the venue's price, by symbol; it
    lacks those that the venue has no price for. `trades` counts the strategy's orders of this session that opened or
    added something, each with a fill.
    """

    session: Session | None
    equity: Decimal
    highest: Decimal
    unrealized: Mapping[str, Decimal]
    trades: int

    @property
    def drawdown(self) -> Decimal:
        """Return how far the equity is below its peak, as a fraction of the peak; 1 if there is no equity."""
        return 1 - self.equity / self.highest if self.highest > 0 else Decimal(1)


NOTHING = Needs()


class StrategyView(Struct, frozen=True):
    """What is known at trading time `now`. A strategy sees only what it needs; everything else is empty.

    A strategy with its own clock that reads neither quotes nor flow sees the moment at which its slot began, however
    late it is asked; so it answers the same in every pass of the slot until its lots or its equity change.
    `universe` are the symbols whose needs are met. `facts` are flow facts by symbol, and `market` those of the whole
    market by kind. `lots` are the strategy's own open positions by symbol, with signed shares, and `kept` is what the
    books keep of each besides its fills: its entry's stop, target, score and other facts, but no prices since.
    `equity_usd` is its allotment of the account's equity. `slot` names the period of its own clock that it is asked
    for; it is empty if it is asked in every pass. `sectors` are those of the configuration, by symbol. `trades` are
    the strategy's own trades that closed within the last month, by symbol, oldest first. `costs` is what its trades
    are assumed to cost, None if nothing is: `model.costs.round_trip` says what that makes of one. `features` are those
    of the last closed bar, by symbol and timeframe. `situation` is None unless the strategy needs it.
    """

    now: datetime
    universe: Sequence[str]
    facts: Mapping[str, SymbolFacts] = field(default_factory=dict)
    market: Mapping[str, object] = field(default_factory=dict)
    series: Mapping[SeriesKey, Series] = field(default_factory=dict)
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    lots: Mapping[str, Position] = field(default_factory=dict)
    equity_usd: Decimal | None = None
    slot: str = ""
    sectors: Mapping[str, str] = field(default_factory=dict)
    trades: Mapping[str, Sequence[RoundTrip]] = field(default_factory=dict)
    kept: Mapping[str, Kept] = field(default_factory=dict)
    costs: CostModel | None = None
    features: Mapping[tuple[str, str], FeatureRow] = field(default_factory=dict)
    situation: Situation | None = None

    def bars(
        self, symbol: str, timeframe: str = DAY, *, adjusted: bool = True, price: PriceKind = PriceKind.TRADE
    ) -> Series:
        """Return a symbol's closed bars, oldest first; KeyError if the strategy didn't declare that it needs them."""
        return self.series[SeriesKey(symbol, timeframe, adjusted, price)]

    def values(self, symbol: str, timeframe: str) -> Mapping[str, float]:
        """Return the features of a symbol's last closed bar; KeyError if the strategy didn't declare that it needs any.

        All of them are there, but for optional ones that are absent.
        """
        return self.features[symbol, timeframe].values

    def frame(
        self,
        column: str = "close",
        timeframe: str = DAY,
        *,
        adjusted: bool = True,
        price: PriceKind = PriceKind.TRADE,
    ) -> "pd.DataFrame":
        """Return one column of all symbols of the universe as a pandas frame, a column per symbol, by start in UTC."""
        import pandas as pd

        found = {symbol: self.bars(symbol, timeframe, adjusted=adjusted, price=price) for symbol in self.universe}
        return pd.DataFrame({symbol: series.frame()[column] for symbol, series in found.items()})


class Open(Struct, frozen=True):
    """Open a position in a symbol that the strategy doesn't hold.

    `score` is the conviction, in -1..1, and its sign agrees with the side. `coverage`, 0..1, is the share of the score
    that has data, or None if that means nothing here. `quantity` is a wish in shares; limits may make it smaller.
    `stop_loss_fraction` and `profit_target_fraction` are distances from the entry price as fractions of it, and close
    the position whatever exits are configured; so do `targets`, which close it in parts, at rising levels of gain.
    `atr_fraction` is the average true range at the entry, and `invalid_fraction` the distance at which the reason for
    the trade is gone. Both are fractions of the entry price too. They close nothing by themselves, but the books keep
    them for exit rules, and for the strategy.
    `decisions` are the strategy's own filters, with their numbers, and `contracts` the options behind it, if it was
    proposed because of options. `cluster` names the kind of situation it was proposed in, such as a setup in a regime:
    an auction limits how many positions have the same. `hold_s` is for how many seconds the strategy expects to hold
    it, which costs funding.
    """

    symbol: str
    side: Side
    score: float
    coverage: float | None = None
    components: tuple[Component, ...] = ()
    decisions: tuple[Decision, ...] = ()
    quantity: Decimal | None = None
    stop_loss_fraction: Decimal | None = None
    profit_target_fraction: Decimal | None = None
    source: str = STRATEGY_SOURCE
    targets: tuple[ScaleOutLevel, ...] = ()
    contracts: tuple[OptionContract, ...] = ()
    atr_fraction: Decimal | None = None
    invalid_fraction: Decimal | None = None
    cluster: str = ""
    hold_s: int | None = None


class Target(Struct, frozen=True):
    """Hold this much of a symbol, and keep working toward it until the strategy's slot is over.

    Give either `weight`, a share of the strategy's allotment (1 is all of it, negative is short), or `quantity` in
    signed shares. Both are rounded toward zero to whole shares, and zero means hold none. The core works out the
    difference and sells before it buys.
    """

    symbol: str
    weight: Decimal | None = None
    quantity: Decimal | None = None
    score: float | None = None
    decisions: tuple[Decision, ...] = ()


class Reduce(Struct, frozen=True):
    """Close a part of a position that the strategy holds; `quantity` is unsigned, rounded down to whole shares."""

    symbol: str
    quantity: Decimal
    why: str


class Close(Struct, frozen=True):
    """Close a position that the strategy holds, for a reason in the strategy's own words."""

    symbol: str
    why: str


Want = Open | Target | Reduce | Close
