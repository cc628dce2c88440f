"""Store bars in memory, for a run that ends with its process and can fetch them again."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from operator import itemgetter

from tradebot.adapters.bars.store import TRADE, PriceStep, StoredSpan
from tradebot.auditing.bar_findings import RawBar
from tradebot.model.series import PriceKind

MOST, LEFT = 20_000, 10_000
"""A series longer than MOST is cut to its newest LEFT bars, which cover two weeks of minutes at least."""
_START = itemgetter(0)
Key = tuple[str, str, PriceKind]


class MemoryBars:
    """Stores bars, corporate actions and requested ranges in memory, as SqliteBars does in a file.

    If bars are removed, their range counts as not requested.
    """

    def __init__(self) -> None:
        self._bars: dict[Key, list[RawBar]] = defaultdict(list)
        self._sources: dict[Key, str] = {}
        self._written = Counter[Key]()
        self._asked: dict[tuple[str, str, str, PriceKind], list[tuple[int, int]]] = defaultdict(list)
        self._actions: dict[str, list[PriceStep]] = {}

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def put(self, symbol: str, timeframe: str, bars: Sequence[RawBar], source: str, price: PriceKind = TRADE) -> int:
        """Store bars, replacing those with the same start; return how many were new or changed."""
        key = symbol, timeframe, price
        raw_bars, changed = self._bars[key], 0
        self._sources[key] = source
        for bar in bars:
            index = bisect_left(raw_bars, bar.start_s, key=_START)
            there = index < len(raw_bars) and raw_bars[index].start_s == bar.start_s
            if there and raw_bars[index] == bar:
                continue
            raw_bars[index : index + there] = [bar]
            changed += 1
        self._written[key] += changed
        if len(raw_bars) > MOST:
            self._cut(key)
        return changed

    def version(self, symbol: str, timeframe: str, price: PriceKind = TRADE) -> object:
        """Return a value that changes as soon as these bars may have changed."""
        return self._written[symbol, timeframe, price]

    def get(self, symbol: str, timeframe: str, start_s: int, end_s: int, price: PriceKind = TRADE) -> Sequence[RawBar]:
        """Return the bars that start in a span, both ends inclusive, oldest first."""
        raw_bars = self._bars[symbol, timeframe, price]
        return raw_bars[bisect_left(raw_bars, start_s, key=_START) : bisect_right(raw_bars, end_s, key=_START)]

    def spans(self) -> Sequence[StoredSpan]:
        """Return the stored ranges, by symbol, timeframe, price and source."""
        return [
            StoredSpan(symbol, timeframe, self._sources[key], series[0].start_s, series[-1].start_s, len(series), price)
            for key, series in sorted(self._bars.items())
            for symbol, timeframe, price in [key]
            if series
        ]

    def put_actions(self, symbol: str, actions: Sequence[PriceStep]) -> None:
        """Store a symbol's splits and dividends, replacing all of its earlier ones."""
        self._actions[symbol] = sorted(actions)

    def actions(self, symbol: str) -> Sequence[PriceStep]:
        """Return a symbol's splits and dividends, oldest first."""
        return self._actions.get(symbol, [])

    def put_asked(
        self, symbol: str, what: str, source: str, first_s: int, last_s: int, price: PriceKind = TRADE
    ) -> None:
        """Record that a source has returned all its bars of a timeframe in a range, both ends inclusive."""
        key = symbol, what, source, price
        touching = [span for span in self._asked[key] if span[0] <= last_s + 1 and span[1] >= first_s - 1]
        firsts, lasts = zip((first_s, last_s), *touching, strict=True)
        others = [span for span in self._asked[key] if span not in touching]
        self._asked[key] = sorted([*others, (min(firsts), max(lasts))])

    def asked_spans(self, symbol: str, what: str, source: str, price: PriceKind = TRADE) -> Sequence[tuple[int, int]]:
        """Return the ranges requested from a source, oldest first; they neither overlap nor touch."""
        return self._asked[symbol, what, source, price]

    def _cut(self, key: Key) -> None:
        symbol, timeframe, price = key
        del self._bars[key][:-LEFT]
        first_s, of = self._bars[key][0].start_s, (symbol, timeframe, self._sources[key], price)
        self._asked[of] = [(max(start_s, first_s), last_s) for start_s, last_s in self._asked[of] if last_s >= first_s]
