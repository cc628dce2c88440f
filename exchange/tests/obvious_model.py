"""An exchange again, as plainly as it can be said: lists that are searched from end to end, and no cleverness.

Written from the venue's rules and from what the fill model says of itself, for the engine to be compared with.
Prices are Decimal USD here. It knows US equities and the `next-bar` model. Cancels and replacements take their time,
the same for all, so that they arrive in the order in which they were sent.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal

from exchange.tests.obvious_slips import (
    CENT,
    GROUPS,
    MINUTE_US,
    ONE,
    ZERO,
    Candle,
    Execution,
    Halt,
    Holdings,
    Hours,
    Refused,
    Slip,
    ask,
    collared,
    dollars,
    group,
    left_instead,
    leg_wishes,
    other_exits,
    perhaps,
    rank,
    traded_at,
    trailed,
)
from papervenue.engine.orders import OrderRequest


class ObviousExchange:
    """All accounts, all orders, all candles, and the time."""

    def __init__(
        self, candles: list[Candle], hours: list[Hours], now_us: int, first: dict[str, Decimal], latency_us: int = 0
    ) -> None:
        self.candles = candles
        self.hours = hours
        self.now_us = now_us
        self.first = first  # prices before the first candle
        self.latency_us = latency_us
        self.halts: list[Halt] = []
        self.promises: list[tuple[int, Callable[[], None]]] = []  # what is to happen, in the order of promising
        self.accounts: dict[str, Holdings] = {}
        self.slips: list[Slip] = []
        self.executions: list[Execution] = []

    def open_account(self, name: str, cash: Decimal) -> None:
        self.accounts[name] = Holdings(cash)

    # -- what can be seen

    def price(self, symbol: str) -> Decimal:
        known = [c for c in self.candles if c.symbol == symbol and c.start_us + MINUTE_US <= self.now_us]
        return max(known, key=lambda c: c.start_us).close if known else self.first[symbol]

    def in_session(self) -> bool:
        return any(h.open_us <= self.now_us < h.close_us for h in self.hours)

    def can_trade(self, wish: OrderRequest) -> bool:
        around = any(h.pre_us <= self.now_us < h.post_us for h in self.hours)
        return self.in_session() or (wish.extended_hours and around)

    def of(self, owner: str, symbol: str) -> list[Slip]:
        return [s for s in self.slips if s.owner == owner and s.wish.symbol == symbol and s.open]

    def reserved(self, owner: str) -> Decimal:
        """Return what open orders need; of an order and of what is to replace it the larger."""
        return sum((self._need(s) for s in self.slips if s.owner == owner and s.open and not s.before), ZERO)

    def _need(self, slip: Slip) -> Decimal:
        instead = self._need_instead(slip, slip.next) if slip.next and slip.next.open else ZERO
        if not slip.opens:
            return instead
        if slip.wish.notional is not None:
            return slip.wish.notional - slip.spent
        return max(slip.remaining_shares(slip.price) * slip.price, instead)

    def _need_instead(self, old: Slip, new: Slip) -> Decimal:
        return left_instead(old, new) * new.price if new.opens else ZERO

    def buying_power(self, owner: str) -> Decimal:
        """Return twice what equity exceeds half of all positions by, less what open orders hold."""
        account = self.accounts[owner]
        values = [qty * self.price(symbol) for symbol, qty in account.shares.items()]
        equity, gross = account.cash + sum(values, ZERO), sum(map(abs, values), ZERO)
        return max((equity - gross / 2) * 2 - self.reserved(owner), ZERO)

    def claimed(self, owner: str, symbol: str, but: Slip | None = None) -> Decimal:
        """Return the shares that open orders will close, but for a slip's group: exits of one group close the same.

        So do an order and what is to replace it. Exits that wait for their entry claim what that has filled so far.
        """
        claims: dict[int, Decimal] = {}
        for slip in self.of(owner, symbol):
            first = slip.before or slip
            if slip.opens or (but and first in group(but)):
                continue
            together = id(first.parent or first)
            claims[together] = max(claims.get(together, ZERO), self.claims(slip))
        return sum(claims.values(), ZERO)

    def claims(self, slip: Slip) -> Decimal:
        old = slip.before
        if old and not old.open:
            return ZERO
        if old:
            return self.claims(old) if old.wish.order_class in GROUPS else left_instead(old, slip)
        return slip.parent.filled if slip.status == "held" and slip.parent else slip.remaining_shares(slip.price)

    # -- what can be asked for

    def submit(self, owner: str, wish: OrderRequest) -> Slip:
        opens = self.accounts[owner].of(wish.symbol) * wish.side >= 0
        last = self.price(wish.symbol)
        if opens and wish.side < 0 and (wish.qty is None or wish.qty % 1):
            raise Refused(42210000, "fractional orders cannot be sold short")
        self._refuse_auction(wish)
        self._refuse_stop_side(wish, last)
        self._refuse_group(owner, wish, opens, last)
        self._refuse_wash(owner, wish)
        slip = self._slip(owner, wish, opens, last)
        if opens:
            self._refuse_opening(slip, self._need(slip))
        else:
            self._refuse_closing(slip, slip.remaining_shares(slip.price))
        self._enter(slip)
        return slip

    def _slip(self, owner: str, wish: OrderRequest, opens: bool, last: Decimal) -> Slip:
        slip = Slip(owner, wish, "accepted", opens, last, None, wish.qty, perhaps(wish.limit), perhaps(wish.stop))
        if wish.type == "trailing_stop":
            slip.mark = last
            slip.stop = trailed(wish, last)
        slip.price = self._holding_price(slip, last)
        return slip

    def _holding_price(self, slip: Slip, last: Decimal) -> Decimal:
        offered = ask(last) if self.in_session() else last
        bound = slip.limit
        if bound is None and slip.stop is not None:
            bound = collared(slip.stop) if slip.side > 0 else slip.stop
        if slip.opens and slip.side < 0:
            marked_up = (offered * Decimal("1.03")).quantize(Decimal("0.0001"), ROUND_FLOOR)
            return max(bound or ZERO, marked_up)
        return offered if bound is None else bound

    def _refuse_auction(self, wish: OrderRequest) -> None:
        """Nobody takes part any more in an auction that is near or over; at seven the next day's list opens."""
        for hours in self.hours:
            seven = hours.open_us + 570 * MINUTE_US
            if wish.time_in_force == "opg" and hours.open_us - 2 * MINUTE_US <= self.now_us < seven:
                raise Refused(40310000, "opg orders must be submitted after 7:00pm")
            if wish.time_in_force == "cls" and hours.close_us - 10 * MINUTE_US <= self.now_us < seven:
                raise Refused(40310000, "cls orders must be submitted after 7:00pm")

    def _refuse_stop_side(self, wish: OrderRequest, last: Decimal) -> None:
        stop = perhaps(wish.stop)
        if stop is not None and (stop <= last if wish.side > 0 else stop >= last):
            raise Refused(42210000, "stop price must be")

    def _refuse_group(self, owner: str, wish: OrderRequest, opens: bool, last: Decimal) -> None:
        kind, resting = wish.order_class, self.accounts[owner].of(wish.symbol)
        if (kind == "bracket" and resting) or (kind == "oto" and not opens):
            raise Refused(42210000, "must be entry orders")
        if kind == "oco" and opens:
            raise Refused(42210000, "must be exit orders")
        if kind not in GROUPS:
            return
        expected = dollars(wish.limit) if wish.limit is not None else last
        exit_side = wish.side if kind == "oco" else -wish.side
        profit, stop = perhaps(wish.take_profit), perhaps(wish.stop_loss.stop if wish.stop_loss else None)
        if kind != "oco" and profit is not None and (profit - expected) * -exit_side < CENT:
            raise Refused(42210000, "take_profit.limit_price must be")
        if stop is not None and any((stop - base) * exit_side < CENT for base in (expected, last)):
            raise Refused(42210000, "stop_loss.stop_price must be")

    def _refuse_wash(self, owner: str, wish: OrderRequest) -> None:
        if wish.order_class in GROUPS or wish.type == "trailing_stop":
            return
        for other in self.of(owner, wish.symbol):
            if other.side == wish.side or other.wish.order_class in GROUPS or other.wish.type == "trailing_stop":
                continue
            if wish.limit is None or other.limit is None or (dollars(wish.limit) - other.limit) * wish.side >= 0:
                raise Refused(40310000, "potential wash trade")

    def _refuse_opening(self, slip: Slip, cost: Decimal) -> None:
        if any(other.opens and other.side != slip.side for other in self.of(slip.owner, slip.wish.symbol)):
            raise Refused(40310000, "cannot open a")
        if cost < 1:
            raise Refused(40310000, "cost basis must be")
        if cost > self.buying_power(slip.owner):
            raise Refused(40310000, "insufficient buying power")

    def _refuse_closing(self, slip: Slip, wanted: Decimal, replaced: Slip | None = None) -> None:
        symbol = slip.wish.symbol
        free = abs(self.accounts[slip.owner].of(symbol)) - self.claimed(slip.owner, symbol, replaced)
        if wanted > free:
            raise Refused(40310000, "insufficient qty available")

    def _enter(self, slip: Slip) -> None:
        self.slips.append(slip)
        for wish in leg_wishes(slip.wish):
            leg = Slip(slip.owner, wish, "held", False, ZERO, None, wish.qty, perhaps(wish.limit), perhaps(wish.stop))
            leg.parent = slip
            slip.legs.append(leg)
            self.slips.append(leg)
        if self.can_trade(slip.wish):
            self._bring_to_market(slip)

    def _bring_to_market(self, slip: Slip) -> None:
        if slip.status != "pending_cancel":
            slip.status = "pending_replace" if slip.next else slip.live
        slip.at_market_us = self.now_us
        if slip.wish.time_in_force in ("ioc", "fok"):
            whole_minute_us = -(-self.now_us // MINUTE_US) * MINUTE_US
            self._promise(whole_minute_us + MINUTE_US, lambda: self._end_group(slip, "canceled"))
        if slip.wish.order_class == "oco":
            self._release(slip)

    def _release(self, slip: Slip) -> None:
        for leg in slip.legs:
            if leg.status == "held":
                self._bring_to_market(leg)

    def cancel(self, slip: Slip) -> None:
        if slip.status == "pending_cancel":
            raise Refused(42210000, "order pending cancel")
        if slip.next:
            raise Refused(42210000, "order pending replace")
        if not slip.before and not (slip.working and self.latency_us):
            self._end_group(slip, "canceled")
            return
        if slip.status != "held":
            slip.status = "pending_cancel"
        self._promise(self.now_us + self.latency_us, lambda: self._end_group(slip, "canceled"))

    def _end_group(self, slip: Slip, status: str) -> None:
        if slip.open:
            for member in group(slip):
                self._end(member, status)

    def _end(self, slip: Slip, status: str) -> None:
        if slip.open:
            slip.status = status
            self._part(slip)

    def _part(self, new: Slip) -> None:
        """Let an order be no replacement any more, whatever became of it; the old one is no longer waiting for it."""
        old, new.before = new.before, None
        if old:
            old.next = None
            if old.status == "pending_replace":
                old.status = old.live

    def _promise(self, at_us: int, deed: Callable[[], None]) -> None:
        self.promises.append((at_us, deed))
        self._keep(self.now_us)

    def _keep(self, until_us: int) -> None:
        """Do what is due, the earliest first, and of one moment what was promised first."""
        while due := [promise for promise in self.promises if promise[0] <= until_us]:
            first = min(due, key=lambda promise: promise[0])
            self.promises.remove(first)
            self.now_us = max(self.now_us, first[0])
            first[1]()

    def journal(self, owner: str, symbol: str, qty: Decimal) -> None:
        """Bring shares, or take some; the newest orders go until those that are left make sense again."""
        account = self.accounts[owner]
        account.shares[symbol] = account.of(symbol) + qty
        for slip in reversed(self.of(owner, symbol)):
            if not slip.open:
                continue
            claims = not slip.opens and self.claims(slip) > (self.claims(slip.before) if slip.before else ZERO)
            if (slip.opens and self._to_close(slip)) or (claims and self.claimed(owner, symbol) > self._to_close(slip)):
                self._end_group(slip, "canceled")

    def _to_close(self, slip: Slip) -> Decimal:
        """Return how much of a position an order could close."""
        return max(ZERO, -slip.side * self.accounts[slip.owner].of(slip.wish.symbol))

    def replace(self, old: Slip, wish: OrderRequest) -> Slip:
        """Send another wish to take an order's place, with the fills that it will have had."""
        last = self.price(wish.symbol)
        status = "pending_replace" if old.next else old.status
        if old.before and status == "held":
            status = "pending_new"
        if status in ("accepted", "pending_new", "pending_cancel", "pending_replace"):
            raise Refused(42210000, f"cannot replace order in {status} status")
        if wish._replace(client_order_id=None) == old.wish._replace(client_order_id=None):
            raise Refused(42210000, "order parameters are not changed")
        if wish.qty is not None and wish.qty <= old.filled:
            raise Refused(42210000, "qty must be > filled_qty")
        old_status, old.status = old.status, "replaced"
        try:
            self._refuse_auction(wish)
            if wish.stop != old.wish.stop:
                self._refuse_stop_side(wish, last)
            self._refuse_prices(old, wish, last)
            new = self._slip(old.owner, wish, old.opens, last)
            self._go_on_from(old, new)
            if old.parent is None:
                self._refuse_wash(old.owner, wish)
                if new.opens:
                    self._refuse_opening(new, self._need_instead(old, new))
                else:
                    self._refuse_closing(new, left_instead(old, new), old)
        finally:
            old.status = old_status
        self.slips.append(new)
        old.next, new.before = new, old
        new.status = "held" if old.status == "held" else "pending_new"
        if old.working:
            old.status = "pending_replace"
        self._promise(self.now_us + self.latency_us, lambda: self._arrive(old, new))
        return new

    def _go_on_from(self, old: Slip, new: Slip) -> None:
        if new.wish.qty == old.wish.qty:
            new.qty = old.qty
        new.touched = old.touched and new.wish.stop == old.wish.stop
        if old.mark is not None:
            new.mark, new.stop = old.mark, trailed(new.wish, old.mark)

    def _arrive(self, old: Slip, new: Slip) -> None:
        """Put an order in the place of another, if that is still to be had, with the fills that it has had."""
        if not new.open:
            return
        if not old.open or not left_instead(old, new):
            self._end(new, "rejected")
            return
        was_held, old.status = old.status == "held", "replaced"
        self._part(new)
        new.filled, new.spent = old.filled, old.spent
        self._go_on_from(old, new)
        self._succeed(old, new)
        if not was_held:
            self._bring_to_market(new)  # even overnight: a gtc order that waits for the morning is at the market

    def _refuse_prices(self, old: Slip, wish: OrderRequest, last: Decimal) -> None:
        """Exits stay on their sides of each other, and of what the first order of their group is to fill at."""
        first = old.parent or old
        requested = wish if old is first else first.wish
        if requested.order_class not in GROUPS:
            return
        wishes = [wish if member is old else member.wish for member in group(old) if member.open or member is old]
        exits = [one for one in wishes if one is not requested or requested.order_class == "oco"]
        profit = next((dollars(one.limit) for one in exits if one.type == "limit" and one.limit), None)
        stop = next((dollars(one.stop) for one in exits if one.stop), None)
        side = exits[0].side
        if profit is not None and stop is not None and (stop - profit) * side <= 0:
            raise Refused(42210000, "take_profit.limit_price must be")
        if not (first.open or first is old):
            return
        expected = dollars(requested.limit) if requested.limit is not None else last
        if requested.order_class != "oco" and profit is not None and (expected - profit) * side < CENT:
            raise Refused(42210000, "take_profit.limit_price must be")
        bases = [expected] if wish.stop == old.wish.stop else [expected, last]
        if stop is not None and any((stop - base) * side < CENT for base in bases):
            raise Refused(42210000, "stop_loss.stop_price must be")

    def _succeed(self, old: Slip, new: Slip) -> None:
        new.parent, new.legs = old.parent, old.legs
        for leg in new.legs:
            leg.parent = new
        if new.parent is not None:
            new.parent.legs = [new if leg is old else leg for leg in new.parent.legs]

    # -- what time brings

    def tick(self, to_us: int) -> None:
        for moment in self._moments(to_us):
            self._keep(moment - 1)
            self.now_us = moment
            for candle in sorted(self.candles):
                if candle.start_us + MINUTE_US == moment:
                    self._play(candle)
            self._keep(moment)
            for hours in self.hours:
                if moment in (hours.pre_us, hours.open_us):
                    self._wake()
                if moment in (hours.open_us + MINUTE_US, hours.close_us, hours.post_us):
                    self._end_orders(hours)
        self._keep(to_us)
        self.now_us = to_us

    def _moments(self, to_us: int) -> list[int]:
        """Return every minute of trading, and whatever else the day's timetable has, up to a moment."""
        marks = {mark for hours in self.hours for mark in hours}
        marks |= {candle.start_us + MINUTE_US for candle in self.candles}
        for hours in self.hours:
            marks |= set(range(hours.open_us, hours.close_us, MINUTE_US))
        return sorted(mark for mark in marks if self.now_us < mark <= to_us)

    def halted(self, symbol: str, at_us: int) -> bool:
        return any(h.symbol == symbol and h.begin_us <= at_us < h.end_us for h in self.halts)

    def _play(self, candle: Candle) -> None:
        if self.halted(candle.symbol, candle.start_us + MINUTE_US - 1):
            return
        cap = Decimal(max(1, candle.volume // 10) if candle.volume else 0)
        waiting = [s for s in self.slips if s.wish.symbol == candle.symbol and s.working]
        waiting = [s for s in waiting if s.at_market_us is not None and s.at_market_us <= candle.start_us]
        waiting = [s for s in waiting if self._may_see(s, candle)]
        for slip in sorted(waiting, key=lambda s: rank(s, candle)):
            if slip.working:
                cap -= self._try(slip, candle, cap)

    def _may_see(self, slip: Slip, candle: Candle) -> bool:
        if slip.wish.time_in_force == "opg":
            return any(h.open_us == candle.start_us for h in self.hours)
        if slip.wish.time_in_force == "cls":
            return any(h.close_us == candle.start_us + MINUTE_US for h in self.hours)
        return candle.regular or slip.wish.extended_hours

    def _try(self, slip: Slip, candle: Candle, cap: Decimal) -> Decimal:
        price = traded_at(slip, candle)
        if price is None or not cap:
            return ZERO
        if not slip.opens:
            cap = min(cap, self._to_close(slip))
        qty = min(slip.remaining_shares(price), cap)
        if slip.wish.time_in_force == "fok" and qty < slip.remaining_shares(price):
            return ZERO
        if not qty:
            self._end_group(slip, "canceled")
            return ZERO
        self._fill(slip, qty, price)
        return qty

    def _fill(self, slip: Slip, qty: Decimal, price: Decimal) -> None:
        account, symbol = self.accounts[slip.owner], slip.wish.symbol
        account.cash -= slip.side * qty * price
        account.shares[symbol] = account.of(symbol) + slip.side * qty
        slip.filled += qty
        slip.spent += qty * price
        self.executions.append(Execution(self.now_us, slip, qty, price))
        # Dollars to close are spent once nothing is left to close; shares that were asked for are still missing.
        over = not slip.remaining_shares(price) or (slip.qty is None and not slip.opens and not account.of(symbol))
        if over or not slip.status.startswith("pending"):
            slip.status = "filled" if over else slip.live
        self._after_fill(slip)

    def _after_fill(self, slip: Slip) -> None:
        if slip.wish.order_class in ("bracket", "oto") and slip.parent is None:
            if slip.status == "filled":
                self._release(slip)
            return
        for other in other_exits(slip):
            if slip.status == "filled":
                self._end(other, "canceled")
            else:
                other.qty = other.filled + slip.remaining_shares(ONE)

    def _wake(self) -> None:
        for slip in self.slips:
            if slip.status == "accepted" and self.can_trade(slip.wish):
                self._bring_to_market(slip)

    def _end_orders(self, hours: Hours) -> None:
        for slip in self.slips:
            if slip.open and slip.wish.time_in_force != "gtc" and self._last_moment(slip, hours) == self.now_us:
                self._end(slip, "expired" if slip.wish.time_in_force == "day" else "canceled")

    def _last_moment(self, slip: Slip, hours: Hours) -> int:
        if slip.wish.time_in_force == "opg":
            return hours.open_us + MINUTE_US
        return hours.post_us if slip.wish.extended_hours else hours.close_us
