"""Show what a pass would have decided with something changed."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from commands.shared.light_helpers import clean
from commands.shared.number_format import format_with_unit, in_units, units, usd
from commands.shared.tables import Table, sentence
from commands.shared.times import when
from tradebot.model.decision import Gate, units_of
from tradebot.model.reasons import Reason
from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.replaying.strategy_replay import Unanswered
    from tradebot.views.what_if import Fate, WhatIf, WhatIfChange, WhatIfEnd, WhatIfOrder, WhatIfOutcome

SHOWN = 20


def show(console: "Console", data: "WhatIf") -> None:
    """Print the changes, and their effect on the symbol and on all others."""
    subject = f"[bold]{escape(clean(data.symbol))}[/bold]  " if data.symbol else ""
    console.print(f"{subject}{escape(in_units(data.sentence))}")
    if data.remedy:
        console.print(f"Next: {data.remedy}", markup=False)
    print_changes(console, data.changes, data.left_out, data.unasked)
    if data.otherwise:
        console.print(
            f"This program decides that pass otherwise even as it was: tradebot replay {clean(data.id)}",
            markup=False, style="yellow",
        )  # fmt: skip
    console.print(f"\nDecided again: the pass at {when(data.at)}; nothing was sent", markup=False)
    for one in data.about:
        _about(console, one)
    others = [one for one in data.changed if one.symbol != data.symbol]
    if others:
        heading = "Besides it" if data.symbol else "Changed"
        console.print(f"{heading}:", markup=False)
        console.print(_table(others[:SHOWN]))
    if len(others) > SHOWN:
        console.print(f"  … and {len(others) - SHOWN:,} more that differ", markup=False)
    if data.symbol and not others:
        console.print("Besides it, nothing changes.", markup=False)
    rest = f"{pluralize(data.same, 'candidate')} as before" if data.same else "no candidate as before"
    console.print(f"{rest}; orders: {data.orders_then:,} then, {data.orders_now:,} now", markup=False)


def print_changes(
    console: "Console", changes: "Sequence[WhatIfChange]", left_out: "Sequence[Unanswered]", unasked: "Sequence[str]"
) -> None:
    """Print the changes, and what the answer doesn't include."""
    for change in changes:
        was = f" (was {clean(change.before)})" if change.before else " in each pass"
        console.print(f"What if: {clean(change.what)} {clean(change.after)}{was}", markup=False)
    for one in left_out:
        console.print(f"Not in it: {one.setting}: {one.why}", markup=False, style="yellow")
    for name in unasked:
        console.print(
            f"Not in it: what {clean(name)} would have answered: the facts and bars that it read then aren't all "
            "stored; tradebot bars list shows which bars are",
            markup=False, style="yellow",
        )  # fmt: skip


def _about(console: "Console", one: "WhatIfOutcome") -> None:
    console.print(f"  {clean(one.strategy)}, then: {_fate(one.then)}", markup=False)
    console.print(f"  {clean(one.strategy)}, now:  {_fate(one.now)}", markup=False)
    for other in one.now.others:
        console.print(f"    refused by {_end(other)} too", markup=False)


def _table(outcomes: "Sequence[WhatIfOutcome]") -> Table:
    several = len({one.strategy for one in outcomes}) > 1
    table = Table("symbol", *(("strategy",) if several else ()), sentence("then", "then:"), sentence("now", "now:"))
    for one in outcomes:
        name = (escape(clean(one.strategy)),) if several else ()
        style = "green" if one.now.sent and not one.then.sent else "red" if one.then.sent and not one.now.sent else ""
        table.row(escape(clean(one.symbol)), *name, escape(_fate(one.then)), escape(_fate(one.now)), style=style)
    return table


def _fate(fate: "Fate") -> str:
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
        seen, limit = units_of(Gate(end.gate), Reason(end.reason))
        yield clean(f"{format_with_unit(end.observed, seen)} against {format_with_unit(end.limit, limit)}")
