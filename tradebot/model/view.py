"""A strategy's needs, its view when it runs, and the wants that it returns.

Data that no strategy needs isn't fetched. The core turns wants into candidates, and gates and limits decide. A change
from long to short closes first. `Reduce` and `Close` become exits: they skip entry gates and are allowed during a halt.
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
from tradebot.model.position import EntryTerms, Position, RoundTrip
from tradebot.model.record import SymbolFacts
from tradebot.model.series import DAY, PriceKind, Series, SeriesKey

if TYPE_CHECKING:
    import pandas as pd


class BarNeed(Struct, frozen=True):
    """The last `depth` closed bars of each symbol; `timeframe` is 1Min to 59Min, 1Hour to 23Hour, or 1Day.

    Adjusted bars have past prices corrected for every split and dividend so far; use them for signals. Raw bars have
    the prices as traded; use them for sizes. Without `symbols`, the need covers the strategy's whole universe. With
    `max_age_s`, the newest bar may have ended at most that many seconds ago, counting only while a session is open.
    With `least`, that many bars are enough for a recently listed symbol. `price` says what the bars are made of: a
    strategy may read the spot price of a perpetual's underlying.
    """

    timeframe: str
    depth: int
    adjusted: bool = True
    symbols: tuple[str, ...] = ()
    max_age_s: int | None = None
    price: PriceKind = PriceKind.TRADE
    least: int | None = None

    def key_of(self, symbol: str) -> SeriesKey:
        """Return the key of a symbol's bars in a strategy's view."""
        return SeriesKey(symbol, self.timeframe, self.adjusted, self.price)

    @property
    def enough(self) -> int:
        """Return how many bars a symbol needs at least."""
        return self.depth if self.least is None else self.least


class FeatureNeed(Struct, frozen=True):
    """Features of each symbol's last closed bar, by name; docs/internals/FEATURES.md lists them.

    Bars are fetched as far back as the features reach, joined over rolls. A symbol that lacks a feature is left out of
    the strategy's universe, with a decision that says why; a missing `optional` feature is only left out of the values.
    With `max_age_s`, the bar may have ended at most that many seconds ago, as for `BarNeed`.
    """

    timeframe: str
    names: tuple[str, ...]
    optional: tuple[str, ...] = ()
    max_age_s: int | None = None


class FeatureRow(Struct, frozen=True):
    """The features of a bar that closed `at`, by name, and for each missing feature the reason."""

    at: datetime
    values: Mapping[str, float]
    absent: Mapping[str, str] = field(default_factory=dict)


class Needs(Struct, frozen=True):
    """Everything a strategy reads besides the time and its universe.

    `facts` are kinds of flow facts by name, such as "flow_alerts". `quotes` are current quotes of its universe. `lots`
    are its own open positions with their stored terms, and `trades` its closed ones. `equity` is its allotment of the
    account's equity. `features` are numbers computed from closed bars. `situation` describes the account and the
    session. A symbol without the bars, the quote or the features that it needs is left out of the strategy's universe,
    with a decision that says why.
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
    """The state of the account and the session; money is in USD.

    `session` is the open one, or None. `equity` is the account's, and `highest` its peak, including now. `unrealized`
    is the profit of each of the strategy's open positions at the venue's price, by symbol; positions for which the
    venue has no price are left out. `trades` counts the strategy's orders of this session with a fill that opened or
    enlarged a position.
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

    If a strategy has its own clock and reads neither quotes nor flow, `now` is the moment at which its slot began,
    however late it runs. So it answers the same in every pass of the slot until its lots or its equity change.
    `universe` are the symbols whose needs are met. `facts` are flow facts by symbol, and `market` facts about the whole
    market by kind. `lots` are the strategy's own open positions by symbol, with signed shares, and `kept` their stored
    terms: the entry's stop, target, score and other facts, but no later prices. `equity_usd` is its allotment of the
    account's equity. `slot` is its own slot, or empty if it runs in every pass. `sectors` are the configured ones, by
    symbol. `trades` are its own trades closed within the last month, by symbol, oldest first. `costs` are its assumed
    trading costs, or None: `model.costs.round_trip` applies them. `features` come from the last closed bar, by symbol
    and timeframe. `situation` is None unless the strategy needs it.
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
    kept: Mapping[str, EntryTerms] = field(default_factory=dict)
    costs: CostModel | None = None
    features: Mapping[tuple[str, str], FeatureRow] = field(default_factory=dict)
    situation: Situation | None = None

    def bars(
        self, symbol: str, timeframe: str = DAY, *, adjusted: bool = True, price: PriceKind = PriceKind.TRADE
    ) -> Series:
        """Return a symbol's closed bars, oldest first; raise KeyError if the strategy didn't declare this need."""
        return self.series[SeriesKey(symbol, timeframe, adjusted, price)]

    def values(self, symbol: str, timeframe: str) -> Mapping[str, float]:
        """Return the features of a symbol's last closed bar; raise KeyError if the strategy didn't declare any.

        Only optional features may be missing.
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
        """Return one column of all symbols of the universe as a pandas frame.

        It has a column per symbol, and its index is the bars' start in UTC.
        """
        import pandas as pd

        by_symbol = {symbol: self.bars(symbol, timeframe, adjusted=adjusted, price=price) for symbol in self.universe}
        return pd.DataFrame({symbol: series.frame()[column] for symbol, series in by_symbol.items()})


class Open(Struct, frozen=True):
    """Open a position in a symbol in which the strategy has none.

    `score` is the conviction, in -1..1, and its sign agrees with the side. `coverage`, 0..1, is the share of the score
    that has data, or None if it doesn't apply. `quantity` is a wish in shares; limits may make it smaller.
    `stop_loss_fraction` and `profit_target_fraction` are distances from the entry price as fractions of it, and close
    the position in addition to configured exits; `targets` close it in parts, at rising levels of gain. `atr_fraction`
    is the average true range at the entry, and `invalid_fraction` the distance at which the reason for the trade is
    gone, both fractions of the entry price. They don't close anything, but are stored for exit rules and the strategy.
    `decisions` are the strategy's own filters, with their numbers, and `contracts` the options behind the proposal, if
    any. `cluster` names the setup, such as a pattern in a regime: an auction limits how many positions have the same.
    `hold_s` is the expected holding time in seconds, for which funding is paid.
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
    signed shares. Both are rounded toward zero to whole shares, and zero means no position. The core computes the
    difference and sells before it buys.
    """

    symbol: str
    weight: Decimal | None = None
    quantity: Decimal | None = None
    score: float | None = None
    decisions: tuple[Decision, ...] = ()


class Reduce(Struct, frozen=True):
    """Close part of the strategy's position; `quantity` is unsigned, rounded down to whole shares."""

    symbol: str
    quantity: Decimal
    why: str


class Close(Struct, frozen=True):
    """Close the strategy's position, for a reason in the strategy's own words."""

    symbol: str
    why: str


Want = Open | Target | Reduce | Close


class SlotWants(Struct, frozen=True):
    """A strategy's wants in one of its slots, before it is known what the strategy will hold in that slot.

    `if_flat` are the wants for symbols that it won't hold, `if_long` and `if_short` those for symbols that it holds
    long or short. A want that doesn't depend on the holdings, such as a target, is in all three.
    """

    if_flat: tuple[Want, ...] = ()
    if_long: tuple[Want, ...] = ()
    if_short: tuple[Want, ...] = ()

    def select(self, lots: Mapping[str, Position]) -> tuple[Want, ...]:
        """Return the wants of a strategy that holds these lots."""
        wants = [want for want in self.if_flat if want.symbol not in lots]
        if lots:
            wants += [want for want in self.if_long if want.symbol in lots and lots[want.symbol].quantity > 0]
            wants += [want for want in self.if_short if want.symbol in lots and lots[want.symbol].quantity < 0]
        return tuple(wants)
