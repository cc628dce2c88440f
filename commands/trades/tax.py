"""`trades --tax YEAR`: a year's sales as in Form 8949, as data, as a CSV file and on the screen."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.files import csv_text
from commands.shared.light_helpers import clean
from commands.shared.tables import Table, last_folded_column, number, sentence
from tradebot.errors import OperatorError
from tradebot.model.position import FOREIGN
from tradebot.model.sentences import pluralize
from tradebot.views.holdings import FOREIGN_OWNER
from tradebot.views.trades.fees import fees_assumption
from tradebot.views.trades.history import History
from tradebot.views.trades.tax import TaxRow, TaxYear, TermTotal, tax_year
from tradebot.views.trades.tax_lots import Method
from tradebot.views.trades.trades import moves_of

PICKED = {"fifo": "the oldest shares first", "lifo": "the newest shares first", "hifo": "the highest cost first"}
NOT_KNOWN = "not known"
PUBLICATION = "IRS Publication 550 (2024)"
HOLDING_PERIOD = (
    "Shares are long-term if they were held for more than one year, counted from the day after the purchase "
    f"({PUBLICATION}; Rev. Rul. 66-97 for trade dates, 66-7 for the ends of months)."
)
SHORT_SALES = (
    "A short sale counts on the trade date of the purchase that closed it, and is short-term (Treasury Regulation "
    "1.1233-1(a)). For a loss, the day of delivery would count (Rev. Rul. 2002-44), which may be in the next year; "
    "these rows don't consider that."
)
WASH_SALES = (
    "Wash sales (code W): a loss doesn't count to the extent that the same shares were bought within 30 days before "
    "or after the sale, by any strategy or by hand. The loss is added to the basis of the shares bought, whose "
    "holding period then includes that of the shares sold (Internal Revenue Code sections 1091 and 1223(3); "
    f"Treasury Regulations 1.1091-1 and 1.1091-2; {PUBLICATION}). Shares left over from the purchase that was sold "
    "don't count as replacements (Rev. Rul. 56-602). We know of no source on two more cases, and assume that shares "
    "sold again before the loss, and purchases that close a short sale, don't count either."
)
NOT_COVERED = (
    "Not covered: options and other securities that are substantially identical, and other accounts of yours or your "
    "spouse's, such as an IRA. Compare with your broker's Form 1099-B, and see whether the rules have changed since."
)
NO_ADVICE = "This is not tax advice."


class Tax(Struct, frozen=True):
    """The lots sold in a year, in USD to the cent; the totals by term are the sums of these rows.

    `method` is the setting tax.method. `from_date` and `until` are the days on which the books began and end. `notes`
    describe peculiarities of these sales, and `assumptions` the rules behind the figures with their sources.
    """

    year: int
    method: str
    from_date: date | None
    until: date | None
    rows: tuple[TaxRow, ...]
    totals: tuple[TermTotal, ...]
    carried_usd: Decimal
    notes: tuple[str, ...]
    assumptions: tuple[str, ...]


COLUMNS = (
    "description",
    "date_acquired",
    "date_sold",
    "proceeds_usd",
    "cost_basis_usd",
    "code",
    "adjustment_usd",
    "gain_usd",
    "term",
    "held_from",
    "symbol",
    "side",
    "shares",
    "fees_usd",
    "strategy",
    "lot",
    "sale",
    "replaced_by",
)
"""The columns of the file, those of Form 8949 first. The ids are those of fills."""


def format_csv(data: Tax) -> str:
    """Return the text of the CSV file, without sums."""
    return csv_text(COLUMNS, map(_file_row, data.rows))


def sales_of_year(
    history: "History", year: int, method: str, strategy: str | None = None, symbol: str | None = None
) -> Tax:
    """Return the sales of a year; raise OperatorError if the books end before it."""
    whole = tax_year(history, year, Method(method))
    if whole.until is not None and year > whole.until.year:
        raise OperatorError(
            f"{year} has no trades yet: the books end on {whole.until}", f"tradebot trades --tax {whole.until.year}"
        )
    sales = whole.of(FOREIGN if strategy == FOREIGN_OWNER else strategy, symbol)
    moved = moves_of(history, {row.sale for row in sales.rows}) if sales.contracts else ()
    return Tax(
        year=year,
        method=method,
        from_date=sales.begun,
        until=sales.until,
        rows=sales.rows,
        totals=sales.totals,
        carried_usd=sales.carried_usd,
        notes=tuple(_notes(whole, sales, moved)),
        assumptions=_assumptions(method, history) if sales.rows else (NO_ADVICE,),
    )


def _file_row(row: TaxRow) -> Sequence[str]:
    return (
        row.description,
        _text(row.acquired),
        row.sold.isoformat(),
        _text(row.proceeds_usd),
        _text(row.basis_usd),
        row.code,
        f"{row.adjustment_usd:f}",
        _text(row.gain_usd),
        row.term.value,
        "" if row.held_from in (None, row.acquired) else row.held_from.isoformat(),
        row.symbol,
        "long" if row.side.sign > 0 else "short",
        f"{row.shares:f}",
        f"{row.fees_usd:f}",
        owner(row),
        row.lot or NOT_KNOWN,
        row.sale,
        " ".join(row.replaced_by),
    )


def owner(row: TaxRow) -> str:
    """Return the owner of the sold shares."""
    return row.strategy or FOREIGN_OWNER


def _text(value: date | Decimal | None) -> str:
    if value is None:
        return NOT_KNOWN
    return f"{value:f}" if isinstance(value, Decimal) else value.isoformat()


def _assumptions(method: str, history: History) -> tuple[str, ...]:
    lots = (
        f"Lots are matched across the account (Treasury Regulation 1.1012-1(c)), {PICKED[method]} (tax.method: "
        f"{method}), whatever strategy held them. Dates are trade dates in {history.day.zone_name}. Splits and "
        "symbol changes keep cost and dates. Shares that only pass from one strategy to another aren't sold."
    )
    fees = (
        "A sale's fees are subtracted from its proceeds, and a purchase's fees are part of its basis (IRS Publication "
        f"550 (2024)). {fees_assumption(history.settlement)} Other fees are in no row."
    )
    rounding = "Each row is rounded to the cent, and totals add the rows."
    return lots, HOLDING_PERIOD, WASH_SALES, SHORT_SALES, fees, rounding, NOT_COVERED, NO_ADVICE


def _notes(whole: "TaxYear", year: "TaxYear", moved: Iterable[tuple[str, str, date]]) -> Iterator[str]:
    if len(year.rows) != len(whole.rows):
        shown = f"Showing {len(year.rows):,} of {pluralize(len(whole.rows), 'row')} of {year.year}"
        yield f"{shown}; the figures on disallowed losses cover all rows."
    if year.begun and year.begun.year >= year.year:
        yield f"The books began on {year.begun}. Earlier sales aren't known."
    if year.until and year.until.year == year.year:
        yield f"The books end on {year.until}; the year may not be over."
    yield from _unknown(year)
    if year.unknown_fees:
        yield f"Not known yet: the fees of {pluralize(year.unknown_fees, 'fill')}. They are in no row."
    elif year.rows and not any(row.fees_usd for row in year.rows):
        yield "The broker has booked no fees for these sales so far; they would lower the proceeds."
    if year.undecided:
        losses = pluralize(year.undecided, "loss", "losses")
        yield f"{losses} may still be disallowed: the 30 days after the sale aren't over on {year.until}."
    if year.carried_usd:
        yield f"{year.carried_usd:,.2f} USD of disallowed losses are in the basis of shares that are still open."
    if year.near_short_losses:
        yield (
            f"{pluralize(year.near_short_losses, 'loss', 'losses')} of short sales counted although shares were sold "
            "within 30 days; section 1091(e)(1) may disallow them. Ask an adviser."
        )
    if year.other_kinds:
        names = ", ".join(map(clean, year.other_kinds))
        yield f"Left out, because they aren't shares: {names}. Shares that an option delivered lack its premium."
    if year.contracts:
        yield (
            f"{', '.join(map(clean, year.contracts))}: contracts, which these rows treat like shares. Regulated "
            "futures belong on Form 6781 and are valued at the market's price at the end of the year (Internal "
            "Revenue Code section 1256). Ask an adviser."
        )
    for old, new, day in moved:
        yield (
            f"{clean(old)} was moved into {clean(new)} on {day}. tradebot trades shows one position; these rows show "
            "two contracts, each with its own purchase and sale."
        )
    if year.returns_capital:
        yield "A dividend returned capital (DIVROC), which would lower the basis; it isn't taken off here."


def _unknown(tax_year: "TaxYear") -> Iterator[str]:
    without = [row for row in tax_year.rows if row.gain_usd is None]
    if without:
        names = ", ".join(dict.fromkeys(clean(row.symbol) for row in without))
        yield (
            f"The gain of {pluralize(len(without), 'row')} isn't known ({names}): the shares were in the account "
            "before the books began, or they came or left without a trade in the books. Totals leave "
            f"{'it' if len(without) == 1 else 'them'} out."
        )


SHOWN = 1_000
"""How many rows a screen shows; the file and the JSON document have them all."""


def render(out: "Console", data: "Tax") -> None:
    """Print the rows, their totals by term, and the assumptions."""
    if not data.rows:
        out.print(f"There are no sales of {data.year} to show.")
        _sentences(out, (*data.notes, *data.assumptions))
        return
    out.print(f"{pluralize(len(data.rows), 'row')} of {data.year}, as on Form 8949, {PICKED[data.method]}, in USD")
    if len(data.rows) > SHOWN:
        out.print(f"Showing the last {SHOWN:,}; --csv FILE or --json has all")
    before, after = map(number, ("proceeds", "basis")), map(number, ("adjustment", "gain"))
    first, last = (last_folded_column("sold shares"), "acquired", "sold"), ("term", sentence("strategy", "strategy"))
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
    """Return the screen's text about rows written to a file: their totals and notes."""
    rules = f"tradebot trades --tax {data.year} names the rules behind them. {NO_ADVICE}"
    return [*map(_total, data.totals), *data.notes, rules]


def _sentences(out: "Console", lines: "Iterable[str]") -> None:
    for line in lines:
        out.print(line, markup=False)


def _total(total: "TermTotal") -> str:
    counted = total.rows - total.not_known
    name = f"Term {total.term}" if total.term == NOT_KNOWN else f"{total.term.value.capitalize()}-term"
    if not counted:
        return f"{name}: {pluralize(total.rows, 'row')} whose gain isn't known"
    sums = (
        f"proceeds {total.proceeds_usd:,.2f} - basis {total.basis_usd:,.2f} + adjustment {total.adjustment_usd:,.2f} "
        f"= gain {total.gain_usd:+,.2f} USD"
    )
    without = f"; {total.not_known:,} more not known" if total.not_known else ""
    return f"{name}: {sums} in {pluralize(counted, 'row')}{without}"


def _day(day: "date | None") -> str:
    return NOT_KNOWN if day is None else day.isoformat()


def _usd(amount: "Decimal | None") -> str:
    return NOT_KNOWN if amount is None else f"{amount:,.2f}"
