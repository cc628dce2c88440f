"""The effect of a change on the passes of a period.

The effect consists of the additional orders and their symbols, the gates that stop the other candidates, and what the
additional orders would have earned since.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from statistics import fmean

from msgspec import Struct

from tradebot.auditing.confidence_intervals import estimate, fewest_sessions
from tradebot.auditing.outcomes import WORTH_SEEING
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Gate
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.sentences import pluralize
from tradebot.replaying.desk_changes import Filled
from tradebot.replaying.span_replay import SENT, CandidateEnd, ReplayedCycle
from tradebot.replaying.strategy_replay import Unanswered
from tradebot.views.what_if import WhatIfChange, WhatIfOrder, no_difference, order_of

SHOWN = 50
"""How many orders a document has; the others are counted."""
HORIZONS = (1, 5, 20)
"""The numbers of sessions after which an order's profit is computed."""
FOLLOWS = frozenset({Gate.POSITIONED, Gate.WORKING, Gate.UNRESOLVED, Gate.COOLDOWN, Gate.DUPLICATE})
"""Gates that refuse a symbol because it was just bought, as a consequence of the change.

They aren't the next binding limit.
"""


class SymbolOrders(Struct, frozen=True):
    """The number of a symbol's orders before and after the change."""

    symbol: str
    then: int
    now: int


class GateCounts(Struct, frozen=True):
    """The number of candidates that ended at a gate for a reason, without and with the change; the `gate` "sent" counts
    orders.
    """

    gate: str
    about: str
    reason: str
    meaning: str
    then: int
    now: int


class WhatIfEarnings(Struct, frozen=True):
    """The mean return of the added orders after a number of sessions, before costs. The orders of each session are
    averaged first.

    The return is a fraction of the entry price, and `low` and `high` bound the 95% interval of its mean. The mean and
    its interval require orders in `needed` sessions; `of_sessions` is how many sessions have orders. `unpriced` counts
    orders that have no price yet, or none in the store.
    """

    sessions: int
    orders: int
    of_sessions: int
    needed: int
    unpriced: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None


class SentAt(Struct, frozen=True):
    """An order that is sent only with the change, or only without it, and when."""

    at: datetime
    order: WhatIfOrder


class UndecidedPass(Struct, frozen=True):
    """A pass of the period that was left out because it couldn't be decided again, and why."""

    id: str
    at: datetime
    why: str


class WhatIfSpan(Struct, frozen=True):
    """The passes of a period with a change, each decided after the changed passes before it.

    `left_out` are settings that the what-if can't change, or only in part, and `unasked` are strategies whose answers
    can't be known. `symbols` are the symbols with a different number of orders. `stops` are the gates at which a
    different number of candidates ended; with a `symbol`, only its candidates count. `resized` counts orders that are
    sent either way, but with another size or price. `next` is the limit that refuses the most additional candidates.
    `orders` are the first added ones, and `kept_back` the first that would no longer be sent.
    """

    symbol: str | None
    session: date | None
    first_at: datetime
    last_at: datetime
    passes: int
    sentence: str
    changes: tuple[WhatIfChange, ...]
    left_out: tuple[Unanswered, ...]
    unasked: tuple[str, ...]
    orders_then: int
    orders_now: int
    more: int
    fewer: int
    resized: int
    symbols: tuple[SymbolOrders, ...]
    stops: tuple[GateCounts, ...]
    next: GateCounts | None
    orders: tuple[SentAt, ...]
    kept_back: tuple[SentAt, ...]
    earned: tuple[WhatIfEarnings, ...]
    lacking: tuple[UndecidedPass, ...]

    @property
    def lets_through(self) -> bool:
        """Return True if the change sends an order that wasn't sent before; with a selected symbol, an order in it."""
        return any(self.symbol in (None, at.order.symbol) for at in self.orders)


Later = Mapping[tuple[str, date, int], Decimal]
"""The price of a symbol some sessions after another one; unknown prices are absent."""


def stops_of(passes: Iterable[ReplayedCycle], symbol: str | None) -> tuple[GateCounts, ...]:
    """Return the gates at which a different number of candidates ended, most refusals first."""
    then, now = Counter[CandidateEnd](), Counter[CandidateEnd]()
    for cycle in passes:
        for count, ends in ((then, cycle.then), (now, cycle.now)):
            count.update(end for (_, name, _), end in ends.items() if symbol in (None, name))
    changes = [_stop(end, then[end], now[end]) for end in {**then, **now} if then[end] != now[end]]
    return tuple(sorted(changes, key=lambda change: (-change.now, -change.then, change.gate, change.reason)))


def _stop(end: CandidateEnd, then: int, now: int) -> GateCounts:
    meaning = REASONS[Reason(end.reason)].meaning if end.reason else ""
    return GateCounts(end.gate or "sent", end.about, end.reason, meaning, then, now)


def next_limit(stops: Sequence[GateCounts]) -> GateCounts | None:
    """Return the limit with the largest increase in refusals; None if no limit refuses more."""
    names = {gate.value for gate in FOLLOWS} | {_stop(SENT, 0, 0).gate, Gate.STRATEGY.value}
    more = [stop for stop in stops if stop.now > stop.then and stop.gate not in names]
    return max(more, key=lambda change: change.now - change.then, default=None)


def symbols_of(passes: Sequence[ReplayedCycle]) -> tuple[SymbolOrders, ...]:
    """Return the symbols whose orders differ, largest increase first."""
    more, fewer, sent = Counter[str](), Counter[str](), Counter[str]()
    for cycle in passes:
        sent.update(name for (_, name, _), end in cycle.then.items() if end == SENT)
        more.update(each.symbol for each in cycle.more)
        fewer.update(each.symbol for each in cycle.fewer)
    names = {name for name in (*more, *fewer) if more[name] != fewer[name]}
    rows = [SymbolOrders(name, sent[name], sent[name] + more[name] - fewer[name]) for name in names]
    return tuple(sorted(rows, key=lambda change: (change.then - change.now, change.symbol)))


def earned_by(entries: Sequence[Filled], later: Later) -> tuple[WhatIfEarnings, ...]:
    """Return what orders earned after each number of sessions.

    If too few sessions have orders, there is no mean and no interval.
    """
    return tuple(_earnings(entries, later, sessions) for sessions in HORIZONS)


def _earnings(entries: Sequence[Filled], later: Later, sessions: int) -> WhatIfEarnings:
    by_session = defaultdict[date, list[float]](list)
    for entry in entries:
        session = entry.intent.key.session
        price = later.get((entry.symbol, session, sessions))
        if price is not None:
            by_session[session].append(float(entry.intent.side.sign * (price / entry.price - 1)))
    orders, needed = sum(map(len, by_session.values())), fewest_sessions(sessions + 1)
    counts = (sessions, orders, len(by_session), needed, len(entries) - orders)
    if len(by_session) < needed:
        return WhatIfEarnings(*counts)
    estimated = estimate([fmean(by_session[day]) for day in sorted(by_session)], sessions + 1, WORTH_SEEING)
    return WhatIfEarnings(*counts, None if estimated.low is None else estimated.mean, estimated.low, estimated.high)


def what_if_span(
    passes: Sequence[ReplayedCycle],
    span: tuple[datetime, datetime],
    changes: Iterable[WhatIfChange],
    later: Callable[[Sequence[Filled]], Later],
    *,
    symbol: str | None = None,
    session: date | None = None,
    left_out: Sequence[Unanswered] = (),
    unasked: Sequence[str] = (),
    lacking: Sequence[UndecidedPass] = (),
) -> WhatIfSpan:
    """Compare these passes before and after the change.

    `later` returns the prices of the orders' symbols after later sessions.
    """
    more, fewer, resized = _apart(passes, symbol)
    stops = stops_of(passes, symbol)
    then = sum(end == SENT for cycle in passes for (_, name, _), end in cycle.then.items() if symbol in (None, name))
    opened = [filled for filled in more if filled.intent.purpose is Purpose.OPEN]
    return WhatIfSpan(
        symbol=symbol,
        session=session,
        first_at=span[0],
        last_at=span[1],
        passes=len(passes),
        sentence=_sentence(
            len(more),
            len(fewer),
            resized,
            sum(max(stop.now - stop.then, 0) for stop in stops),
            whole=not (left_out or unasked),
        ),
        changes=tuple(changes),
        left_out=tuple(left_out),
        unasked=tuple(unasked),
        orders_then=then,
        orders_now=then + len(more) - len(fewer),
        more=len(more),
        fewer=len(fewer),
        resized=resized,
        symbols=symbols_of(passes),
        stops=stops,
        next=next_limit(stops),
        orders=_sent_orders(more),
        kept_back=_sent_orders(fewer),
        earned=earned_by(opened, later(opened)) if opened else (),
        lacking=tuple(lacking),
    )


def _sent_orders(orders: Sequence[Filled]) -> tuple[SentAt, ...]:
    return tuple(SentAt(order.intent.at, order_of(order.intent)) for order in orders[:SHOWN])


def _apart(passes: Sequence[ReplayedCycle], symbol: str | None) -> tuple[Sequence[Filled], Sequence[Filled], int]:
    """Return the orders that only one side sends, and how many both send, but with another size or price."""
    more, fewer = (
        [each for orders in records for each in orders if symbol in (None, each.symbol)]
        for records in ([cycle.more for cycle in passes], [cycle.fewer for cycle in passes])
    )
    # An order's id doesn't include its size or price.
    both = {record.intent.client_order_id for record in more} & {record.intent.client_order_id for record in fewer}
    more, fewer = ([order for order in orders if order.intent.client_order_id not in both] for orders in (more, fewer))
    return more, fewer, len(both)


def _sentence(more: int, fewer: int, resized: int, moved: int, *, whole: bool) -> str:
    if more or fewer or resized:
        would = [f"{pluralize(more, 'more order')} would be sent"] if more else []
        would += [f"{pluralize(fewer, 'order')} wouldn't{' be sent' * (not more)}"] if fewer else []
        would += [f"{pluralize(resized, 'order')} would have a different size or price"] if resized else []
        return f"{', and '.join((', '.join(would[:-1]), would[-1])) if would[1:] else would[0]}."
    if moved:
        return f"The same orders would be sent; {pluralize(moved, 'candidate')} would have a different result."
    return no_difference(whole=whole)
