"""Read contracts and prices: listings, streaming quotes, historical bars, and margin.

The venue reports a contract's margin in reply to a what-if order (`whatIf`), which isn't placed. A bar that isn't over
is left out.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_UP, Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tradebot.adapters.bars.store import CorporateAction
from tradebot.adapters.wire.http import printable
from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import TemporaryError
from tradebot.model.bar import SUSPENDED, Quote, Session
from tradebot.model.instrument import AssetClass, Hours, Instrument, Listing, MarginLevel, TickStep
from tradebot.model.series import PriceKind, width_of
from tradebot.venues.ibkr.capabilities import HISTORY_ERROR, IBKR, NO_BARS, NO_CONTRACT, WITHOUT_BARS
from tradebot.venues.ibkr.contracts import ROOTS, contract_mismatch, months_of, rolling_of, root_of
from tradebot.venues.ibkr.link import IbkrConnection, IbkrVenue
from tradebot.venues.ibkr.order_reports import number, positive
from tradebot.venues.ibkr.wrapper import Ticks, VenueError

FUTURE, EXCHANGES = "FUT", frozenset(root.exchange for root in ROOTS.values())

_BID, _ASK, _LAST, _CLOSE = 1, 2, 4, 9

_STEP_S = 0.01


async def details_of(line: IbkrConnection, symbol: str, today: date | None = None) -> Any | None:
    """Fetch the details of the only future with this name; None if there isn't exactly one.

    Details fetched on an earlier day than `today` are fetched again, because they contain only the next days' hours.
    """
    if today and line.asked_on.get(symbol) != today:
        line.contracts.pop(symbol, None)
        line.asked_on[symbol] = today
    if symbol not in line.contracts and (details := await _request_details(line, symbol)) is not None:
        line.contracts[symbol] = details
    return line.contracts.get(symbol)


async def contract_with_bars(line: IbkrConnection, symbol: str) -> Any | None:
    """Return the only future with this name for requesting bars, even if it has expired; None if there isn't exactly
    one.

    The venue returns expired contracts only if each request asks for them.
    """
    details = await details_of(line, symbol)
    if details is not None:
        return details.contract
    if symbol not in line.ended and (ended := await _request_details(line, symbol, ended=True)) is not None:
        line.ended[symbol] = replace(ended.contract, includeExpired=True)
    return line.ended.get(symbol)


async def _request_details(line: IbkrConnection, symbol: str, *, ended: bool = False) -> Any | None:
    from ib_async.contract import Contract

    wanted = Contract(secType=FUTURE, localSymbol=symbol, currency=IBKR.currency, includeExpired=ended)
    try:
        rows = await line.ask_numbered(lambda number: line.client.reqContractDetails(number, wanted))
    except VenueError as error:
        if error.code != NO_CONTRACT:
            raise
        rows = []
    fitting = [row for row in rows if row.contract.exchange in EXCHANGES and row.contract.localSymbol == symbol]
    return fitting[0] if len(fitting) == 1 else None


def listing(details: Any, read_at: datetime, levels: tuple[MarginLevel, ...]) -> Listing:
    """Return a contract's listing with these margin levels; raise RowError if it has no tick or multiplier, or has
    expired.
    """
    contract, symbol = details.contract, str(details.contract.localSymbol)
    tick, lot = positive("minTick", details.minTick), positive("sizeIncrement", details.sizeIncrement or 1)
    multiplier = positive("multiplier", contract.multiplier)
    last = _day(details.realExpirationDate or contract.lastTradeDateOrContractMonth)
    if last < IBKR.day.date_of(read_at):
        raise RowError("realExpirationDate", f"has expired: {last}")
    try:
        root = root_of(symbol)
    except ValueError as error:
        raise RowError("localSymbol", str(error)) from error
    hours, unreadable = trading_hours(details, read_at)
    return Listing(
        Instrument(
            symbol=symbol,
            asset_class=AssetClass.FUTURE,
            underlying=root.name,
            expiry=last,
            multiplier=multiplier,
            tick=tick,
            lot=lot,
            currency=str(contract.currency),
            calendar=root.calendar,
        ),
        (TickStep(tick - tick, tick),),
        positive("minSize", details.minSize or 1),
        read_at,
        levels,
        last,
        rolling_of(symbol, root, last),
        contract_mismatch(root, multiplier, tick, str(contract.exchange), str(contract.currency))
        or (unreadable and f"{root.name}: {unreadable}"),
        hours,
    )


def trading_hours(details: Any, now: datetime) -> tuple[Hours | None, str]:
    """Return a contract's trading hours from now on, with an empty text; or None, with why they can't be read."""
    trading, liquid, zone = (
        str(text or "") for text in (details.tradingHours, details.liquidHours, details.timeZoneId)
    )
    try:
        return hours_of(trading, liquid, zone, now), ""
    except ValueError as error:
        return None, f"trading hours can't be read: {error}"


async def calendar_hours(line: IbkrConnection, calendar: str, now: datetime) -> Hours | None:
    """Return the venue's hours for a calendar's products, from a contract of the first root that it lists.

    They are fetched once a day. Return None if the venue lists no such contract, or if the contract's hours can't be
    read.
    """
    today = IBKR.day.date_of(now)
    asked_on, hours = line.hours.get(calendar, (None, None))
    if asked_on != today:
        for root in (root for root in ROOTS.values() if root.calendar == calendar):
            details = await details_of(line, months_of(root.name, today, today)[0].symbol, today)
            if details is not None:
                hours, _ = trading_hours(details, now)
                break
        line.hours[calendar] = today, hours
    return hours


def _day(text: str) -> date:
    try:
        return datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise RowError("realExpirationDate", "is not a date") from error


async def streaming_ticks(line: IbkrConnection, symbols: Sequence[str]) -> tuple[datetime, Mapping[str, Ticks]]:
    """Return the venue's time and each contract's streamed ticks; wait briefly for contracts that were just
    requested.
    """
    for symbol in symbols:
        if symbol not in line.quoted and (details := await details_of(line, symbol)) is not None:
            await line.room()
            number = line.client.getReqId()
            line.receiver.ticks[number], line.quoted[symbol] = Ticks(), number
            line.client.reqMktData(number, details.contract, "", False, False, [])
    ticks_now = {symbol: line.receiver.ticks[line.quoted[symbol]] for symbol in symbols if symbol in line.quoted}
    clock = asyncio.get_running_loop()
    until = clock.time() + line.patience.quote
    while clock.time() < until and not all(ticks.complete for ticks in ticks_now.values()) and not line.receiver.gone:
        await asyncio.sleep(_STEP_S)
    now = datetime.fromtimestamp(await line.time(), UTC)
    for tick in ticks_now.values():
        tick.age = max(clock.time() - tick.seen, 0)
    return now, ticks_now


def last_price(ticks: Ticks | None) -> Decimal:
    """Return the last price, or else the previous session's close; raise RowError if there is neither."""
    prices = ticks.prices if ticks else {}
    return positive("last", prices.get(_LAST, 0) or prices.get(_CLOSE, 0))


def quote(symbol: str, ticks: Ticks | None, now: datetime) -> Quote:
    """Return a quote dated by its last price; raise RowError for a contract without a usable quote."""
    if ticks is None:
        raise RowError(symbol, "isn't listed")
    if ticks.problem:
        raise RowError("market data", ticks.problem)
    if ticks.halted:
        raise RowError(SUSPENDED, "")
    if ticks.delayed:
        raise RowError("market data", "is delayed: this login has no subscription for it")
    bid, ask, last = (
        positive(name, ticks.prices.get(kind, 0)) for name, kind in (("bid", _BID), ("ask", _ASK), ("last", _LAST))
    )
    if bid > ask:
        raise RowError("bid", "is above the ask")
    close = ticks.prices.get(_CLOSE, 0)
    return Quote(
        symbol=symbol,
        at=now - timedelta(seconds=ticks.age),
        bid=bid,
        ask=ask,
        last=last,
        previous_close=positive("close", close) if close > 0 else None,
        feed=IBKR.title,
    )


async def contract_of(line: IbkrConnection, symbol: str) -> Any:
    """Return the contract for sending an order; raise TemporaryError if the venue doesn't have it."""
    details = await details_of(line, symbol)
    if details is None:
        raise TemporaryError(f"{IBKR.title} doesn't list exactly one future {symbol}")
    return details.contract


CLOSED = "CLOSED"

_SPAN = re.compile(r"(?P<begins>\d{4})-(?:(?P<day>\d{8}):)?(?P<ends>\d{4})")

_ZONES: Mapping[str, str] = MappingProxyType({"CST": "America/Chicago", "EST": "America/New_York", "GMT": "Etc/UTC"})

"""Time zones by the abbreviations that older servers send."""


class TradingSpan(NamedTuple):
    """A period in which the venue trades a contract, in UTC."""

    opens: datetime
    closes: datetime


def hours_of(trading: str, liquid: str, zone: str, now: datetime) -> Hours:
    """Parse the hours in a contract's details, from now on; raise ValueError if they are unreadable.

    A session belongs to the date on which it closes. The hours reach to the last session, or to the last closed day.
    """
    where = _zone(zone)
    spans = parse_sessions(trading, zone)
    if not spans:
        raise ValueError("no hours")
    told_until = (day + timedelta(days=1) for day, words in _days(trading) if words == CLOSED)
    until = max((spans[-1].closes, *(_at(day, "0000", where) for day in told_until)))
    parts = (
        tuple(Session(_date(span, where), *span) for span in part) for part in (spans, parse_sessions(liquid, zone))
    )
    return Hours(min(now, spans[0].opens), until, *parts)


def _date(span: TradingSpan, zone: ZoneInfo) -> date:
    return (span.closes - timedelta(microseconds=1)).astimezone(zone).date()


def parse_sessions(text: str, zone: str) -> Sequence[TradingSpan]:
    """Parse the trading periods in a contract's details, oldest first; raise ValueError if they are unreadable.

    Days are separated by `;`, as in 20261126:1700-20261127:1215 or 20261128:CLOSED. Older servers write
    20261126:0830-1500,1530-1600, where an end earlier than its start is on the next day.
    """
    where, spans_found, days = _zone(zone), list[TradingSpan](), tuple(_days(text))
    for begins_on, spans in days:
        if spans != CLOSED:
            # Only a day's first period may have an end without a date.
            spans_found += [
                _span(span.removeprefix(f"{begins_on:%Y%m%d}:"), begins_on, where) for span in spans.split(",")
            ]
    if not days:
        raise ValueError("no hours")
    return sorted(spans_found)


def _days(text: str) -> Iterator[tuple[date, str]]:
    for row in filter(None, text.split(";")):
        day, _, spans = row.partition(":")
        yield datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date(), spans


def _zone(name: str) -> ZoneInfo:
    first = name.split(maxsplit=1)[0] if name.strip() else ""
    try:
        return ZoneInfo(_ZONES.get(first, first))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"unknown time zone {first[:30]!r}") from error


def _span(text: str, day: date, zone: ZoneInfo) -> TradingSpan:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} can't be read as hours")
    opens = _at(day, match["begins"], zone)
    ends_on = datetime.strptime(match["day"], "%Y%m%d").replace(tzinfo=UTC).date() if match["day"] else day
    closes = _at(ends_on, match["ends"], zone)
    if closes <= opens and not match["day"]:
        closes = _at(day + timedelta(days=1), match["ends"], zone)
    if closes <= opens:
        raise ValueError(f"{text[:40]!r} end before they start")
    return TradingSpan(opens, closes)


def _at(day: date, clock: str, zone: ZoneInfo) -> datetime:
    at = datetime.strptime(clock, "%H%M").replace(tzinfo=UTC).time()
    return datetime.combine(day, at, zone).astimezone(UTC)


SIDES = "BUY", "SELL"

_AWAY = dict(zip(SIDES, (Decimal("0.99"), Decimal("1.01")), strict=True))

"""The limit price of each side, as a fraction of the last price, at which an order would rest and not fill."""

_PLACES = Decimal("0.000001")

_FIGURES = "initMarginChange", "maintMarginChange"


async def levels(line: IbkrConnection, details: Any, ticks: Ticks | None, tally: DriftTally) -> tuple[MarginLevel, ...]:
    """Query a contract's margin levels, as fractions of notional; empty unless all are known.

    The margin of one contract is queried on both sides and the larger reply counts, because an order that reduces an
    existing position needs less.
    """
    try:
        price = last_price(ticks)
        questions = [_question(line, details, action, price) for action in _AWAY]
        answers = await asyncio.gather(*(_answer(line, details.contract, order) for order in questions))
        return levels_of(details, price, answers)
    except RowError as error:
        tally.note("margin", error.field_name, error.problem)
    except VenueError as error:
        tally.note("margin", "whatIf", f"is refused: {error}")
    except TimeoutError:
        tally.note("margin", "whatIf", "has no figures in its reply")
    return ()


def levels_of(details: Any, price: Decimal, answers: Sequence[Any]) -> tuple[MarginLevel, ...]:
    """Build margin levels from the replies for one contract on each side; raise RowError if a figure is missing."""
    worth = price * positive("multiplier", details.contract.multiplier)
    most = [positive(name, max(number(name, getattr(state, name)) for state in answers)) for name in _FIGURES]
    initial, maintenance = ((amount / worth).quantize(_PLACES, ROUND_UP) for amount in most)
    return (MarginLevel(Decimal(0), initial, maintenance),)


def _question(line: IbkrConnection, details: Any, action: str, price: Decimal) -> Any:
    from ib_async.order import Order as Message

    tick = positive("minTick", details.minTick)
    limit = (price * _AWAY[action] / tick).to_integral_value() * tick
    return Message(
        action=action, totalQuantity=Decimal(1), orderType="LMT", lmtPrice=limit, tif="DAY", account=line.account
    )


async def _answer(line: IbkrConnection, contract: Any, order: Any) -> Any:
    """Return the venue's state for a what-if order; this is the only place that sends one."""
    order.whatIf = True
    answer = line.ask_numbered(lambda number: line.client.placeOrder(number, contract, order))
    return (await asyncio.wait_for(answer, line.patience.quote))[-1]


SIZES: Mapping[str, tuple[str, timedelta]] = {
    "1Min": ("1 min", timedelta(days=1)),
    "5Min": ("5 mins", timedelta(days=5)),
    "15Min": ("15 mins", timedelta(days=10)),
    "30Min": ("30 mins", timedelta(days=20)),
    "1Hour": ("1 hour", timedelta(days=30)),
    "1Day": ("1 day", timedelta(days=300)),
}

"""The venue's names of timeframes, and the longest period per request."""


class IbkrBars:
    """A source of Interactive Brokers' bars; a bar is available as soon as it has ended."""

    name, delay = "ibkr", timedelta(0)
    timeframes = frozenset(SIZES)

    def __init__(self, venue: IbkrVenue, tally: DriftTally) -> None:
        self._venue, self._tally = venue, tally
        self.refused_symbols: frozenset[str] = frozenset()

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the bars of each symbol, page by page."""
        self.refused_symbols, width = frozenset(), width_of(timeframe) or timedelta(days=1)
        now = datetime.fromtimestamp(self._venue.link.read(lambda line: line.time()), UTC)
        # A daily bar is over when its session closes, some hours after midnight.
        lasts_s = (IBKR.day.opens + IBKR.day.lasts if timeframe == "1Day" else width).total_seconds()
        for symbol in symbols:
            start, until = first, min(last + width, now)
            while start < until:
                end = min(start + SIZES[timeframe][1], until)
                rows = self._page(symbol, timeframe, start, end)
                if rows is None:
                    self.refused_symbols |= {symbol}
                    break
                bars = [bar for bar in self._readable(rows) if first.timestamp() <= bar.start_s <= last.timestamp()]
                inside = [bar for bar in bars if start.timestamp() <= bar.start_s < end.timestamp()]
                yield {symbol: [bar for bar in inside if bar.start_s + lasts_s <= now.timestamp()]}
                start = end

    def _page(self, symbol: str, timeframe: str, start: datetime, end: datetime) -> list[Any] | None:
        """Fetch the rows of a period; None if there is no such contract."""

        async def ask(line: IbkrConnection) -> list[Any] | None:
            contract = await contract_with_bars(line, symbol)
            if contract is None:
                return None
            size, span = SIZES[timeframe][0], end - start
            lasts = f"{span.days + 1} D" if span >= timedelta(days=1) else f"{max(int(span.total_seconds()), 60)} S"
            try:
                return await line.ask_numbered(
                    lambda number: line.client.reqHistoricalData(
                        number, contract, f"{end:%Y%m%d-%H:%M:%S}", lasts, size, "TRADES", 0, 2, False, []
                    )
                )
            except VenueError as error:
                if error.code != HISTORY_ERROR:
                    raise
                if NO_BARS in error.words.lower():
                    return []
                reason = printable(error.words)
                hint = next((what for words, what in WITHOUT_BARS.items() if words in reason.lower()), "")
                raise TemporaryError(f"{IBKR.title} returned no bars of {symbol}: {reason}", hint) from error

        self._venue.before_read()
        return self._venue.link.read(ask)

    def _readable(self, rows: Sequence[Any]) -> Iterator[RawBar]:
        for row in rows:
            try:
                yield _bar(row)
            except RowError as error:
                self._tally.note("bar", error.field_name, f"row refused: {error.problem}")

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return nothing: futures have no splits and no dividends."""
        return dict.fromkeys(symbols, ())


def _bar(row: Any) -> RawBar:
    text = str(row.date)
    try:
        start = IBKR.day.begins_s(datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()) if len(text) == 8 else 0
        start_s = start or int(text)
    except ValueError as error:
        raise RowError("date", "is not a time") from error
    opening, high, low, close = (float(price) for price in (row.open, row.high, row.low, row.close))
    if not 0 < low <= min(opening, close) <= max(opening, close) <= high:
        raise RowError("high", "and low don't contain open and close")
    return RawBar(start_s, opening, high, low, close, max(float(row.volume), 0.0))
