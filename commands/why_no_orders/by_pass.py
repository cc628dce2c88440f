"""`tradebot why-no-orders SYMBOL --session DATE`: which gates refused a symbol in all passes of a span, and when."""

from rich.console import Console
from rich.markup import escape

from commands.shared.light_helpers import clean
from commands.shared.number_format import format_with_unit, in_units, off_by
from commands.shared.tables import Table, number, sentence
from commands.shared.times import CLOCK, DAY_MINUTE, MINUTE, stamp, when, zone
from tradebot.model.decision import units_of
from tradebot.model.text import noun, pluralize
from tradebot.views.why_no_orders import SymbolEnd, SymbolSpan


def show(console: Console, data: SymbolSpan) -> None:
    """Print what became of the symbol, the nearest miss, and a row for each gate that refused it."""
    console.print(f"[bold]{escape(clean(data.symbol))}[/bold]  {escape(in_units(data.sentence))}")
    console.print(f"Next: {data.remedy}", markup=False)
    if data.left_out:
        console.print(f"Left out: {data.left_out}", markup=False)
    if data.first_at is None or data.last_at is None:
        return
    of = f" of session {data.session}" if data.session else ""
    span = f"{when(data.first_at, MINUTE)} to {when(data.last_at, MINUTE)}"
    looked = f"{data.looked_at:,} looked at it" if data.looked_at != data.passes else "each looked at it"
    console.print(f"\nLooked at: {pluralize(data.passes, 'pass', 'passes')}{of}, {span}; {looked}", markup=False)
    for reason, count in data.elsewhere.items():
        passes = pluralize(count, "pass or answer", "passes or answers")
        console.print(f"{passes} {noun(count, 'was', 'were')} refused as a whole: {reason}", markup=False)
    _sent(console, data)
    if data.nearest:
        _nearest(console, data, data.nearest)
    if data.ends:
        console.print(_table(data))


def _sent(console: Console, data: SymbolSpan) -> None:
    if data.sent_at:
        times = ", ".join(stamp(at, DAY_MINUTE) for at in data.sent_at[:5])
        more = f" and {len(data.sent_at) - 5:,} more" if len(data.sent_at) > 5 else ""
        console.print(f"Sent: {times}{more} ({zone()})", markup=False)


def _nearest(console: Console, data: SymbolSpan, end: SymbolEnd) -> None:
    miss = end.nearest
    assert miss is not None, "the nearest end has numbers"
    units = units_of(end.gate, end.reason, miss.unit)
    seen, limit = (clean(format_with_unit(*each)) for each in zip((miss.observed, miss.limit), units, strict=True))
    others = f"; it failed {pluralize(miss.failed - 1, 'other gate')} too" if miss.failed > 1 else ""
    told = f"Nearest: {when(miss.at)}, {end.about or end.gate}: {seen} against {limit}{others}"
    console.print(told, markup=False)
    name, day = clean(data.symbol), f" --session {data.session}" if data.session else ""
    if data.session:
        told = f"  every gate of that pass: tradebot why-no-orders {name}{day} --at {stamp(miss.at, CLOCK)}"
        console.print(told + ("Z" if zone() == "UTC" else ""), markup=False)


def _table(data: SymbolSpan) -> Table:
    several = len({end.strategy for end in data.ends}) > 1
    who = ("strategy",) if several else ()
    numbers = (number(name) for name in ("nearest", "limit", "off by"))
    table = Table(*who, "gate", "reason", number("count"), f"first {zone()}", "last", *numbers, sentence("meaning"))
    for end in data.ends:
        cells = ("", "", "")
        if miss := end.nearest:
            units = units_of(end.gate, end.reason, miss.unit)
            seen, limit = (format_with_unit(*each) for each in zip((miss.observed, miss.limit), units, strict=True))
            cells = seen, limit, off_by(miss.observed, miss.limit, units)
        name = (escape(end.strategy),) if several else ()
        times = stamp(end.first_at, DAY_MINUTE), stamp(end.last_at, DAY_MINUTE)
        gate, meaning = escape(clean(end.about or end.gate)), in_units(end.meaning)
        table.row(*name, gate, str(end.reason), f"{end.count:,}", *times, *(escape(clean(c)) for c in cells), meaning)
    return table
