"""Read bars and corporate actions from Alpaca's data API, page by page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from tradebot.adapters.bars.store import DIVIDEND, SPLIT, STORED_ALWAYS, CorporateAction, DelayedError
from tradebot.adapters.wire.json_fields import LONGEST_SYMBOL, DriftTally, JsonFields, RowError, keep_readable
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import TemporaryError
from tradebot.model.series import PriceKind
from tradebot.venues.alpaca.wire import (
    SANDBOX_FEED,
    AlpacaReads,
    AlpacaVenue,
    DataPlanError,
    RefusedReadError,
    reader_for,
)

MOST_ROWS, MOST_ACTIONS = 10_000, 1_000
"""The largest pages that the data API gives, counted over all symbols."""
MOST_PAGES = 2_000
MOST_SYMBOLS = 100
"""The largest number of symbols in one request."""
PLAN_DELAY = timedelta(minutes=16)
"""On the free plan the consolidated feed is fifteen minutes late; this adds one minute to be safe."""
MALFORMED = frozenset({400, 422})
"""The HTTP statuses with which the venue refuses a list that contains an invalid symbol."""
LONGEST_TOKEN = 4_096
_MOST_NAMES = 3
"""How many earlier names of a company are looked up."""
_KINDS = ("cash_dividend", "stock_dividend", "forward_split", "reverse_split", "name_change")
T = TypeVar("T")


class AlpacaBars:
    """A source of Alpaca's bars. Unusable rows are left out and counted in the tally.

    `delay` is zero until the venue refuses recent bars because of the data plan. After each `pages` call, `refused`
    holds the texts that the venue doesn't accept as symbols.
    """

    timeframes = STORED_ALWAYS

    def __init__(self, venue: AlpacaVenue, tally: DriftTally) -> None:
        self._venue = venue
        self._tally = tally
        self._data = reader_for(venue, venue.data_url)
        self._events = reader_for(venue, venue.data_url, "v1")
        self.delay = timedelta(0)
        self.refused_symbols: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Return the feed of the bars, such as "alpaca iex" or "sandbox"."""
        return self._venue.feed if self._venue.feed == SANDBOX_FEED else f"alpaca {self._venue.feed}"

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the raw bars of these symbols that start in a range, both ends inclusive, page by page.

        Raise TemporaryError, DelayedError, or OperatorError if a retry won't help.
        """
        span = {"timeframe": timeframe, "start": _rfc3339(first), "end": _rfc3339(last), "adjustment": "raw"}
        self.refused_symbols = frozenset()
        for chunk in _chunks(symbols):
            yield from self._bars_of(chunk, {**span, "limit": str(MOST_ROWS)})

    def _bars_of(self, symbols: Sequence[str], query: Mapping[str, str]) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the pages of some symbols; if the venue refuses the list, split it to isolate the bad symbol."""
        try:
            for page in _pages(self._data, "/stocks/bars", {**self._venue.query_of(symbols), **query}):
                yield _by_symbol(page, symbols, partial(_bar, tally=self._tally), self._tally)
        except DataPlanError as error:
            raise self._plan_error(error) from error
        except RefusedReadError as error:
            if error.status not in MALFORMED:
                raise
            if len(symbols) == 1:
                self.refused_symbols |= {symbols[0]}
                self._tally.note("bars", "symbols", f"{symbols[0]} was refused: {error.message}")
                return
            middle = len(symbols) // 2
            yield from self._bars_of(symbols[:middle], query)
            yield from self._bars_of(symbols[middle:], query)

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return the splits and dividends processed between two dates, inclusive, by symbol.

        Actions under a company's earlier symbols are returned under its present symbol. Raise TemporaryError, or
        OperatorError if a retry won't help.
        """
        heirs = {symbol: symbol for symbol in symbols}
        by_symbol: dict[str, list[CorporateAction]] = {symbol: [] for symbol in symbols}
        unasked = list(symbols)
        for _ in range(1 + _MOST_NAMES):
            earlier: dict[str, str] = {}
            for announced in self._announced_actions(unasked, first, last):
                if announced.action is None and announced.name not in heirs and announced.heir in heirs:
                    earlier[announced.name] = heirs[announced.heir]
                elif announced.action is not None and announced.name in heirs:
                    by_symbol[heirs[announced.name]].append(announced.action)
            unasked = list(earlier)
            heirs |= earlier
            if not unasked:
                break
        return by_symbol

    def renamed_symbols(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, str]:
        """Return which of these symbols were renamed between two dates, with their present symbols.

        Raise like `actions`.
        """
        by_symbol: dict[str, str] = {}
        named = {symbol: symbol for symbol in symbols}
        for _ in range(_MOST_NAMES):
            heirs = {
                action.name: action.heir
                for action in self._announced_actions(list(named), first, last)
                if action.action is None
            }
            named = {heirs[name]: symbol for name, symbol in named.items() if name in heirs}
            by_symbol |= {symbol: name for name, symbol in named.items()}
            if not named:
                break
        return by_symbol

    def _announced_actions(self, symbols: Sequence[str], first: date, last: date) -> Iterator["_Announced"]:
        span = {"start": first.isoformat(), "end": last.isoformat()}
        for chunk in _chunks(symbols):
            query = {"symbols": ",".join(chunk), "types": ",".join(_KINDS), **span, "limit": str(MOST_ACTIONS)}
            for page in _pages(self._events, "/corporate-actions", query):
                grouped = _object(page, "corporate_actions")
                for kind in _KINDS:
                    read = partial(_action, kind, tally=self._tally)
                    yield from keep_readable(kind, _rows(grouped, f"{kind}s"), read, self._tally)

    def _plan_error(self, error: DataPlanError) -> Exception:
        """Return the exception to raise if the data plan doesn't include the requested bars.

        The first time, set `delay` and return DelayedError, so that the caller can request older bars; after that,
        return `error` itself.
        """
        if self.delay:
            return error
        self.delay = PLAN_DELAY
        self._tally.note("bars", "feed", f"provides bars only after {PLAN_DELAY.total_seconds() / 60:.0f} minutes")
        return DelayedError("The data plan provides recent bars only with a delay.", error.hint)


class _Announced(NamedTuple):
    """A corporate action under one name of a company, or the name that replaced it if `action` is None."""

    name: str
    action: CorporateAction | None
    heir: str = ""


def _rfc3339(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _chunks(symbols: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(symbols), MOST_SYMBOLS):
        yield symbols[start : start + MOST_SYMBOLS]


def _pages(reads: AlpacaReads, path: str, query: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    """Yield every page of a reply; raise TemporaryError if a page repeats or there are too many."""
    tokens: set[str] = set()
    bound: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = reads.json(path, {**query, **bound})
        if not isinstance(page, Mapping):
            raise TemporaryError(f"GET {path} did not return a JSON object")
        yield page
        token = page.get("next_page_token")
        if token is None or token == "":
            return
        if not isinstance(token, str) or len(token) > LONGEST_TOKEN:
            raise TemporaryError(f"GET {path} returned a page token that can't be used")
        if token in tokens:
            raise TemporaryError(f"GET {path} repeats a page")
        tokens.add(token)
        bound = {"page_token": token}
    raise TemporaryError(f"GET {path} has more than {MOST_PAGES} pages")


def _object(page: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return an object inside a page; an absent or null one is empty."""
    value = page.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TemporaryError(f"the data API's {name} is not an object")
    return value


def _rows(grouped: Mapping[str, object], name: str) -> list[object]:
    value = grouped.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise TemporaryError(f"the data API's rows of {name} are not a list")
    return value


def _by_symbol(
    page: Mapping[str, object], symbols: Sequence[str], read: Callable[[object], T], tally: DriftTally
) -> dict[str, Sequence[T]]:
    grouped = _object(page, "bars")
    return {
        symbol: keep_readable("bar", _rows(grouped, symbol), read, tally) for symbol in symbols if symbol in grouped
    }


def _bar(raw: object, tally: DriftTally) -> RawBar:
    """Parse one bar; raise RowError if a price isn't above zero or the prices contradict each other."""
    row = JsonFields("bar", raw, tally)
    opening, high, low, close = (float(row.positive(name)) for name in "ohlc")
    if not low <= min(opening, close) <= max(opening, close) <= high:
        raise RowError("h", f"and l don't contain open and close: {opening} {high} {low} {close}")
    volume = float(row.number("v"))
    if volume < 0:
        raise RowError("v", f"is negative: {volume}")
    return RawBar(int(row.time("t").timestamp()), opening, high, low, close, volume)


def _action(kind: str, raw: object, tally: DriftTally) -> _Announced:
    row = JsonFields(kind, raw, tally)
    if kind == "name_change":
        return _Announced(row.text("old_symbol", LONGEST_SYMBOL), None, row.text("new_symbol", LONGEST_SYMBOL))
    if kind == "cash_dividend":
        change, amount = DIVIDEND, row.positive("rate")
    elif kind == "stock_dividend":
        change, amount = SPLIT, 1 + row.positive("rate")
    else:
        change, amount = SPLIT, row.positive("new_rate") / row.positive("old_rate")
    return _Announced(row.symbol(), CorporateAction(_date(row, "ex_date"), change, float(amount)))


def _date(row: JsonFields, name: str) -> date:
    try:
        return date.fromisoformat(row.text(name))
    except ValueError as error:
        raise error if isinstance(error, RowError) else RowError(name, "is not a date") from error
