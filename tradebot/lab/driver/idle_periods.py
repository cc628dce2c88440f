"""Find how long passes would change nothing, given upcoming prices, so that the driver can skip them.

A pass changes something if an order works or fills, if it records a new best or worst price of a position or a new
highest equity, if an exit rule fires, or if a monitor halts the bot. Between such times, an exit pass sees the same
books and orders, and prices that have no effect. Whatever this module doesn't understand counts as a change.

Exit passes record best and worst prices. If nothing else depends on these, the passes needn't run one by one: the
result of the last pass is written once, before anything reads it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil, floor
from typing import NamedTuple

from tradebot.desk.auto_halt import remember
from tradebot.desk.exit_inputs import update_marks
from tradebot.desk.snapshot import account_value
from tradebot.exits.exit_rule import ExitRule, PriceRule, StopLevel, TimeRule, WatchedPosition, exit_price
from tradebot.exits.kinds.stops import StopLoss
from tradebot.exits.kinds.targets import ProfitTarget
from tradebot.exits.kinds.times import EndOfDay, LowMovement, TimeExit
from tradebot.exits.rules import Exits, effective_rules, rule_levels
from tradebot.lab.driver.price_triggers import (
    CENTS,
    FAR,
    INTEREST,
    SHARES,
    UNITS,
    WORTH,
    MarketAhead,
    PriceBand,
    TriggerPrice,
    ValueBand,
    first_touch,
    in_us,
    in_usd,
    moment,
    units,
)
from tradebot.model.account import BrokerView
from tradebot.model.bar import Quote, Session
from tradebot.model.instrument import ONE
from tradebot.model.limits import Protection
from tradebot.model.order import Order, OrderStatus
from tradebot.model.position import EntryTerms, Marks, Position
from tradebot.model.trading import TradingState
from tradebot.model.venue import Settlement
from tradebot.ports.stores import Ledger
from tradebot.ports.world import World

TOLERANCE = Decimal("1e-9")
"""How much nearer a level counts than it is, as a fraction of it: rules compare rounded quotients."""
FOREVER = datetime.max.replace(tzinfo=UTC)
RESTING = frozenset({OrderStatus.NEW, OrderStatus.HELD})


class IdlePeriod(NamedTuple):
    """A period in which no pass would change anything: from now until `until`.

    If `nothing_pending` is True, no order or request awaits an answer, so only time or a price can end the period.
    """

    until: datetime
    nothing_pending: bool = True


class IdlePeriods:
    """Finds periods in which no pass would change anything; `marking` has the best and worst prices still to be
    recorded.
    """

    def __init__(self, world: World, ahead: MarketAhead) -> None:
        self._world = world
        self._ahead = ahead
        self.marking = PendingMarks(world.ledger, ahead)

    def forget(self) -> None:
        """Forget all positions, because a pass is about to check each of them."""
        self.marking.follow(moment(0), (), {})

    def idle_from(self, now: datetime, session: Session, until: datetime) -> IdlePeriod:
        """Return the idle period that begins now; it ends when a pass may change something, and at `until` at the
        latest.

        `until` may be in a later session. A new best or worst price counts only if one of the position's rules uses
        such prices; see `PendingMarks`.
        """
        self.forget()
        view, positions = self._world.reader.view(), self._world.ledger.totals().own_positions()
        if not self._is_settled(view, positions) or self._awaits_arrival_price(now, positions):
            return IdlePeriod(now, nothing_pending=False)
        return self._idle_until(view, positions, self._quotes(positions), now, session, until)

    def record_and_find(self, now: datetime, session: Session, until: datetime, *, marking: bool) -> IdlePeriod:
        """Record the new prices and equity, as a pass would, and return the next idle period.

        Call this only if the last idle period had `nothing_pending`, so that only time and prices can have changed
        since. Prices are recorded only if an exit pass would run now (`marking`). If a pass would move resting orders,
        it must run.
        """
        view, ledger = self._world.reader.view(), self._world.ledger
        positions = ledger.totals().own_positions()
        quotes = self._quotes(positions)
        if marking and not self._store_marks(positions, quotes):
            return IdlePeriod(now)
        remember(ledger, ledger.account_state(), view.account.equity, account_value(view, quotes))
        peak = ledger.account_state().peak
        if peak is None or peak.seen_once:
            return IdlePeriod(now, nothing_pending=False)
        return self._idle_until(view, positions, quotes, now, session, until)

    def _idle_until(
        self,
        view: BrokerView,
        positions: Sequence[Position],
        quotes: Mapping[str, Quote],
        now: datetime,
        session: Session,
        until: datetime,
    ) -> IdlePeriod:
        rests, watched = self._rests(view), self._watched_with_marks(positions, quotes)
        if rests is None or watched is None:
            return IdlePeriod(now, nothing_pending=False)
        if rests or not self._ahead.still:
            until = session.close
        bands, times = list[PriceBand](), [until]
        for watched_position in watched:
            price_band = self._idle_price_range(
                watched_position, quotes[watched_position.position.symbol], now, session
            )
            if price_band is None:
                return IdlePeriod(now)
            bands.append(price_band[0])
            times += price_band[1]
        self.marking.follow(now, (lot for lot in watched if ignores_marks(self._rules(lot.position, lot.kept))), quotes)
        deed = self._ahead.next_deed
        end = min(*times, deed) if deed else min(times)
        if end <= now:
            return IdlePeriod(now)
        return IdlePeriod(first_touch(self._ahead, bands, rests, self._value_range(view, quotes), now, end))

    def _store_marks(self, positions: Sequence[Position], quotes: Mapping[str, Quote]) -> bool:
        """Store the marks that changed; return False instead if a resting order has to follow one of them."""
        terms_by_key = self._world.ledger.entry_terms([position.key for position in positions])
        resting = self._world.rules.exits.protection is not Protection.BOT
        moved = {}
        for position in positions:
            before = terms_by_key.get(position.key, EntryTerms())
            now = update_marks(position, quotes.get(position.symbol), before)
            if before.best is None:
                return False
            rules, was = self._rules(position, before), WatchedPosition(position, before.best, before)
            follows = resting and not ignores_marks(rules)
            if follows and rule_levels(was, rules) != rule_levels(WatchedPosition(position, now.best, before), rules):
                return False
            if (before.best, before.worst) != (now.best, now.worst):
                moved[position.key] = now
        if moved:
            self._world.ledger.put_marks(moved)
        return True

    def _rules(self, position: Position, entry_terms: EntryTerms) -> Exits:
        return effective_rules(self._world.rules.exits_of(position.strategy), entry_terms)

    def _quotes(self, positions: Sequence[Position]) -> Mapping[str, Quote]:
        symbols = tuple(dict.fromkeys(position.symbol for position in positions))
        return self._world.market.quotes(symbols) if symbols else {}

    def _awaits_arrival_price(self, now: datetime, positions: Sequence[Position]) -> bool:
        """Return True while passes still record the arrival price of an order in a held symbol."""
        ledger, fresh = self._world.ledger, timedelta(seconds=self._world.rules.limits.max_quote_age_s)
        symbols = {position.symbol for position in positions}
        recent = ledger.recent_orders(now - fresh) if symbols else ()
        unnoted = (order for order in recent if order.symbol in symbols and order.arrival_mid is None)
        arriving = [
            order.client_order_id for order in unnoted if order.submitted_at and now - order.submitted_at <= fresh
        ]
        # Passes record it for recorded orders, not for their legs.
        return bool(ledger.recorded_intents(arriving)) if arriving else False

    def _is_settled(self, view: BrokerView, positions: Sequence[Position]) -> bool:
        """Return True if books and venue agree, and every request to the venue has its answer."""
        ledger = self._world.ledger
        account_state, state = ledger.account_state(), ledger.trading_state()
        if account_state.opening_cash is None or account_state.peak is None or account_state.peak.seen_once:
            return False
        if view.unreadable or not view.steady or (state.state is TradingState.FLATTEN and positions):
            return False
        if ledger.intents(unresolved=True) or ledger.foreign_and_moved_fills():
            return False
        if view.account.settlement is Settlement.MARGINED and (view.positions or not self._is_booked(view)):
            # Margin changes with each price, and a pass records it. The last position's fees may be reported later.
            return False
        listed = {position.symbol: position.quantity for position in view.positions}
        return listed == ledger.totals().quantities(ledger.acknowledged())

    def _is_booked(self, view: BrokerView) -> bool:
        ledger = self._world.ledger
        moved = ledger.totals().cash(ledger.opening_cash(), ledger.account_state().settlement)
        return moved + ledger.cash_adjustments() == view.account.cash

    def _watched_with_marks(
        self, positions: Sequence[Position], quotes: Mapping[str, Quote]
    ) -> Sequence[WatchedPosition] | None:
        """Return our positions with their marks; None if one has no mark or quote yet, or the market shows another
        price.
        """
        terms_by_key = self._world.ledger.entry_terms([position.key for position in positions]) if positions else {}
        watched = list[WatchedPosition]()
        for position in positions:
            marks, quote = terms_by_key.get(position.key, EntryTerms()), quotes.get(position.symbol)
            shown = self._ahead.shows(position.symbol)
            if marks.best is None or marks.worst is None or quote is None or shown is None:
                return None
            if (units(quote.bid), units(quote.ask), units(quote.last)) != (shown.bid, shown.ask, shown.last):
                return None
            watched.append(WatchedPosition(position, marks.best, marks))
        return watched

    def _rests(self, view: BrokerView) -> Sequence[TriggerPrice] | None:
        """Return the prices of resting protective orders; None if any other order works."""
        working = {order.venue_id: order for order in self._world.ledger.orders(working=True)}
        if not working and not view.orders:
            return ()
        if {order.venue_id for order in view.orders} != working.keys():
            return None
        chains, rests = self._world.ledger.order_chains(working), list[TriggerPrice]()
        for order in view.orders:
            resting, visible_prices = working[order.venue_id], self._ahead.shows(order.symbol)
            if order.with_known(resting) != resting or order.status not in RESTING or visible_prices is None:
                return None
            if not self._protects(chains.get(order.venue_id, (order,))):
                return None
            prices = (units(price) for price in (order.limit_price, order.stop_price) if price is not None)
            rests += [TriggerPrice(order.symbol, price, price > visible_prices.last) for price in prices]
        return rests

    def _protects(self, chain: Sequence[Order]) -> bool:
        """Return True if the nearest recorded order of a chain is protective."""
        recorded = self._world.ledger.recorded_intents([order.client_order_id for order in chain])
        records = (recorded.get(order.client_order_id) for order in chain)
        return next((record.intent.protects for record in records if record and record.intent.makes_order), False)

    def _idle_price_range(
        self, watched: WatchedPosition, quote: Quote, now: datetime, session: Session
    ) -> tuple[PriceBand, Sequence[datetime]] | None:
        """Return the price range without consequence, and when time rules fire; None if a pass has to check now."""
        worst = watched.kept.worst
        assert worst is not None, "a position without marks is checked"
        rules, times = self._rules(watched.position, watched.kept), list[datetime]()
        lows, highs = [-FAR], [FAR]
        if not ignores_marks(rules):
            lows, highs = [ceil(min(worst, watched.best) * UNITS)], [floor(max(worst, watched.best) * UNITS)]
        for rule in rules:
            if isinstance(rule, PriceRule):
                for low, high in _untriggered_ranges(rule.level(watched), watched.direction):
                    lows.append(low)
                    highs.append(high)
            elif (at := _time_of_rule(rule, watched, now, session)) is not None and at > now:
                times.append(at)
            else:
                return None
        band = PriceBand(watched.position.symbol, watched.direction > 0, max(lows), min(highs))
        return (band, times) if band.low <= units(exit_price(watched.position, quote)) <= band.high else None

    def _value_range(self, view: BrokerView, quotes: Mapping[str, Quote]) -> ValueBand:
        """Return the range of the positions' value in which equity sets no new high and no monitor halts.

        Monitors only halt a bot that is active.
        """
        peak, state = self._world.ledger.account_state().peak, self._world.ledger.trading_state()
        assert peak is not None, "no pass has read the equity"
        priced = view.positions if self._ahead.equity_moves else ()
        shares = {position.symbol: int(position.value_at(ONE) * SHARES) for position in priced}
        last = {symbol: units(quotes[symbol].last) for symbol in shares}
        shares[INTEREST], last[INTEREST] = CENTS, 0
        worth, equity = ValueBand(shares, last).now, view.account.equity

        def low(closing: Decimal) -> int:
            """Return the lowest account value that doesn't cause a halt, given the equity at the last close."""
            return worth + ceil((self._halting_equity(closing, peak.highest) - equity) * WORTH)

        def later_low(value: int) -> int:
            return low(equity + Decimal(value - worth) / WORTH)

        high = worth + floor((peak.highest - equity) * WORTH)
        if state.state is not TradingState.ACTIVE or not self._ahead.equity_moves:
            return ValueBand(shares, last, high=high)
        return ValueBand(shares, last, low(view.account.last_equity), high, later_low)

    def _halting_equity(self, closing: Decimal, peak: Decimal) -> Decimal:
        """Return the lowest equity in USD at which no monitor halts the bot in the session after a close."""
        halts = self._world.rules.halts
        floors = [peak * (1 - halts.drawdown_fraction), closing * (1 - halts.daily_loss_fraction)]
        floors += [halts.min_equity_usd] if halts.min_equity_usd is not None else []
        return max(floors) * (1 + TOLERANCE)


def _untriggered_ranges(stop: StopLevel, direction: int) -> Iterator[tuple[int, int]]:
    """Yield the lowest and highest price that don't reach a rule's level; a rule that isn't armed has none."""
    if stop.price is None or not stop.armed:
        return
    if stop.ahead is (direction > 0):
        yield -FAR, ceil(stop.price * (1 - TOLERANCE) * UNITS) - 1
    else:
        yield floor(stop.price * (1 + TOLERANCE) * UNITS) + 1, FAR


def _time_of_rule(rule: ExitRule, watched: WatchedPosition, now: datetime, session: Session) -> datetime | None:
    """Return when a rule that depends on no price closes a position; None if unknown in advance."""
    if isinstance(rule, TimeRule):
        return rule.level(watched).at
    if isinstance(rule, EndOfDay):
        return session.close - timedelta(seconds=rule.before_close_s)
    if isinstance(rule, LowMovement):
        old = watched.position.opened_at + timedelta(seconds=rule.after_s)
        moved = abs(watched.best - (watched.kept.worst or watched.best)) / watched.position.average_price
        # The highest and the lowest price only ever move apart.
        return FOREVER if old <= now and moved > rule.movement_fraction else old
    return None


IGNORE_MARKS = (StopLoss, ProfitTarget, TimeExit, EndOfDay)
"""The kinds of rules that use neither the best nor the worst price."""


def ignores_marks(rules: Exits) -> bool:
    """Return True if no rule uses the best or worst price."""
    return all(type(rule) in IGNORE_MARKS for rule in rules)


class FollowedPosition(NamedTuple):
    """A position with its current exit price, in units, and its best and worst prices so far."""

    position: Position
    long: bool
    price: int
    marks: Marks


class PendingMarks:
    """The positions whose best and worst prices must still be stored, and since when, in microseconds."""

    def __init__(self, ledger: Ledger, ahead: MarketAhead) -> None:
        self._ledger = ledger
        self._ahead = ahead
        self._since_us = 0
        self._followed: list[FollowedPosition] = []

    def follow(self, now: datetime, watched_positions: Iterable[WatchedPosition], quotes: Mapping[str, Quote]) -> None:
        self._since_us = in_us(now)
        self._followed = []
        for lot in watched_positions:
            price, marks = exit_price(lot.position, quotes[lot.position.symbol]), Marks(lot.best, lot.kept.worst)
            self._followed.append(FollowedPosition(lot.position, lot.direction > 0, units(price), marks))

    def write(self, slots_us: Sequence[int]) -> None:
        """Store the best and worst prices that exit passes at these times would have stored; ignore times before the
        start.
        """
        if not self._followed:
            return
        slots_us = slots_us[bisect_right(slots_us, self._since_us) :]
        if not slots_us:
            return
        now = [self._after_passes(position, slots_us) for position in self._followed]
        pairs = zip(self._followed, now, strict=True)
        moved = {later.position.key: later.marks for before, later in pairs if later.marks != before.marks}
        self._since_us, self._followed = slots_us[-1], now
        if moved:
            self._ledger.put_marks(moved)

    def _after_passes(self, watched: FollowedPosition, slots_us: Sequence[int]) -> FollowedPosition:
        """Return a position after passes at these times; each sees the latest price at its time."""
        price, prices, index = watched.price, list[int](), 0
        for shown in self._ahead.upcoming_prices(watched.position.symbol, moment(self._since_us), moment(slots_us[-1])):
            if slots_us[index] < shown.at_us:
                prices.append(price)
                index = bisect_left(slots_us, shown.at_us, index)
            price = shown.bid if watched.long else shown.ask
        return watched._replace(
            price=price, marks=_widen_marks(watched, min(*prices, price, price), max(*prices, price, price))
        )


def _widen_marks(position: FollowedPosition, low: int, high: int) -> Marks:
    best, worst = (high, low) if position.long else (low, high)
    marks = position.marks
    assert marks.worst is not None, "a position without marks isn't tracked"
    better = best > marks.best * UNITS if position.long else best < marks.best * UNITS
    worse = worst < marks.worst * UNITS if position.long else worst > marks.worst * UNITS
    if not (better or worse):
        return marks
    return Marks(in_usd(best) if better else marks.best, in_usd(worst) if worse else marks.worst)
