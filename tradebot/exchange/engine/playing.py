"""Advance time: bars meet the book, sessions begin and end, and deeds fall due, all in chronological order.

Between two stops (a session's marks and the agenda's deeds) only its own orders change the book, so the bars of all its
symbols are played together. At the same moment bars come first, then deeds, then the calendar's marks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from tradebot.exchange.engine import charges, life
from tradebot.exchange.engine.floor import Floor
from tradebot.exchange.engine.matching import Priority, priority, stop_price
from tradebot.exchange.engine.orders import Order
from tradebot.exchange.market.bars import Bar
from tradebot.exchange.market.sessions import Calendar, Session
from tradebot.exchange.times import MINUTE

CLOSES = frozenset({"close"})
WITHOUT_ORDERS = CLOSES | {"pre", "post"}
ALL = WITHOUT_ORDERS | {"open", "opened", "aged"}
"""The kinds of marks."""


class Mark(NamedTuple):
    """A moment of a session at which something other than trading happens."""

    at_us: int
    kind: str


class Candidate(NamedTuple):
    """An order that a bar fills at a price, with its rank among the others."""

    priority: Priority
    sequence: int
    order: Order
    price: int


def advance(floor: Floor, to_us: int) -> None:
    """Advance time up to and including a moment."""
    while (at_us := _next_stop(floor, to_us)) is not None:
        from_us = floor.now_us
        floor.now_us = at_us = _play_bars(floor, from_us, at_us)
        floor.agenda.do_until(at_us, floor)
        for mark in _marks_between(floor, from_us, at_us):
            _reach(floor, mark)


def _next_stop(floor: Floor, to_us: int) -> int | None:
    """Return the next moment to stop at, or None once the target is reached and nothing is due."""
    deed_us = floor.agenda.next_us
    if deed_us is not None and deed_us <= floor.now_us:
        return floor.now_us
    if floor.now_us >= to_us:
        return None
    times, _ = _marks_of(floor)
    place = bisect_right(times, floor.now_us)
    stop_us = min(to_us, times[place]) if place < len(times) else to_us
    return stop_us if deed_us is None else min(stop_us, deed_us)


def _marks_between(floor: Floor, from_us: int, to_us: int) -> list[Mark]:
    times, marks = _marks_of(floor)
    low = bisect_right(times, from_us)
    return marks[low : bisect_right(times, to_us, low)]


def _marks_of(floor: Floor) -> tuple[list[int], list[Mark]]:
    """Return the moments of the marks at which something may happen now, and the marks.

    While no order is open, none can wake or expire; without interest, nothing accrues either.
    """
    if any(account.open for account in floor.accounts.values()):
        return _all_marks(floor.market.calendar, ALL)
    return _all_marks(floor.market.calendar, WITHOUT_ORDERS if floor.costs.interest else CLOSES)


@lru_cache(maxsize=8)
def _all_marks(calendar: Calendar, kinds: frozenset[str]) -> tuple[list[int], list[Mark]]:
    """Return the moments of all marks of these kinds in a market's sessions, and the marks."""
    marks = [mark for session in calendar.market for mark in _marks(session) if mark.kind in kinds]
    return [mark.at_us for mark in marks], marks


def _marks(session: Session) -> list[Mark]:
    marks = [
        Mark(session.pre_us, "pre"),
        Mark(session.open_us, "open"),
        Mark(session.open_us + MINUTE, "opened"),
        Mark(session.close_us, "close"),
        Mark(life.aged_us(session.date), "aged"),
        Mark(session.post_us, "post"),
    ]
    return sorted(marks)


def _reach(floor: Floor, mark: Mark) -> None:
    if mark.kind in ("pre", "open"):
        _wake(floor)
    elif mark.kind == "aged":
        _expire(floor, floor.market.calendar.next_open(floor.now_us), "gtc")
    else:
        _expire(floor, floor.now_us)
    if mark.kind == "pre":
        charges.post(floor)
    elif mark.kind == "post":
        charges.accrue(floor)
    if mark.kind == "close":
        for account in floor.accounts.values():
            account.close_day(floor.balances(account))


def _wake(floor: Floor) -> None:
    """Bring orders that were waiting for this moment to the market, oldest first."""
    waiting = [o for account in floor.accounts.values() for o in account.open.values() if o.status == "accepted"]
    for order in sorted(waiting, key=attrgetter("sequence")):
        if order.status == "accepted" and life.tradable(floor, order.request):
            life.bring(floor, order)


def _expire(floor: Floor, until_us: int, only: str = "") -> None:
    """End orders whose time is up: day orders expire, others are canceled."""
    for account in floor.accounts.values():
        for order in list(account.open.values()):
            due = order.expires_us <= until_us and only in ("", order.request.time_in_force)
            if due and order.is_open:
                life.expire(floor, order)


def _play_bars(floor: Floor, from_us: int, to_us: int) -> int:
    """Match the bars that end in a span without marks, in the order of their ends and then of their symbols.

    Return the end of the span, or the moment of a deed that a fill has brought about within it.
    """
    bars = [(bar.end_us, symbol, bar) for symbol, bar in _bars_between(floor, from_us, to_us)]
    for end_us, symbol, bar in sorted(bars):
        if (deed_us := floor.agenda.next_us) is not None and deed_us < end_us:
            return deed_us
        # A minute is over just before the moment it ends. So a halt that ends then covers it, and one that begins then
        # doesn't.
        floor.now_us = end_us - 1
        halted = symbol in floor.halted
        floor.now_us = end_us
        if not halted:
            _match(floor, symbol, bar)
    deed_us = floor.agenda.next_us
    return to_us if deed_us is None else max(from_us, min(to_us, deed_us))


def _bars_between(floor: Floor, from_us: int, to_us: int) -> Iterator[tuple[str, Bar]]:
    market, symbols = floor.market, floor.book.symbols()
    index = market.calendar.reached(to_us) if symbols else -1
    if index < 0:
        return
    session = market.calendar.market[index]
    regular = session.open_us < to_us <= session.close_us
    for symbol in symbols:
        if regular or any(order.request.extended_hours for order in floor.book.orders(symbol)):
            day = market.day(symbol, index) if regular else market.extended(symbol, index)
            for bar in day.bars[day.complete(from_us) : day.complete(to_us)]:
                yield symbol, bar


def _match(floor: Floor, symbol: str, bar: Bar) -> None:
    candidates = _candidates(floor, symbol, bar)
    if not candidates:
        return
    left = floor.model.volume_cap(bar)
    for candidate in candidates:
        order = candidate.order
        room = floor.model.room(order, bar, left)
        # An order that filled earlier in this bar may have canceled this one.
        whole = order.request.time_in_force == "fok"
        if room > 0 and order.is_open and (not whole or order.remaining <= room):
            left -= life.fill(floor, order, candidate.price, room)


def _candidates(floor: Floor, symbol: str, bar: Bar) -> list[Candidate]:
    candidates = []
    session = floor.market.calendar.trading(bar.start_us)
    for order in floor.book.orders(symbol):
        price = _price(floor, order, bar, session) if order.live_us <= bar.start_us else None
        if price is not None:
            candidates.append(Candidate(priority(order, bar), order.sequence, order, price))
    return sorted(candidates)


def _price(floor: Floor, order: Order, bar: Bar, session: Session) -> int | None:
    request, model = order.request, floor.model
    if not session.open_us <= bar.start_us < session.close_us:
        return model.traded(order, bar) if request.extended_hours else None
    if request.time_in_force == "opg" and model.auctions:
        # It arrived at the open; whatever the first minute leaves of it is canceled, so it sees no other bar.
        return model.quoted(order, bar.open)
    if request.time_in_force == "cls" and model.auctions:
        return model.quoted(order, bar.close) if bar.end_us == session.close_us else None
    return model.traded(order, bar) if order.stop is None else stop_price(order, bar, model)
