"""Limits on how often the bot enters. Each is one predicate with two uses: as a gate, on the session's entries plus
one more, and as a monitor, on the entries as they are. Only entries are limited; reducing risk is never throttled.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tradebot.gates.common import answer
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate
from tradebot.model.desk import Book
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason
from tradebot.model.values import replace

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def session_entries(book: Book, limits: Limits, more: int = 0) -> Decision:
    """Compare the number of entries promised in this session with its limit."""
    after, limit = len(book.entries) + more, limits.max_session_entries
    return answer(Gate.SESSION_ENTRIES, after <= limit, Reason.MAX_SESSION_ENTRIES, after, limit)


def symbol_entries(book: Book, limits: Limits, strategy: str, symbol: str, side: Side, more: int = 0) -> Decision:
    """Compare how often one strategy entered one side of one symbol in this session with the limit."""
    same = (strategy, symbol, side)
    after = sum((e.strategy, e.symbol, e.side) == same for e in book.entries) + more
    limit = limits.max_symbol_entries
    return answer(Gate.SYMBOL_ENTRIES, after <= limit, Reason.MAX_SYMBOL_ENTRIES, after, limit)


def order_rate(book: Book, limits: Limits, now: datetime, more: int = 0) -> Decision:
    """Compare the entries of the last second and the last minute with their limits; report the first that fails."""
    spans = ((SECOND, limits.max_orders_per_second), (MINUTE, limits.max_orders_per_minute))
    counted = [(sum(now - span < e.at for e in book.entries) + more, limit) for span, limit in spans]
    after, limit = next(((count, limit) for count, limit in counted if count > limit), counted[0])
    return answer(Gate.ORDER_RATE, after <= limit, Reason.ORDER_RATE, after, limit)


def duplicate_order(book: Book, limits: Limits, symbol: str, side: Side, now: datetime) -> Decision:
    """Fail if the same side of the symbol was entered within the window, by any strategy and under any id."""
    last = max((e.at for e in book.entries if (e.symbol, e.side) == (symbol, side)), default=None)
    window = limits.duplicate_window_s
    if last is None:
        return answer(Gate.DUPLICATE, True, Reason.DUPLICATE_ORDER, None, window)
    age = (now - last).total_seconds()
    return answer(Gate.DUPLICATE, age >= window, Reason.DUPLICATE_ORDER, age, window, age)


def monitors(book: Book, limits: Limits) -> Iterator[tuple[str, Decision]]:
    """Yield the decision of each limit on the session's entries as they are, with the symbol concerned.

    The order rate is judged at the time of the newest entry; duplicates are judged at the time of each entry.
    """
    yield "", session_entries(book, limits)
    if book.entries:
        yield "", order_rate(book, limits, max(e.at for e in book.entries))
    for entered in sorted({replace(e, at=book.entries[0].at) for e in book.entries}, key=str):
        yield entered.symbol, symbol_entries(book, limits, entered.strategy, entered.symbol, entered.side)
    for place, entered in enumerate(book.entries):
        before = replace(book, entries=book.entries[:place])
        yield entered.symbol, duplicate_order(before, limits, entered.symbol, entered.side, entered.at)
