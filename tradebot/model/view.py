"""What a strategy sees when it is asked: one moment, and only what it declared that it needs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, field

from tradebot.model.bar import Quote
from tradebot.model.position import Position
from tradebot.model.record import SymbolFacts
from tradebot.model.series import DAY, Series, SeriesKey

if TYPE_CHECKING:
    import pandas as pd


class StrategyView(Struct, frozen=True):
    """What is known at trading time `now`. A strategy sees only what it needs; everything else is empty.

    A strategy with its own clock that reads neither quotes nor flow sees the moment at which its slot began, however
    late it is asked; so it answers the same in every pass of the slot until its lots or its equity change.
    `universe` are the symbols whose needs are met. `facts` are flow facts by symbol, and `market` those of the whole
    market by kind. `lots` are the strategy's own open positions by symbol, with signed shares. `equity_usd` is its
    allotment of the account's equity. `slot` names the period of its own clock that it is asked for; it is empty if it
    is asked in every pass. `sectors` are those of the configuration, by symbol.
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

    def bars(self, symbol: str, timeframe: str = DAY, *, adjusted: bool = True) -> Series:
        """Return a symbol's closed bars, oldest first; KeyError if the strategy didn't declare that it needs them."""
        return self.series[SeriesKey(symbol, timeframe, adjusted)]

    def frame(self, column: str = "close", timeframe: str = DAY, *, adjusted: bool = True) -> "pd.DataFrame":
        """Return one column of all symbols of the universe as a pandas frame, a column per symbol, by start in UTC."""
        import pandas as pd

        frames = {symbol: self.bars(symbol, timeframe, adjusted=adjusted).frame()[column] for symbol in self.universe}
        return pd.DataFrame(frames)
