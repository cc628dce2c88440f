"""The screen of `tradebot trades --tax YEAR`."""

from typing import TYPE_CHECKING

from rich.markup import escape

from commands.shared.plain import clean
from commands.shared.tables import Table, number, sentence, staying
from commands.trades.tax import NO_ADVICE, NOT_KNOWN, PICKED, owner
from tradebot.model.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date
    from decimal import Decimal

    from rich.console import Console

    from commands.trades.tax import Tax
    from tradebot.views.performance.tax import TermTotal

SHOWN = 1_000
"""How many rows a screen shows; the file and the JSON document have them all."""


def render(out: "Console", data: "Tax") -> None:
    """Print the rows, their totals by term, and what the figures rest on."""
    if not data.rows:
        out.print(f"There are no sales of {data.year} to show.")
        _sentences(out, (*data.notes, *data.assumptions))
        return
    out.print(f"{counted(len(data.rows), 'row')} of {data.year}, as on Form 8949, {PICKED[data.method]}, in USD")
    if len(data.rows) > SHOWN:
        out.print(f"Showing the last {SHOWN:,}; --csv FILE or --json has all")
    before, after = map(number, ("proceeds", "basis")), map(number, ("adjustment", "gain"))
    first, last = (staying("sold shares"), "acquired", "sold"), ("term", sentence("strategy", "strategy"))
    table = Table(*first, *before, "code", *after, *last)
    for row in data.rows[-SHOWN:]:
        table.row(
            escape(clean(row.description)), _day(row.acquired), _day(row.sold), _usd(row.proceeds_usd),
            _usd(row.basis_usd), row.code, _usd(row.adjustment_usd) if row.code else "", _usd(row.gain_usd),
            row.term.value, escape(clean(owner(row))),
        )  # fmt: skip
    out.print(table)
    for total in data.totals:
        out.print(_total(total), markup=False)
    _sentences(out, data.notes)
    out.print("\nWhat these figures rest on:")
    _sentences(out, data.assumptions)


def summary(data: "Tax") -> list[str]:
    """Return what the screen says about rows that are written to a file: their totals, and what is particular."""
    rules = f"tradebot trades --tax {data.year} names the rules behind them. {NO_ADVICE}"
    return [*map(_total, data.totals), *data.notes, rules]


def _sentences(out: "Console", lines: "Iterable[str]") -> None:
    for line in lines:
        out.print(line, markup=False)


def _total(total: "TermTotal") -> str:
    known = total.rows - total.not_known
    name = f"Term {total.term}" if total.term == NOT_KNOWN else f"{total.term.value.capitalize()}-term"
    if not known:
        return f"{name}: {counted(total.rows, 'row')} whose gain isn't known"
    sums = (
        f"proceeds {total.proceeds_usd:,.2f} - basis {total.basis_usd:,.2f} + adjustment {total.adjustment_usd:,.2f} "
        f"= gain {total.gain_usd:+,.2f} USD"
    )
    without = f"; {total.not_known:,} more not known" if total.not_known else ""
    return f"{name}: {sums} in {counted(known, 'row')}{without}"


def _day(day: "date | None") -> str:
    return NOT_KNOWN if day is None else day.isoformat()


def _usd(amount: "Decimal | None") -> str:
    return NOT_KNOWN if amount is None else f"{amount:,.2f}"
