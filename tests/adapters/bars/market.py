"""A made-up market as a source of bars: it knows everything, the future included, and counts what it is asked."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tests.kit.values import VENUE_DAY
from tradebot.adapters.bars.store import STORED_ALWAYS, CorporateAction
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session
from tradebot.model.series import PriceKind

NEW_YORK = ZoneInfo("America/New_York")
FIRST, LAST = date(2026, 1, 2), date(2026, 1, 16)
HALF = date(2026, 1, 9)
DIVIDEND, SPLIT = (CorporateAction(date(2026, 1, 8), "dividend", 0.5), CorporateAction(date(2026, 1, 13), "split", 4.0))


def sessions(first: date, last: date) -> list[Session]:
    """Return the sessions of weekdays; one of them is a half day."""
    days = (first + timedelta(days=count) for count in range((last - first).days + 1))
    return [_session(day) for day in days if day.weekday() < 5 and FIRST <= day <= LAST]


def _session(day: date) -> Session:
    opens, closes = (
        datetime.combine(day, at, NEW_YORK).astimezone(UTC) for at in (time(9, 30), time(13 if day == HALF else 16))
    )
    return Session(day, opens, closes)


def bar(start_s: int, price: float, volume: float = 100.0) -> RawBar:
    return RawBar(start_s, price, price + 0.5, price - 0.5, price + 0.25, volume)


def minutes(session: Session, every: int = 1) -> list[RawBar]:
    """Return a session's minutes, with one before its open and one after its close; `every` leaves others out."""
    start, end = int(session.open.timestamp()), int(session.close.timestamp())
    inside = [bar(second, 100 + second % 97 / 10) for second in range(start, end, 60 * every)]
    return [bar(start - 600, 500.0), *inside, bar(end + 600, 500.0)]


def day_bar(session: Session) -> RawBar:
    return bar(VENUE_DAY.begins_s(session.date), 100.0 + session.date.day)


class MadeUpBars:
    """A source of bars. Symbols that begin with T are thin: they trade every third minute."""

    name = "made up"
    timeframes = STORED_ALWAYS
    refused_symbols: frozenset[str] = frozenset()

    def __init__(self, limit: int = 1000) -> None:
        self.delay = timedelta(0)
        self.asked: list[tuple[tuple[str, ...], str, datetime, datetime]] = []
        self.asked_actions: list[tuple[tuple[str, ...], date, date]] = []
        self.down = False
        self.missing: set[int] = set()
        self.changed: dict[int, RawBar] = {}
        self.announced: Mapping[str, Sequence[CorporateAction]] = {}
        self._limit = limit

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield what starts in the span, also bars that haven't ended; a page holds one symbol."""
        self.asked.append((tuple(symbols), timeframe, first, last))
        if self.down:
            raise TemporaryError("the source is down")
        for symbol in symbols:
            bars = [
                each for each in self._bars(symbol, timeframe) if first.timestamp() <= each.start_s <= last.timestamp()
            ]
            for start in range(0, len(bars), self._limit):
                yield {symbol: bars[start : start + self._limit]}

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        self.asked_actions.append((tuple(symbols), first, last))
        if self.down:
            raise TemporaryError("the source is down")
        return {
            symbol: [each for each in self.announced.get(symbol, ()) if first <= each.ex_date <= last]
            for symbol in symbols
        }

    def _bars(self, symbol: str, timeframe: str) -> Iterator[RawBar]:
        for session in sessions(FIRST, LAST):
            bars = [day_bar(session)] if timeframe == "1Day" else minutes(session, 3 if symbol.startswith("T") else 1)
            yield from (self.changed.get(each.start_s, each) for each in bars if each.start_s not in self.missing)
