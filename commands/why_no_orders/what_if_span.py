"""Replay the passes of a session, or all since some time, with changes, and summarize the differences."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from rich.markup import escape

from commands.shared.light_helpers import clean
from commands.shared.number_format import format_with_unit, in_units, units, usd
from commands.shared.span_options import PassSpan
from commands.shared.tables import Table, number, sentence
from commands.shared.times import DAY_MINUTE, MINUTE, stamp, when, zone
from commands.shared.verb_options import Report, progress_bar
from commands.why_no_orders.reading import JOB, bounds_of
from commands.why_no_orders.what_if import (
    OPTION,
    WhatIfRunner,
    changes_in,
    held_in,
    left_out,
    not_kept,
    nothing_recorded,
    require_held,
)
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.bar import Quote
from tradebot.model.decision import Gate, units_of
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.sentences import noun_for, pluralize
from tradebot.replaying.desk_changes import Filled
from tradebot.replaying.passes import RecordedCycle, RecordEnvironment
from tradebot.replaying.record_writer import RecordError
from tradebot.replaying.span_replay import (
    Body,
    ChangedRecord,
    Ends,
    ExitPassMoment,
    OverSpan,
    ReplayedCycle,
    by_filters_alone,
    compares,
)
from tradebot.views.what_if_span import (
    HORIZONS,
    GateCounts,
    Later,
    SentAt,
    SymbolOrders,
    UndecidedPass,
    WhatIfEarnings,
    WhatIfSpan,
    what_if_span,
)

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.replaying.strategy_replay import Unanswered
    from tradebot.views.what_if import CandidateResult, WhatIf, WhatIfChange, WhatIfEnd, WhatIfOrder, WhatIfOutcome

SHOWN = 20


def show_what_if(console: "Console", data: "WhatIf") -> None:
    """Print the changes, and their effect on the symbol and on all others."""
    subject = f"[bold]{escape(clean(data.symbol))}[/bold]  " if data.symbol else ""
    console.print(f"{subject}{escape(in_units(data.sentence))}")
    if data.remedy:
        console.print(f"Next: {data.remedy}", markup=False)
    print_changes(console, data.changes, data.left_out, data.unasked)
    if data.otherwise:
        console.print(
            "This version decides that pass differently even without the change. Next: tradebot replay "
            f"{clean(data.id)}",
            markup=False, style="yellow",
        )  # fmt: skip
    console.print(f"\nDecided again: the pass at {when(data.at)}; nothing was sent", markup=False)
    for what_if_outcome in data.about:
        _about(console, what_if_outcome)
    others = [outcome for outcome in data.changed if outcome.symbol != data.symbol]
    if others:
        heading = "Other symbols" if data.symbol else "Changed"
        console.print(f"{heading}:", markup=False)
        console.print(_table(others[:SHOWN]))
    if len(others) > SHOWN:
        console.print(f"  … and {len(others) - SHOWN:,} more that differ", markup=False)
    if data.symbol and not others:
        console.print("No other symbol changes.", markup=False)
    rest = f"{pluralize(data.same, 'candidate')} unchanged" if data.same else "no candidate unchanged"
    console.print(f"{rest}; orders: {data.orders_then:,} then, {data.orders_now:,} now", markup=False)


def print_changes(
    console: "Console", changes: "Sequence[WhatIfChange]", left_out: "Sequence[Unanswered]", unasked: "Sequence[str]"
) -> None:
    """Print the changes, and the limitations of the result."""
    for change in changes:
        was = f" (was {clean(change.before)})" if change.before else " in each pass"
        console.print(f"What if: {clean(change.what)} {clean(change.after)}{was}", markup=False)
    for unanswered in left_out:
        console.print(f"Not included: {unanswered.setting}: {unanswered.why}", markup=False, style="yellow")
    for name in unasked:
        console.print(
            f"Not included: {clean(name)}'s decisions, because some facts and bars that it read are no longer stored; "
            "tradebot bars list shows which bars are",
            markup=False, style="yellow",
        )  # fmt: skip


def _about(console: "Console", what_if_outcome: "WhatIfOutcome") -> None:
    console.print(f"  {clean(what_if_outcome.strategy)}, then: {_fate(what_if_outcome.then)}", markup=False)
    console.print(f"  {clean(what_if_outcome.strategy)}, now:  {_fate(what_if_outcome.now)}", markup=False)
    for other in what_if_outcome.now.others:
        console.print(f"    refused by {_end(other)} too", markup=False)


def _table(outcomes: "Sequence[WhatIfOutcome]") -> Table:
    several = len({outcome.strategy for outcome in outcomes}) > 1
    table = Table("symbol", *(("strategy",) if several else ()), sentence("then", "then:"), sentence("now", "now:"))
    for row in outcomes:
        name = (escape(clean(row.strategy)),) if several else ()
        style = "green" if row.now.sent and not row.then.sent else "red" if row.then.sent and not row.now.sent else ""
        table.row(escape(clean(row.symbol)), *name, escape(_fate(row.then)), escape(_fate(row.now)), style=style)
    return table


def _fate(fate: "CandidateResult") -> str:
    if fate.absent:
        return "not proposed"
    if fate.sent:
        return f"sent: {order_text(fate.order)}" if fate.order else "sent"
    return _end(fate.end) if fate.end else "nothing to do"


def order_text(order: "WhatIfOrder") -> str:
    """Return a new order in words."""
    price = f"at {usd(order.price, order.symbol)}" if order.price is not None else "at the market"
    worth = f", {usd(order.notional_usd)} USD" if order.notional_usd is not None else ""
    return f"{order.side} {order.quantity:,f} {units(order.quantity)} {price}{worth}"


def _end(end: "WhatIfEnd") -> str:
    return ", ".join(_parts(end))


def _parts(end: "WhatIfEnd") -> Iterator[str]:
    yield f"{end.reason or 'refused'}"
    if end.observed is not None and end.limit is not None and end.reason:
        unit, limit = units_of(Gate(end.gate), Reason(end.reason))
        yield clean(f"{format_with_unit(end.observed, unit)} against {format_with_unit(end.limit, limit)}")


def run(asking: WhatIfRunner, symbol: str | None, span: PassSpan, session: date | None) -> Report:
    """Answer a what-if about a period; exit 0 if an order would be sent, otherwise 10."""
    if asking.changes.at is not None:
        raise OperatorError(
            f"{OPTION} at= changes the time of one pass, so it can't be used with a span",
            f"tradebot why-no-orders {OPTION} at=10:32",
        )
    facts = asking.app.existing_facts
    heads = facts.heads(JOB, **bounds_of(facts, span, session)._asdict()) if facts else ()
    if facts is None or not heads:
        raise nothing_recorded(asking.app, session)
    deciding = _Deciding(asking, tuple(_looks(asking, facts, heads)))
    # Existing objects stay, so the garbage collector needn't check them again.
    gc.freeze()
    try:
        with progress_bar("deciding again") as progress:
            for number, head in enumerate(heads):
                progress(number, len(heads))
                deciding.decide(head)
    finally:
        gc.unfreeze()
    data = deciding.summed_up(symbol, session, heads)
    return Report("why-no-orders", data, show, ExitCode.DONE if data.lets_through else ExitCode.FINDINGS)


def _looks(asking: WhatIfRunner, facts: SqliteFacts, heads: Sequence[CycleRecord]) -> Iterator[ExitPassMoment]:
    """Yield the passes of exits in a span that weren't refused."""
    first, last = heads[0], heads[-1]
    sessions = {session.date: session for session in asking.app.ledger_view.sessions(first.session, last.session)}
    for head in facts.heads(Job.EVALUATE_EXITS, since=first.at):
        if head.job_decision is None and head.at <= last.at:
            yield ExitPassMoment(head.at, sessions.get(head.session))


class _Deciding:
    """Decides the passes of one period, and summarizes the differences."""

    def __init__(self, asking: WhatIfRunner, looks: Sequence[ExitPassMoment]) -> None:
        self._asking = asking
        self._over = OverSpan(self._change_record, self._touches, looks)
        self._decided: list[ReplayedCycle] = []
        self._lacking: list[UndecidedPass] = []
        self._unasked: set[str] = set()
        self._held: set[str] = set()
        self._first: RecordedCycle | None = None

    def decide(self, head: CycleRecord) -> None:
        """Decide the next pass; one whose record can't be used is left out."""
        try:
            body = self._asking.body(head)
            self._first = self._first or self._asking.read(body)
            self._decided.append(self._over.replay_next(body))
        except RecordError as error:
            self._lacking.append(UndecidedPass(head.id, head.at, str(error)))

    def _touches(self, around: RecordEnvironment, then: Ends) -> bool:
        return bool(self._asking.changes.gone) or self._is_whole(around) or not by_filters_alone(then)

    def _is_whole(self, around: RecordEnvironment) -> bool:
        """Return True if the candidates that strategies' own filters refused have to be replayed, too."""
        supposed = self._asking.supposition(around)
        return bool(supposed.strategies) or compares(supposed.after)

    def _change_record(self, body: Body, around: RecordEnvironment) -> ChangedRecord:
        asking, whole, supposed = self._asking, self._is_whole(around), self._asking.supposition(around)
        recorded = asking.read(body, only_passing=not whole, replaced=supposed.replaced_strategies)
        self._held |= held_in(recorded) if asking.changes.gone else set()
        changed, unasked = asking.apply_changes(recorded)
        self._unasked |= unasked
        return ChangedRecord(changed, supposed.after, whole)

    def summed_up(self, symbol: str | None, session: date | None, heads: Sequence[CycleRecord]) -> WhatIfSpan:
        """Return the differences; raise OperatorError if no pass could be replayed."""
        if self._first is None or not self._decided:
            raise not_kept(heads[-1], self._lacking[-1].why)
        asking = self._asking
        require_held(asking.changes, self._held)
        assert self._first is not None
        return what_if_span(
            self._decided,
            (heads[0].at, heads[-1].at),
            changes_in(asking, self._first, each=True),
            lambda orders: later_prices(asking, orders),
            symbol=symbol,
            session=session,
            left_out=left_out(asking.changes, asking.supposition(self._first.surroundings)),
            unasked=sorted(self._unasked),
            lacking=self._lacking,
        )


LONG = timedelta(days=60)
"""A period with more sessions than the longest horizon."""


def later_prices(asking: WhatIfRunner, orders: Sequence[Filled]) -> Later:
    """Return the prices of these orders' symbols at each horizon. Nothing is fetched, so unknown prices are absent."""
    return dict(_prices_found(asking, orders))


def _prices_found(asking: WhatIfRunner, orders: Sequence[Filled]) -> Iterator[tuple[tuple[str, date, int], Decimal]]:
    wrapper = cache(lambda session: _seen_in(asking, session))
    for symbol, session in dict.fromkeys((order.symbol, order.intent.key.session) for order in orders):
        days = [day.date for day in asking.app.ledger_view.sessions(session, session + LONG)]
        wanted = {count: days[count] for count in HORIZONS if count < len(days)}
        bars = asking.app.bars_at_rest
        closes = bars.closes(symbol, session, max(wanted.values())) if bars and wanted else {}
        for count, day in wanted.items():
            if day in closes:
                yield (symbol, session, count), Decimal(str(closes[day]))
            elif (quote := wrapper(day).get(symbol)) is not None:
                yield (symbol, session, count), quote.middle


def _seen_in(asking: WhatIfRunner, session: date) -> Mapping[str, Quote]:
    """Return the quotes of the last stored pass of a session; none if no pass of it is stored."""
    facts = asking.app.existing_facts
    heads = facts.heads(JOB, session=session) if facts else ()
    try:
        return asking.read_record(heads[-1]).given.desk.quotes if heads else {}
    except RecordError:
        return {}


ORDERS, MISSING = 5, 3
"""How many orders, and left-out passes, the screen names; the others are counted."""


def show(console: "Console", data: "WhatIfSpan") -> None:
    """Print the changes, the additional orders by number and symbol, and what stops the other candidates."""
    subject = f"[bold]{escape(clean(data.symbol))}[/bold]  " if data.symbol else ""
    console.print(f"{subject}{escape(data.sentence)}")
    if data.next:
        count = data.next.now - data.next.then
        stops = f"{data.next.gate} refuses {pluralize(count, 'more candidate')}"
        console.print(f"The next limit: {stops}. {in_units(data.next.meaning)}", markup=False)
    print_changes(console, data.changes, data.left_out, data.unasked)
    span = f"{when(data.first_at, MINUTE)} to {when(data.last_at, MINUTE)}"
    of = f" of session {data.session}" if data.session else ""
    passes = pluralize(data.passes, "pass", "passes")
    console.print(f"\nDecided again: {passes}{of}, {span}; nothing was sent", markup=False)
    _left_out(console, data.lacking)
    console.print(f"Orders: {data.orders_then:,} then, {data.orders_now:,} now", markup=False)
    if data.symbols:
        console.print(_by_symbol(data.symbols))
    if data.stops:
        console.print(_by_stop(data.stops))
    _orders(console, f"Sent only with the change ({zone()}):", data.orders, data.more)
    if data.orders:
        console.print("What these orders would have earned since, before costs:", markup=False)
    for line in _earnings_lines(data.earned):
        console.print(f"  {line}", markup=False)
    _orders(console, f"Sent then, and not with the change ({zone()}):", data.kept_back, data.fewer)
    if data.more or data.fewer:
        console.print(
            "Orders count as filled at once. A position stays open until an exit rule closes it: a rule about time "
            "when the bot evaluates exits, and a rule about price when an entry pass sees that price.",
            style="dim",
        )


def _left_out(console: "Console", lacking: "Sequence[UndecidedPass]") -> None:
    for row in lacking[:MISSING]:
        console.print(f"Left out: the pass at {when(row.at)}: {clean(row.why)}", markup=False, style="yellow")
    if len(lacking) > MISSING:
        console.print(f"Left out: {len(lacking) - MISSING:,} more passes", markup=False, style="yellow")


def _by_symbol(symbols: "Sequence[SymbolOrders]") -> Table:
    table = Table("symbol", number("then"), number("now"))
    for symbol in symbols:
        style = "green" if symbol.now > symbol.then else "red"
        table.row(escape(clean(symbol.symbol)), f"{symbol.then:,}", f"{symbol.now:,}", style=style)
    return table


def _by_stop(stops: "Sequence[GateCounts]") -> Table:
    table = Table("ended at", number("then"), number("now"), sentence("meaning"))
    for stop in stops:
        table.row(escape(stop.reason or stop.gate), f"{stop.then:,}", f"{stop.now:,}", escape(in_units(stop.meaning)))
    return table


def _orders(console: "Console", heading: str, orders: "Sequence[SentAt]", count: int) -> None:
    if not orders:
        return
    console.print(heading, markup=False)
    for order in orders[:ORDERS]:
        text = f"  {stamp(order.at, DAY_MINUTE)}  {clean(order.order.symbol)}: {order_text(order.order)}"
        console.print(text, markup=False)
    if count > ORDERS:
        console.print(f"  … and {count - ORDERS:,} more; --json lists the first {len(orders)}", markup=False)


def _earnings_lines(earned: "Sequence[WhatIfEarnings]") -> Iterator[str]:
    """Yield a line for each number of sessions after which some price is known, and one line for all the others."""
    later = [earnings for earnings in earned if not earnings.orders]
    for what_if_earnings in earned:
        if what_if_earnings.orders:
            yield _earnings_text(what_if_earnings)
    if later:
        *first, last = (str(earnings.sessions) for earnings in later)
        after = f"{', '.join(first)} and {last}" if first else last
        orders = pluralize(later[0].unpriced, "order")
        sessions = noun_for(later[-1].sessions, "session")
        yield f"after {after} {sessions}: {orders}, none with a price yet, so there is no result"


def _earnings_text(row: "WhatIfEarnings") -> str:
    after = f"after {pluralize(row.sessions, 'session')}: "
    cases = f"{pluralize(row.orders, 'order')} in {pluralize(row.of_sessions, 'session')}"
    if row.mean is None or row.low is None or row.high is None:
        unpriced = f"; {row.unpriced:,} {noun_for(row.unpriced, 'has', 'have')} no price yet" if row.unpriced else ""
        return f"{after}{cases}, too few to say: {row.needed} sessions are needed{unpriced}"
    return f"{after}{row.mean:+.2%} a trade, {row.low:+.2%} to {row.high:+.2%} (95%), {cases}"
