"""Advance time: bars meet the book, sessions begin and end, and deeds fall due, all in chronological order.

Between two stops (a session's marks and the agenda's deeds) only its own orders change the book, so the bars of all its
symbols are played together. At the same moment bars come first, then deeds, then the calendar's marks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from papervenue.engine import life
from papervenue.engine.dialect import Mark, Marks
from papervenue.engine.floor import Floor
from papervenue.engine.matching import Priority, priority
from papervenue.engine.orders import Order
from papervenue.market.bars import Bar
from papervenue.market.sessions import Calendar

_OTHERS = {"close": "ends"}


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
            floor.dialect.reach(floor, mark)


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
    """Return the moments of the marks at which something may happen now, and the marks."""
    kinds = floor.dialect.kinds(floor, waiting=any(account.open for account in floor.accounts.values()))
    return _all_marks(floor.market.all_calendars, floor.dialect.marks, kinds)


@lru_cache(maxsize=8)
def _all_marks(calendars: tuple[Calendar, ...], marks_of: Marks, kinds: frozenset[str]) -> tuple[list[int], list[Mark]]:
    """Return the moments of all marks of these kinds in a market's sessions, and the marks.

    The first calendar is the market's own. Only its sessions have a close; those of others end.
    """
    own, *others = calendars
    marks = [mark for session in own.market for mark in marks_of(session)]
    for session in chain.from_iterable(calendar.market for calendar in others):
        marks += [mark._replace(kind=_OTHERS.get(mark.kind, mark.kind)) for mark in marks_of(session)]
    kept = sorted(mark for mark in marks if mark.kind in kinds)
    return [mark.at_us for mark in kept], kept


def _play_bars(floor: Floor, from_us: int, to_us: int) -> int:
    """Match the bars that end in a span without marks, in the order of their ends and then of their symbols.

    Return the end of the span, or the moment of a deed that a fill has brought about within it.
    """
    bars = [(bar.end_us, symbol, bar) for symbol, bar in _bars_between(floor, from_us, to_us)]
    watches, unseen = floor.dialect.watches, False
    for end_us, symbol, bar in sorted(bars):
        if unseen and end_us > floor.now_us:
            floor.dialect.review(floor)
            unseen = False
        if (deed_us := floor.agenda.next_us) is not None and deed_us < end_us:
            return deed_us
        # A minute is over just before the moment it ends. So a halt that ends then covers it, and one that begins then
        # doesn't.
        floor.now_us = end_us - 1
        halted = symbol in floor.halted
        floor.now_us = end_us
        if not halted:
            _match(floor, symbol, bar)
        if watches:
            unseen = unseen or symbol in floor.dialect.watched(floor)
    if unseen:
        floor.dialect.review(floor)
    deed_us = floor.agenda.next_us
    return to_us if deed_us is None else max(from_us, min(to_us, deed_us))


def _bars_between(floor: Floor, from_us: int, to_us: int) -> Iterator[tuple[str, Bar]]:
    market, calendar, index, regular = floor.market, None, -1, False
    symbols = floor.book.symbols()
    if floor.dialect.watches:
        symbols = sorted(floor.dialect.watched(floor).union(symbols))
    for symbol in symbols:
        if market.calendars[symbol] is not calendar:
            calendar = market.calendars[symbol]
            # A session may end at the very moment that the next one begins.
            index = calendar.reached(to_us - 1)
            session = calendar.market[index]
            regular = session.open_us < to_us <= session.close_us
        if index < 0:
            continue
        if regular or any(order.request.extended_hours for order in floor.book.orders(symbol)):
            day = market.day(symbol, index) if regular else market.extended(symbol, index)
            for bar in day.bars[day.complete(from_us) : day.complete(to_us)]:
                yield symbol, bar


def _match(floor: Floor, symbol: str, bar: Bar) -> None:
    candidates = _candidates(floor, symbol, bar)
    if not candidates:
        return
    left = floor.model.volume_cap(bar, symbol)
    for candidate in candidates:
        order = candidate.order
        room = floor.model.room(order, bar, left)
        # An order that filled earlier in this bar may have canceled this one.
        whole = order.request.time_in_force == "fok"
        if room > 0 and order.is_open and (not whole or order.remaining <= room):
            left -= life.fill(floor, order, candidate.price, room)


def _candidates(floor: Floor, symbol: str, bar: Bar) -> list[Candidate]:
    candidates = []
    session = floor.market.calendars[symbol].trading(bar.start_us)
    for order in floor.book.orders(symbol):
        price = floor.dialect.bar_price(floor, order, bar, session) if order.live_us <= bar.start_us else None
        if price is not None:
            candidates.append(Candidate(priority(order, bar), order.sequence, order, price))
    return sorted(candidates)
