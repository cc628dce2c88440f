"""Until when no pass would change anything, given what the market is going to show.

A pass changes something if an order works or fills, if it marks a new best or worst price of a position or a new
highest equity, if an exit rule fires, or if a monitor halts the bot. Between such moments a pass of exits finds the
same books, the same orders and prices that lead to nothing. Whatever isn't understood here counts as a change.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from heapq import merge
from typing import NamedTuple

from tradebot.backtest.ahead import Ahead, Shown
from tradebot.exits.held import Held, exit_price
from tradebot.exits.kind import ExitRule, PriceRule, Stop, TimeRule
from tradebot.exits.kinds.end_of_day import EndOfDay
from tradebot.exits.kinds.low_movement import LowMovement
from tradebot.exits.lists import in_force
from tradebot.model.account import Account, BrokerView
from tradebot.model.bar import Quote, Session
from tradebot.model.order import Order, OrderStatus
from tradebot.model.position import Position
from tradebot.model.trading import TradingState
from tradebot.ports.world import World

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
UNITS = Decimal(10_000)
"""Prices are compared in units of 1/10,000 USD, quantities in 1/10**9 shares, so that sums are exact."""
SHARES = 10**9
HAIR = Decimal("1e-9")
"""How much nearer a level counts as it is, as a fraction: rules divide, and 28 digits of a quotient aren't all."""
RESTING = frozenset({OrderStatus.NEW, OrderStatus.HELD})


class Band(NamedTuple):
    """Where the price at which a position could be closed may go without consequence, both ends included, in units."""

    symbol: str
    long: bool
    low: int
    high: int


class Rest(NamedTuple):
    """A price at which an order rests, in units, and whether the market has to rise to get there."""

    symbol: str
    price: int
    above: bool


class Worth(NamedTuple):
    """How far the value of positions may go without consequence: above `low` and up to `high`, in exact units.

    `shares` are by symbol; `now` is the value of all of them.
    """

    shares: dict[str, int]
    now: int
    low: int
    high: int


class Calm(NamedTuple):
    """Until when passes would change nothing, and whether an order rests that may end it by filling."""

    until: datetime
    rests: bool = False


@dataclass(frozen=True, slots=True)
class _Positions:
    held: tuple[Held, ...]
    quotes: dict[str, Quote]
    shown: dict[str, Shown]


class Quiet:
    """Looks at the account and at what is ahead of it."""

    def __init__(self, world: World, ahead: Ahead) -> None:
        self._world = world
        self._ahead = ahead

    def calm(self, now: datetime, session: Session) -> Calm:
        """Return the first moment at which a pass may change something: `now`, or the close if none in this session.

        Every order that was sent must have been seen by a pass of exits since.
        """
        view, held = self._world.reader.view(), self._world.ledger.totals().own_positions()
        if not self._is_settled(view, held):
            return Calm(now)
        known = self._positions(held)
        rests = self._rests(view)
        if known is None or rests is None:
            return Calm(now)
        bands, times = list[Band](), [session.close]
        for one in known.held:
            found = self._band(one, known.quotes[one.position.symbol], now, session)
            if found is None:
                return Calm(now)
            bands.append(found[0])
            times += found[1]
        deed = self._ahead.next_deed
        end = min(*times, deed) if deed else min(times)
        if end <= now:
            return Calm(now)
        return Calm(self._first_touch(known, bands, rests, self._worth(known, view), now, end), bool(rests))

    def _is_settled(self, view: BrokerView, held: Sequence[Position]) -> bool:
        """Return True if books and venue say the same, and nothing that was asked of the venue lacks its answer."""
        ledger = self._world.ledger
        standing, state = ledger.standing(), ledger.trading_state()
        if standing.opening_cash is None or standing.peak is None or standing.peak.seen_once:
            return False
        if view.unreadable or not view.steady or (state.state is TradingState.FLATTEN and held):
            return False
        if ledger.intents(unresolved=True) or ledger.fills_with_others():
            return False
        listed = {position.symbol: position.quantity for position in view.positions}
        return listed == ledger.totals().quantities(ledger.acknowledged())

    def _positions(self, held: Sequence[Position]) -> _Positions | None:
        """Return our positions with their marks, or None if a mark, a price or a quote of one is missing."""
        symbols = tuple(dict.fromkeys(position.symbol for position in held))
        if not symbols:
            return _Positions((), {}, {})
        kept = self._world.ledger.kept([position.key for position in held])
        quotes = dict(self._world.market.quotes(symbols))
        shown = {symbol: one for symbol in symbols if (one := self._ahead.now(symbol))}
        known = list[Held]()
        for position in held:
            marks, quote, one = kept.get(position.key), quotes.get(position.symbol), shown.get(position.symbol)
            if marks is None or marks.best is None or marks.worst is None or quote is None or one is None:
                return None
            if (_units(quote.bid), _units(quote.ask), _units(quote.last)) != (one.bid, one.ask, one.last):
                return None
            known.append(Held(position, marks.best, marks))
        return _Positions(tuple(known), quotes, shown)

    def _rests(self, view: BrokerView) -> tuple[Rest, ...] | None:
        """Return the prices of the orders that rest to protect positions; None if anything else works."""
        working = {order.venue_id: order for order in self._world.ledger.orders(working=True)}
        if not working and not view.orders:
            return ()
        if {order.venue_id for order in view.orders} != working.keys():
            return None
        chains, rests = self._world.ledger.order_chains(working), list[Rest]()
        for order in view.orders:
            known, chain = working[order.venue_id], chains.get(order.venue_id, (order,))
            if order.with_known(known) != known or not self._protects(chain) or order.status not in RESTING:
                return None
            shown = self._ahead.now(order.symbol)
            if shown is None:
                return None
            rests += [Rest(order.symbol, price, price > shown.last) for price in _prices(order)]
        return tuple(rests)

    def _protects(self, chain: Sequence[Order]) -> bool:
        """Return True if the nearest order of a chain that we promised protects a position."""
        promised = self._world.ledger.promised([order.client_order_id for order in chain])
        made = (promised.get(order.client_order_id) for order in chain)
        return next((record.intent.protects for record in made if record and record.intent.makes_order), False)

    def _band(
        self, held: Held, quote: Quote, now: datetime, session: Session
    ) -> tuple[Band, tuple[datetime, ...]] | None:
        """Return where a position's price may go, and when rules of time fire; None if a pass has to look now."""
        position, low, high = held.position, held.kept.worst, held.best
        assert low is not None, "a position without marks is looked at"
        low, high = min(low, high), max(low, high)
        lows, highs, times = [_above(low)], [_below(high)], list[datetime]()
        for rule in in_force(self._world.rules.exits_of(position.strategy), held.kept):
            if isinstance(rule, PriceRule):
                for at_least, at_most in _around(rule.level(held), held.direction):
                    lows.append(at_least)
                    highs.append(at_most)
            elif (at := _time(rule, held, now, session)) is not None:
                times.append(at)
            else:
                return None
        band = Band(position.symbol, held.direction > 0, max(lows), min(highs))
        price = _units(exit_price(position, quote))
        return (band, tuple(times)) if band.low <= price <= band.high and all(at > now for at in times) else None

    def _worth(self, known: _Positions, view: BrokerView) -> Worth | None:
        """Return where the positions' value may go; None if the equity doesn't depend on it."""
        if not known.held or not self._ahead.equity_moves:
            return None
        shares = dict[str, int]()
        for position in view.positions:
            shares[position.symbol] = int(position.quantity * SHARES)
        value, peak = sum(held * known.shown[symbol].last for symbol, held in shares.items()), self._peak
        one, equity = UNITS * SHARES, view.account.equity
        low, high = self._floor(view.account, peak), peak
        return Worth(
            shares,
            value,
            value + int(((low - equity) * one).to_integral_value(ROUND_CEILING)),
            value + int(((high - equity) * one).to_integral_value(ROUND_FLOOR)),
        )

    @property
    def _peak(self) -> Decimal:
        peak = self._world.ledger.standing().peak
        assert peak is not None, "it was there a moment ago"
        return peak.highest

    def _floor(self, account: Account, peak: Decimal) -> Decimal:
        """Return the equity in USD down to which no monitor halts the bot; it never does so twice."""
        if self._world.ledger.trading_state().state is not TradingState.ACTIVE:
            return -abs(account.equity) * 1000
        halts = self._world.rules.halts
        floors = [peak * (1 - halts.drawdown_fraction), account.last_equity * (1 - halts.daily_loss_fraction)]
        floors += [halts.min_equity_usd] if halts.min_equity_usd is not None else []
        return max(floors) * (1 + HAIR)

    def _first_touch(
        self,
        known: _Positions,
        bands: Sequence[Band],
        rests: Sequence[Rest],
        worth: Worth | None,
        now: datetime,
        end: datetime,
    ) -> datetime:
        """Return when the market first touches one of these, or the end."""
        if worth is not None and not worth.low < worth.now <= worth.high:
            return now
        symbols = tuple(dict.fromkeys((*known.shown, *(rest.symbol for rest in rests))))
        touched = [_Touched(symbol, bands, rests) for symbol in symbols]
        shares = worth.shares if worth else {}
        held = [shares.get(symbol, 0) for symbol in symbols]
        before = [known.shown[symbol].last if symbol in known.shown else 0 for symbol in symbols]
        value, low, high = (worth.now, worth.low, worth.high) if worth else (1, 0, 1)
        for shown, place in self._merged(symbols, now, end):
            if held[place]:
                value += held[place] * (shown.last - before[place])
                before[place] = shown.last
            if touched[place].by(shown) or not low < value <= high:
                return EPOCH + timedelta(microseconds=shown.at_us)
        return end

    def _merged(self, symbols: Sequence[str], now: datetime, end: datetime) -> Iterable[tuple[Shown, int]]:
        """Yield what the symbols show, in order of time, with the place of the symbol."""
        streams = [self._placed(symbol, place, now, end) for place, symbol in enumerate(symbols)]
        return streams[0] if len(streams) == 1 else merge(*streams)

    def _placed(self, symbol: str, place: int, now: datetime, end: datetime) -> Iterator[tuple[Shown, int]]:
        for shown in self._ahead.shown(symbol, now, end):
            yield shown, place


class _Touched:
    """Tells whether a bar of one symbol touches a band or the price of a resting order."""

    def __init__(self, symbol: str, bands: Iterable[Band], rests: Iterable[Rest]) -> None:
        own = [band for band in bands if band.symbol == symbol]
        longs, shorts = [b for b in own if b.long], [b for b in own if not b.long]
        far = 1 << 62
        self._bid = max((b.low for b in longs), default=-far), min((b.high for b in longs), default=far)
        self._ask = max((b.low for b in shorts), default=-far), min((b.high for b in shorts), default=far)
        prices = [rest for rest in rests if rest.symbol == symbol]
        self._above = min((rest.price for rest in prices if rest.above), default=far)
        self._below = max((rest.price for rest in prices if not rest.above), default=-far)

    def by(self, shown: Shown) -> bool:
        """Return True if it does."""
        (low, high), (lowest, highest) = self._bid, self._ask
        if not (low <= shown.bid <= high and lowest <= shown.ask <= highest):
            return True
        return shown.high >= self._above or shown.low <= self._below


def _units(price: Decimal) -> int:
    return int(price * UNITS)


def _above(price: Decimal) -> int:
    """Return the lowest whole unit that isn't below a price."""
    return int((price * UNITS).to_integral_value(ROUND_CEILING))


def _below(price: Decimal) -> int:
    """Return the highest whole unit that isn't above a price."""
    return int((price * UNITS).to_integral_value(ROUND_FLOOR))


def _prices(order: Order) -> Iterator[int]:
    for price in (order.limit_price, order.stop_price):
        if price is not None:
            yield _units(price)


def _around(stop: Stop, direction: int) -> Iterator[tuple[int, int]]:
    """Yield the lowest and the highest price that don't reach a rule's level; a rule that isn't armed has none."""
    if stop.price is None or not stop.armed:
        return
    far = 1 << 62
    if stop.ahead is (direction > 0):
        yield -far, _above(stop.price * (1 - HAIR)) - 1
    else:
        yield _below(stop.price * (1 + HAIR)) + 1, far


def _time(rule: ExitRule, held: Held, now: datetime, session: Session) -> datetime | None:
    """Return when a rule that looks at no price closes a position; None if that can't be told beforehand."""
    if isinstance(rule, TimeRule):
        return rule.level(held).at
    if isinstance(rule, EndOfDay):
        return session.close - timedelta(seconds=rule.before_close_s)
    if isinstance(rule, LowMovement):
        old = held.position.opened_at + timedelta(seconds=rule.after_s)
        moved = abs(held.best - (held.kept.worst or held.best)) / held.position.average_price
        # The highest and the lowest price only ever move apart.
        return session.close if old <= now and moved > rule.movement_fraction else old
    return None
