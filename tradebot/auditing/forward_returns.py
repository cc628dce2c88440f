"""Measure what followed a candidate: returns from the next bar on, net of the market's."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from tradebot.model.bar import Session
from tradebot.model.series import Series

HOUR_S, MINUTE_S = 3600, 60
_NOON = timedelta(hours=12)


class Horizon(NamedTuple):
    """How long a return lasts: until the close so many sessions later, or for an hour if `sessions` is None.

    Returns of candidates from `reach` sessions in a row overlap.
    """

    name: str
    sessions: int | None
    reach: int


HORIZONS = (
    Horizon("1 hour", None, 1),
    Horizon("close", 0, 1),
    *(Horizon(f"{count} session{'s' if count > 1 else ''}", count, count + 1) for count in (1, 3, 5, 10)),
)
CLOSE = HORIZONS[1]
Returns = tuple[float | None, ...]
"""A return for each horizon, as a fraction; None if it isn't over yet, doesn't exist, or has no price."""
UNKNOWN: Returns = (None,) * len(HORIZONS)


class HypotheticalEntry(NamedTuple):
    """A purchase at the open of the next bar, which starts at `start_s` (seconds since 1970 UTC), and its returns."""

    start_s: int
    returns: Returns


class SessionReturns:
    """The returns of candidates that are entered in one session.

    `sessions` are all sessions from this one on, oldest first. `minutes` are its bars by symbol, and `closes` the daily
    closes by symbol and date, both adjusted for splits and dividends. Only what was over at `until` is known. Returns
    are net of the `benchmark` over the same span, or gross if that is None.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        minutes: Mapping[str, Series],
        closes: Mapping[str, Mapping[date, float]],
        until: datetime,
        benchmark: str | None,
    ) -> None:
        self.session = sessions[0]
        self._minutes = minutes
        self._closes = closes
        self._until = until
        self._benchmark = benchmark
        self._dates = [session.date for session in sessions if session.close <= until]
        self._known: dict[tuple[str, int], Returns] = {}

    def entry(self, symbol: str, at: datetime) -> HypotheticalEntry | None:
        """Return the entry of a candidate of a moment, or None if the symbol had no bar after that in this session."""
        found = self._bar(symbol, at.timestamp())
        if found is None:
            return None
        start_s = found[0].starts[found[1]]
        if (symbol, start_s) not in self._known:
            self._known[symbol, start_s] = self._returns(symbol, start_s)
        return HypotheticalEntry(start_s, self._known[symbol, start_s])

    def return_after(self, symbol: str, at: datetime, longest_s: int) -> float | None:
        """Return the gross return of a purchase after a moment, held for so long, or until the close if that is sooner.

        It starts at the open of the next bar; None if there is none, or if it isn't over yet.
        """
        found = self._bar(symbol, at.timestamp())
        if found is None:
            return None
        bars, place = found
        end_s = min(bars.starts[place] + longest_s, int(self.session.close.timestamp()))
        price = self._price(bars, end_s)
        return None if price is None or end_s > self._until.timestamp() else price / bars.open[place] - 1

    def price(self, symbol: str, at: datetime) -> float | None:
        """Return the last price of a symbol before a moment of the session; None if there is none."""
        bars, at_s = self._minutes.get(symbol), int(at.timestamp())
        within = self.session.open <= at <= min(self.session.close, self._until)
        return self._price(bars, at_s) if bars is not None and within else None

    def _price(self, bars: Series, end_s: int) -> float | None:
        last = bisect_right(bars.starts, end_s - MINUTE_S) - 1
        return bars.close[last] if last >= 0 else None

    def _returns(self, symbol: str, start_s: int) -> Returns:
        own = self._gross(symbol, start_s)
        if self._benchmark is None:
            return own
        market = self._gross(self._benchmark, start_s)
        if symbol == self._benchmark:
            return UNKNOWN
        return tuple(
            None if mine is None or theirs is None else mine - theirs for mine, theirs in zip(own, market, strict=True)
        )

    def _gross(self, symbol: str, start_s: int) -> Returns:
        found = self._bar(symbol, start_s)
        if found is None:
            return UNKNOWN
        bars, place = found
        exits = (self._exit(horizon, symbol, bars, place, start_s) for horizon in HORIZONS)
        return tuple(None if price is None else price / bars.open[place] - 1 for price in exits)

    def _bar(self, symbol: str, at_s: float) -> tuple[Series, int] | None:
        """Return a symbol's bars with the place of the first one from a moment on; None if that has no price."""
        bars = self._minutes.get(symbol)
        place = bisect_left(bars.starts, at_s) if bars is not None else 0
        return None if bars is None or place == len(bars) or bars.open[place] <= 0 else (bars, place)

    def _exit(self, horizon: Horizon, symbol: str, bars: Series, place: int, start_s: int) -> float | None:
        """Return the price at a horizon's end, given the place of the first bar and when the candidate is entered."""
        if horizon.sessions is None:
            end_s = start_s + HOUR_S
            last = bisect_right(bars.starts, end_s - MINUTE_S) - 1
            over = end_s <= min(self.session.close, self._until).timestamp()
            return bars.close[last] if over and last >= place else None
        if horizon.sessions >= len(self._dates):
            return None
        return self._closes.get(symbol, {}).get(self._dates[horizon.sessions])


def closes_of(days: Series) -> Mapping[date, float]:
    """Return the closes of daily bars by date: half a day after its start, the venue's midnight, a bar has its date."""
    starts = (datetime.fromtimestamp(start, UTC) + _NOON for start in days.starts)
    return {at.date(): close for at, close in zip(starts, days.close, strict=True)}
