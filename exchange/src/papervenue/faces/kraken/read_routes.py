"""Serve current data: instruments, tickers and order books, and an account's figures, positions, orders and fills.

Candles of trades, of the mark and of the index, from a minute to a week long, are built from the market's minutes. An
unfinished candle consists of the minutes so far, as at the venue.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Fill, Order
from papervenue.exchange import Exchange
from papervenue.faces.kraken import wire_format
from papervenue.faces.kraken.wire_format import average, encoded, error, iso, milliseconds, number, price, timed_reply
from papervenue.faces.web import Call, Reply
from papervenue.jsontext import plain
from papervenue.margined import accounts
from papervenue.margined.accounts import NetPosition, equity_and_margins, net_positions
from papervenue.market.bars import Bar
from papervenue.market.sessions import Calendar, full_calendar
from papervenue.times import DAY, HOUR, MINUTE, SECOND, parse_time

FUNDING_COEFFICIENT = 24

"""The premium of the last price over the index that corresponds to an hourly funding rate, both as rates."""

_HIGHEST_FUNDING = Decimal("0.0025")

_FILLS_A_PAGE = 100

_REMEMBERED_US = 5 * SECOND

"""How long an ended order stays in the list of statuses."""

_NAMES = {"XBT": "BTC"}

"""What a coin is called outside of contracts' symbols."""

_LEVELS = 5

_SHOWN = Decimal("0.0003")

"""The size at the best price, as a share of a day's volume. Further levels have two, three… times as much."""

_WAITING = {"take_profit": "take_profit", "trailing_stop": "trailing_stop"}
"""What an order that waits for a price is called in the list of open orders, if not a stop."""
_PRICE, _PERCENT = Decimal("1e-10"), Decimal("1e-6")


def _resting(lot: Decimal, volume: int) -> Decimal:
    """Return how many contracts rest at the best price, in whole lots, given how many were traded in a day."""
    return max(volume * _SHOWN // lot, Decimal(100)) * lot


def index_of(last: Decimal, rate: Decimal) -> Decimal:
    """Return a coin's own price in USD (the index), given the perpetual's last price and funding rate."""
    return (last - rate * FUNDING_COEFFICIENT).quantize(_PRICE)


def _index_in_usd(usd: Callable[[int], Decimal], rate: Decimal, last: int) -> Decimal:
    return index_of(usd(last), rate)


def base_of(symbol: str) -> str:
    """Return the coin of a perpetual such as PF_XBTUSD."""
    coin = symbol.removeprefix("PF_").removesuffix("USD")
    return _NAMES.get(coin, coin)


class KrakenReads:
    """Handles read requests to an exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._engine: Engine = exchange.engine

    def instruments(self, call: Call) -> Reply:
        """Return the listing of every symbol."""
        listed = [self._instrument_row(symbol) for symbol in self._engine.market.symbols]
        return timed_reply(self._engine.now_us, instruments=listed)

    def _instrument_row(self, symbol: str) -> dict[str, Any]:
        grid, now_us = self._engine.market.grids[symbol], self._engine.now_us
        instrument, base = grid.instrument, base_of(symbol)
        ended = grid.last_us is not None and now_us >= grid.last_us
        last = {} if grid.last_us is None else {"lastTradingTime": iso(grid.last_us)}
        return {
            "symbol": symbol,
            "type": "flexible_futures",
            "tradeable": not ended,
            "tickSize": number(grid.usd(grid.tick(int(instrument.level * grid.units)))),
            "contractSize": number(instrument.multiplier),
            "contractValueTradePrecision": _precision(instrument.lot),
            "maxPositionSize": number(wire_format.most_held(instrument)),
            "impactMidSize": number(instrument.lot * 100),
            "openingDate": iso(self._engine.market.calendar.all[0].open_us),
            "base": base,
            "quote": instrument.currency,
            "pair": f"{base}:{instrument.currency}",
            "marginLevels": [
                {
                    "numNonContractUnits": number(level.usd),
                    "initialMargin": number(level.initial),
                    "maintenanceMargin": number(level.maintenance),
                }
                for level in instrument.margin_levels
            ],
            "fundingRateCoefficient": FUNDING_COEFFICIENT,
            "maxRelativeFundingRate": _HIGHEST_FUNDING,
            "postOnly": False,
            "feeScheduleUid": "",
            "tradfi": False,
            **last,
        }

    def tickers(self, call: Call) -> Reply:
        """Return the prices of every symbol that has a price."""
        rows = [row for symbol in self._engine.market.symbols if (row := self.prices(symbol))]
        return timed_reply(self._engine.now_us, tickers=rows)

    def ticker(self, call: Call) -> Reply:
        """Return the prices of one symbol."""
        symbol = call.names["symbol"].upper()
        row = self.prices(symbol) if symbol in self._engine.market.known else None
        if row is None:
            raise error(self._engine.now_us, "invalidArgument: symbol")
        return timed_reply(self._engine.now_us, ticker=row)

    def prices(self, symbol: str) -> dict[str, Any] | None:
        """Return the ticker of a symbol, or None before it has a price."""
        market, now_us = self._engine.market, self._engine.now_us
        grid, bar = market.grids[symbol], market.last_bar(symbol, now_us)
        last, base = self._engine.last_price(symbol), base_of(symbol)
        if last is None:
            return None
        mark = accounts.mark_of(self._engine, symbol)
        bid, ask = self._engine.model.around(last, symbol)
        rate = accounts.rate_of(self._engine, symbol)
        opened, volume, turnover = self._day(symbol)
        high, low = self._range_of_day(symbol, last)
        size, rate = number(_resting(grid.lot, volume)), number(rate)
        return {
            "tag": "perpetual" if grid.last_us is None else "month",
            "pair": f"{base}:{grid.instrument.currency}",
            "symbol": symbol,
            "markPrice": price(grid, mark),
            "indexPrice": self.index(symbol, last),
            "bid": price(grid, bid),
            "bidSize": size,
            "ask": price(grid, ask),
            "askSize": size,
            "last": price(grid, last),
            "lastTime": iso(min(now_us, bar.end_us) if bar else market.calendar.start_us),
            "lastSize": number(grid.lot),
            "open24h": price(grid, opened or last),
            "high24h": price(grid, high),
            "low24h": price(grid, low),
            "change24h": number(_change(opened or last, last)),
            "vol24h": volume,
            "volumeQuote": number(grid.usd(turnover)),
            "openInterest": volume,
            "suspended": symbol in self._engine.halted or (grid.last_us is not None and now_us >= grid.last_us),
            "postOnly": False,
            "fundingRate": rate,
            "fundingRatePrediction": rate,
        }

    def index(self, symbol: str, last: int) -> Decimal:
        """Return the coin's own price (the index): the last price less the premium that the funding rate implies."""
        name = self._engine.market.series_name(symbol, SPOT)
        if name != symbol and (own := self._engine.market.price(name, self._engine.now_us)) is not None:
            return number(self._engine.market.grids[symbol].usd(own))
        return number(index_of(self._engine.market.grids[symbol].usd(last), accounts.rate_of(self._engine, symbol)))

    def _day(self, symbol: str) -> tuple[int | None, int, int]:
        """Return the price a day ago, and volume and turnover since then, from this session and the one before."""
        market, now_us = self._engine.market, self._engine.now_us
        calendar = market.calendars[symbol]
        index = calendar.last_reached(now_us)
        if index < 0:
            return market.close_of(symbol, -1), 0, 0
        today, since_us = market.day(symbol, index), now_us - DAY
        before = market.day(symbol, index - 1) if index > -market.past_minutes else None
        if before is None:
            return today.bars[0].open, *today.sums(now_us)
        start = before.complete(since_us)
        opened = before.bars[start].open if start < len(before.bars) else None
        sums = zip(today.sums(now_us), before.sums(now_us), before.sums(since_us), strict=True)
        volume, turnover = (now + earlier - over for now, earlier, over in sums)
        return opened, volume, turnover

    def _range_of_day(self, symbol: str, last: int) -> tuple[int, int]:
        """Return the highest and the lowest price of the last 24 hours; the last price without a minute in them."""
        market, now_us = self._engine.market, self._engine.now_us
        index = market.calendars[symbol].last_reached(now_us)
        today = market.day(symbol, index).until(now_us, 0) if index >= 0 else None
        before = market.day(symbol, index - 1) if index > -market.past_minutes else None
        tail = None if before is None else before.extremes_from(before.complete(now_us - DAY))
        ranges = [(last, last), *([(today.high, today.low)] if today else []), *([tail] if tail else [])]
        return max(high for high, _ in ranges), min(low for _, low in ranges)

    def levels(self, symbol: str) -> tuple[list[list[Decimal]], list[list[Decimal]]]:
        """Return the modeled bids and offers around the last price, best first; empty before the symbol has a price."""
        last = self._engine.last_price(symbol)
        if last is None:
            return [], []
        size = _resting(self._engine.market.grids[symbol].lot, self._day(symbol)[1])
        sides = zip(self._engine.model.around(last, symbol), (-1, 1), strict=True)
        bids, asks = ([self._level(symbol, at, way, step, size) for step in range(_LEVELS)] for at, way in sides)
        return [row for row in bids if row[0] > 0], [row for row in asks if row[0] > 0]

    def book(self, call: Call) -> Reply:
        """Return a few levels around a symbol's price: the modeled bid and offer, and a few ticks beyond each."""
        symbol = call.query.get("symbol", "").upper()
        if symbol not in self._engine.market.known or self._engine.last_price(symbol) is None:
            raise error(self._engine.now_us, "invalidArgument: symbol")
        return timed_reply(self._engine.now_us, orderBook=dict(zip(("bids", "asks"), self.levels(symbol), strict=True)))

    def _level(self, symbol: str, at: int, way: int, step: int, size: Decimal) -> list[Decimal]:
        grid = self._engine.market.grids[symbol]
        return [number(grid.usd(at + way * step * grid.tick(at))), number(size * (step + 1))]

    def accounts(self, owner: Account) -> Reply:
        """Return the figures of the margin account, and of a cash account, which is empty.

        The figures include isolated positions, but the money set aside for those isn't available. Unbooked funding is
        reported separately, because margins ignore it until it is booked.
        """
        now, accrued = (
            equity_and_margins(self._engine, owner),
            sum(map(self._accrued_funding, net_positions(owner)), Decimal(0)),
        )
        margins = {
            "initialMargin": number(now.initial),
            "initialMarginWithOrders": number(now.ordered),
            "maintenanceMargin": number(now.maintenance),
        }
        cash = {
            "quantity": number(now.cash),
            "value": number(now.cash),
            "collateral": number(now.cash),
            "available": number(now.available),
        }
        flex = {
            "type": "multiCollateralMarginAccount",
            "currencies": {"USD": cash},
            **margins,
            "balanceValue": number(now.cash),
            "portfolioValue": number(now.equity),
            "collateralValue": number(now.cash),
            "pnl": number(now.unrealized),
            "unrealizedFunding": number(accrued),
            "totalUnrealized": number(now.unrealized + accrued),
            "totalUnrealizedAsMargin": number(now.unrealized),
            "availableMargin": number(now.available),
            "marginEquity": number(now.equity),
        }
        holding = {"type": "cashAccount", "balances": {}}
        return timed_reply(self._engine.now_us, accounts={wire_format.MARGINED: flex, "cash": holding})

    def _accrued_funding(self, net_position: NetPosition) -> Decimal:
        """Return the funding that a position has earned since the last booking; negative if it has to pay."""
        return -accounts.funding_due(self._engine, net_position)

    def positions(self, owner: Account) -> Reply:
        """Return the positions, a row for each symbol."""
        return timed_reply(
            self._engine.now_us, openPositions=[self._position(owner, position) for position in net_positions(owner)]
        )

    def _position(self, owner: Account, net_position: NetPosition) -> dict[str, Any]:
        leverage = owner.leverages.get(net_position.symbol)
        return {
            "side": "long" if net_position.qty > 0 else "short",
            "symbol": net_position.symbol,
            "price": average(net_position.average),
            "fillTime": iso(self._last_fill_us(owner, net_position.symbol)),
            "size": number(abs(net_position.qty)),
            "unrealizedFunding": number(self._accrued_funding(net_position)),
            "pnlCurrency": "USD",
            **({} if leverage is None else {"maxFixedLeverage": number(leverage)}),
        }

    def _last_fill_us(self, owner: Account, symbol: str) -> int:
        fill_times = (
            activity.at_us
            for activity in reversed(owner.activities)
            if isinstance(activity, Fill) and activity.order.symbol == symbol
        )
        return next(fill_times, owner.created_us)

    def open_orders(self, owner: Account) -> Reply:
        """Return the open orders; an order disappears as soon as it has ended."""
        return timed_reply(self._engine.now_us, openOrders=[self._open_order(order) for order in owner.open.values()])

    def _open_order(self, order: Order) -> dict[str, Any]:
        grid, request = self._engine.market.grids[order.symbol], order.request
        kind = "mkt" if request.type == "market" else "lmt"
        if wire_format.is_untriggered_stop(order):
            kind = _WAITING.get(wire_format.order_type(request), "stop")
        prices = {"limitPrice": price(grid, request.limit), "stopPrice": price(grid, order.stop)}
        trigger = {"triggerSignal": request.trigger} if wire_format.is_untriggered_stop(order) else {}
        # The venue doesn't show the size of an untriggered stop.
        size = {} if wire_format.is_untriggered_stop(order) else {"unfilledSize": number(order.remaining)}
        name = {} if request.client_order_id is None else {"cliOrdId": request.client_order_id}
        return {
            "order_id": order.id,
            **name,
            "symbol": order.symbol,
            "side": wire_format.side(order.side),
            "orderType": kind,
            **{what: value for what, value in prices.items() if value is not None},
            **trigger,
            **size,
            "filledSize": number(order.filled_qty),
            "receivedTime": iso(order.submitted_us),
            "lastUpdateTime": iso(order.updated_us),
            "status": "partiallyFilled" if order.filled_qty else "untouched",
            "reduceOnly": request.reduce_only,
        }

    def statuses(self, owner: Account, order_ids: set[str], clients: set[str]) -> Reply:
        """Return the states of orders by either id; an order that ended more than a few seconds ago is unknown."""
        since_us = self._engine.now_us - _REMEMBERED_US
        orders = {owner.orders.get(name.lower()) for name in order_ids} | {
            owner.by_client_id.get(name) for name in clients
        }
        listed = (order for order in orders if order is not None and (order.is_open or order.updated_us >= since_us))
        rows = [self._status(order) for order in sorted(listed, key=attrgetter("sequence"))]
        return timed_reply(self._engine.now_us, orders=rows)

    def _status(self, order: Order) -> dict[str, Any]:
        grid = self._engine.market.grids[order.symbol]
        shown = wire_format.order_event(grid, order) | {
            "type": "TRIGGER_ORDER" if wire_format.is_untriggered_stop(order) else "ORDER"
        }
        trigger = {"triggerPrice": price(grid, order.stop), "triggerSide": wire_format.trigger_side(order).upper()}
        options = trigger | {"triggerSignal": f"{order.request.trigger.upper()}_PRICE"} if order.stop else None
        if order.is_open:
            state, reason = ("TRIGGER_PLACED" if wire_format.is_untriggered_stop(order) else "ENTERED_BOOK"), None
        elif order.status == "filled":
            state, reason = "FULLY_EXECUTED", None
        else:
            state = "REJECTED" if order.status == "rejected" else "CANCELLED"
            reason = "CANCELLED_BY_USER" if state == "CANCELLED" else None
        return {
            "order": shown | {"priceTriggerOptions": options, "triggerTime": None},
            "status": state,
            "updateReason": reason,
            "error": None,
        }

    def fills(self, owner: Account, call: Call) -> Reply:
        """Return the newest executions before a time, newest first."""
        until_us = None
        if call.query.get("lastFillTime"):
            try:
                until_us = parse_time(call.query["lastFillTime"])
            except ValueError:
                raise error(self._engine.now_us, "invalidArgument: lastFillTime") from None
        newest_first = (settled for settled in reversed(owner.activities) if isinstance(settled, Fill))
        wanted = (settled for settled in newest_first if until_us is None or settled.at_us < until_us)
        return timed_reply(self._engine.now_us, fills=[self._fill(fill) for fill in islice(wanted, _FILLS_A_PAGE)])

    def _fill(self, settled: Fill) -> dict[str, Any]:
        name = settled.order.request.client_order_id
        return {
            "fill_id": settled.execution_id,
            "order_id": settled.order.id,
            **({} if name is None else {"cliOrdId": name}),
            "symbol": settled.order.symbol,
            "side": wire_format.side(settled.order.side),
            "size": number(settled.qty),
            "price": price(self._engine.market.grids[settled.order.symbol], settled.price),
            "fillTime": iso(settled.at_us),
            "fillType": wire_format.fill_type(settled),
        }


def _change(before: int, now: int) -> Decimal:
    """Return a change of price in percent."""
    return (Decimal(100 * (now - before)) / before).quantize(_PERCENT)


def _precision(lot: Decimal) -> int:
    """Return how many decimal places sizes have; negative for lots of thousands."""
    exponent = lot.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


MOST_CANDLES = 2_000

RESOLUTIONS: Mapping[str, int] = MappingProxyType(
    {
        "1m": MINUTE,
        "5m": 5 * MINUTE,
        "15m": 15 * MINUTE,
        "30m": 30 * MINUTE,
        "1h": HOUR,
        "4h": 4 * HOUR,
        "12h": 12 * HOUR,
        "1d": DAY,
        "1w": 7 * DAY,
    }
)

_MONDAY = 4 * DAY

"""Weeks begin on Mondays, and time on a Thursday."""

TRADE, MARK, SPOT = "trade", "mark", "spot"


class Candle(NamedTuple):
    """The prices of trades, the mark or the index over a period, in USD, and the traded volume."""

    start_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


class Charts:
    """Handles requests for candles."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def candles(self, call: Call) -> Reply:
        """Return the candles that begin in a period, oldest first; without a start time, the newest candles."""
        market, now_us = self._engine.market, self._engine.now_us
        kind, symbol, span_us = call.names["kind"], call.names["symbol"].upper(), RESOLUTIONS.get(call.names["span"])
        if kind not in (TRADE, MARK, SPOT) or symbol not in market.known or span_us is None:
            raise error(now_us, "invalidArgument")
        try:
            first, last = (int(call.query[name]) if call.query.get(name) else None for name in ("from", "to"))
        except ValueError:
            raise error(now_us, "invalidArgument") from None
        until_us = now_us if last is None else min(now_us, last * SECOND)
        since_us = until_us - MOST_CANDLES * span_us if first is None else first * SECOND
        # As many as fit, plus one to detect whether there are more.
        candles = list(islice(self.between(symbol, kind, span_us, since_us, until_us), MOST_CANDLES + 1))
        shown = [_candle_row(candle) for candle in candles[:MOST_CANDLES]]
        return Reply(200, encoded({"candles": shown, "more_candles": len(candles) > MOST_CANDLES}))

    def between(self, symbol: str, kind: str, span_us: int, since_us: int, until_us: int) -> Iterator[Candle]:
        """Yield the candles of a symbol that begin in a period, oldest first."""
        until_us = min(self._engine.now_us, until_us)
        begin_us, end_us = _begin(since_us + span_us - 1, span_us), _begin(until_us, span_us) + span_us
        name = self._engine.market.series_name(symbol, kind)
        bars = self._bars(name, kind, span_us, begin_us, end_us)
        priced_as = kind if name == symbol else TRADE
        for start_us, group in groupby(bars, key=lambda bar: _begin(bar.start_us, span_us)):
            parts = (self._prices_of(symbol, priced_as, part) for part in self._by_rate(symbol, priced_as, group))
            opens, highs, lows, closes, volumes = zip(*parts, strict=True)
            yield Candle(start_us, opens[0], max(highs), min(lows), closes[-1], sum(volumes) if kind == TRADE else 0)

    def _bars(self, symbol: str, kind: str, span_us: int, first_us: int, until_us: int) -> Iterator[Bar]:
        """Yield the parts of the candles that begin in a span: complete minutes, or longer parts before the market's
        first session.

        The longer parts are cheap to compute, and none belongs to two candles.
        """
        market, now_us = self._engine.market, self._engine.now_us
        wicks = kind != MARK or symbol not in market.known
        for index in _sessions(market.calendars[symbol], first_us, min(until_us, now_us)):
            if index >= 0:
                day_bars = market.day(symbol, index)
                every, complete = day_bars.bars, day_bars.complete(now_us)
                # Most requests are for the newest few of a day's minutes.
                bars = every[bisect_left(every, first_us, 0, complete, key=_START) : complete]
                parts: Iterable[Bar] = bars if wicks else map(partial(market.mark_bar, symbol), bars)
            elif wicks and span_us >= DAY and (day := market.history_day(symbol, -index)) is not None:
                yield day
                continue
            else:
                parts = market.past_candles(symbol, index, min(span_us, DAY), wicks=wicks)
            yield from (part for part in parts if first_us <= part.start_us < until_us)

    def _by_rate(self, symbol: str, kind: str, bars: Iterable[Bar]) -> Iterable[Sequence[Bar]]:
        """Return the parts of a candle during which one funding rate applied.

        The index of a minute uses the rate of its own time, so no candle changes when a rate does.
        """
        parts = list(bars)
        if len(parts) == 1:
            return (parts,)
        changes = self._engine.funding_changes.get(symbol, ()) if kind == SPOT else ()
        first, last = (bisect_left(changes, bar.end_us, key=itemgetter(0)) for bar in (parts[0], parts[-1]))
        if first == last:
            return (parts,)
        return [list(of_rate) for _, of_rate in groupby(parts, partial(self._rate_of, symbol))]

    def _rate_of(self, symbol: str, bar: Bar) -> Decimal:
        return accounts.rate_at(self._engine, symbol, bar.end_us)

    def _prices_of(self, symbol: str, kind: str, bars: Sequence[Bar]) -> tuple[Decimal, Decimal, Decimal, Decimal, int]:
        """Return the prices in USD and the volume of a part of a candle during which one funding rate applied."""
        usd = self._engine.market.grids[symbol].usd
        if len(bars) == 1:
            _, opening, high, low, close, volume = bars[0]
        else:
            _, opens, highs, lows, closes, volumes = zip(*bars, strict=True)
            opening, high, low, close, volume = opens[0], max(highs), min(lows), closes[-1], sum(volumes)
        shown = partial(_index_in_usd, usd, self._rate_of(symbol, bars[0])) if kind == SPOT else usd
        return shown(opening), shown(high), shown(low), shown(close), volume


_START = attrgetter("start_us")


def _candle_row(candle: Candle) -> dict[str, Any]:
    prices = {"open": candle.open, "high": candle.high, "low": candle.low, "close": candle.close}
    texts = {name: plain(price) for name, price in prices.items()}
    return {"time": milliseconds(candle.start_us), **texts, "volume": str(candle.volume)}


def _begin(us: int, span_us: int) -> int:
    """Return when the candle began that contains a moment."""
    shift = _MONDAY if span_us == 7 * DAY else 0
    return (us - shift) // span_us * span_us + shift


def _sessions(calendar: Calendar, first_us: int, until_us: int) -> range:
    """Return the indexes of the sessions that a span touches, however long before the market's first they are."""
    if calendar.played[0].open_us > first_us:
        calendar = full_calendar(calendar)
    ends = bisect_right(calendar.played, first_us, key=lambda session: session.close_us)
    opens = bisect_left(calendar.played, until_us, key=lambda session: session.open_us)
    return range(ends - calendar.first, opens - calendar.first)
