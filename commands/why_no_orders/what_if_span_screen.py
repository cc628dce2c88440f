"""Show what the passes of a span would have done with something changed."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from commands.shared.drawing import in_units
from commands.shared.plain import clean
from commands.shared.tables import Table, number, sentence
from commands.shared.times import DAY_MINUTE, MINUTE, stamp, when, zone
from commands.why_no_orders.what_if_screen import order_text, told
from tradebot.model.text import counted, noun

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.views.what_if_span import Earned, Lacking, SentAt, Stop, SymbolOrders, WhatIfSpan

ORDERS, MISSING = 5, 3
"""How many orders, and passes that are left out, the screen names; the others are counted."""


def show(console: "Console", data: "WhatIfSpan") -> None:
    """Print what is changed, how many more orders there are, in which symbols, and what stops the others."""
    subject = f"[bold]{escape(clean(data.symbol))}[/bold]  " if data.symbol else ""
    console.print(f"{subject}{escape(data.sentence)}")
    if data.next:
        count = data.next.now - data.next.then
        stops = f"{data.next.gate} refuses {counted(count, 'more candidate')}"
        console.print(f"Binds next: {stops}. {in_units(data.next.meaning)}", markup=False)
    told(console, data.changes, data.left_out, data.unasked)
    span = f"{when(data.first_at, MINUTE)} to {when(data.last_at, MINUTE)}"
    of = f" of session {data.session}" if data.session else ""
    passes = counted(data.passes, "pass", "passes")
    console.print(f"\nDecided again: {passes}{of}, {span}; nothing was sent", markup=False)
    _left_out(console, data.lacking)
    console.print(f"Orders: {data.orders_then:,} then, {data.orders_now:,} now", markup=False)
    if data.symbols:
        console.print(_by_symbol(data.symbols))
    if data.stops:
        console.print(_by_stop(data.stops))
    _orders(console, f"Sent only with the change ({zone()}):", data.orders, data.more)
    if data.orders:
        console.print("What these have earned since, before costs:", markup=False)
    for line in _earned(data.earned):
        console.print(f"  {line}", markup=False)
    _orders(console, f"Sent then, and not with the change ({zone()}):", data.kept_back, data.fewer)
    if data.more or data.fewer:
        console.print(
            "An order counts as filled at once. What it opens is held until one of its exit rules closes it: by time "
            "when the bot asks for exits, by price when a pass of entries sees that price.",
            style="dim",
        )


def _left_out(console: "Console", lacking: "Sequence[Lacking]") -> None:
    for one in lacking[:MISSING]:
        console.print(f"Left out: the pass at {when(one.at)}: {clean(one.why)}", markup=False, style="yellow")
    if len(lacking) > MISSING:
        console.print(f"Left out: {len(lacking) - MISSING:,} more passes", markup=False, style="yellow")


def _by_symbol(symbols: "Sequence[SymbolOrders]") -> Table:
    table = Table("symbol", number("then"), number("now"))
    for one in symbols:
        style = "green" if one.now > one.then else "red"
        table.row(escape(clean(one.symbol)), f"{one.then:,}", f"{one.now:,}", style=style)
    return table


def _by_stop(stops: "Sequence[Stop]") -> Table:
    table = Table("ended at", number("then"), number("now"), sentence("meaning"))
    for one in stops:
        table.row(escape(one.reason or one.gate), f"{one.then:,}", f"{one.now:,}", escape(in_units(one.meaning)))
    return table


def _orders(console: "Console", heading: str, orders: "Sequence[SentAt]", count: int) -> None:
    if not orders:
        return
    console.print(heading, markup=False)
    for one in orders[:ORDERS]:
        text = f"  {stamp(one.at, DAY_MINUTE)}  {clean(one.order.symbol)}: {order_text(one.order)}"
        console.print(text, markup=False)
    if count > ORDERS:
        console.print(f"  … and {count - ORDERS:,} more; --json lists the first {len(orders)}", markup=False)


def _earned(earned: "Sequence[Earned]") -> Iterator[str]:
    """Yield a line for each number of sessions, and one for all of which no price is known yet."""
    later = [one for one in earned if not one.orders]
    for one in earned:
        if one.orders:
            yield _told(one)
    if later:
        *first, last = (str(one.sessions) for one in later)
        after = f"{', '.join(first)} and {last}" if first else last
        orders = counted(later[0].unpriced, "order")
        yield f"after {after} {noun(later[-1].sessions, 'session')}: {orders}, none with a price yet: nothing to say"


def _told(one: "Earned") -> str:
    after = f"after {counted(one.sessions, 'session')}: "
    cases = f"{counted(one.orders, 'order')} in {counted(one.of_sessions, 'session')}"
    if one.mean is None or one.low is None or one.high is None:
        unpriced = f"; {one.unpriced:,} {noun(one.unpriced, 'has', 'have')} no price yet" if one.unpriced else ""
        return f"{after}{cases}, too few to say: it takes {one.needed} sessions{unpriced}"
    return f"{after}{one.mean:+.2%} a trade, {one.low:+.2%} to {one.high:+.2%} (95%), {cases}"
