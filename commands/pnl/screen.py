"""The screen of `pnl`: one row with a bar for each part of the profit, the sums, and the assumptions behind them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.files import GAIN, INK, LOSS, QUIET, cell, csv_text, open_figure, to_csv, write_title
from commands.shared.history import nothing_matches, read_history
from commands.shared.light_helpers import clean
from commands.shared.number_format import bar, color_by_sign, gain, in_units, to_cent
from commands.shared.tables import Table, explains, last_folded_column, number
from commands.shared.times import when
from commands.shared.verb_options import Report, identity
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import columns
from tradebot.model.venue import Settlement
from tradebot.views.trades.fees import fees_assumption
from tradebot.views.trades.history import History
from tradebot.views.trades.pieces import break_down_profit, is_booked_after
from tradebot.views.trades.pnl import (
    IN_TIME,
    PARTS,
    EquityComparison,
    Pnl,
    ProfitGrouping,
    ProfitRow,
    fees_not_counted,
    pnl,
)
from tradebot.views.trades.trade_row import Choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def format_csv(data: Pnl) -> str:
    """Return the rows, without their sum, as the text of a CSV file."""
    names = columns(ProfitRow, data.rows)
    return csv_text((data.by, *names[1:]), ([cell(getattr(row, name)) for name in names] for row in data.rows))


REALIZED = (
    "Realized profit is before fees and belongs to the day of the exit in {place}. Lots are matched first in, first "
    "out within each strategy."
)
OPEN = (
    "If books and broker were compared after a session's close, open positions are valued at the broker's prices of "
    "that close. Otherwise they are valued at the last price that a pass saw: the bid or ask at which they could be "
    "closed."
)
UNPRICED = (
    "If a session has no price for a position, the position's gain counts in the next session that has one. Shares "
    "bought meanwhile are valued at cost."
)
TRANSFERS = (
    "Deposits and withdrawals aren't profit. Neither are adopted shares: they enter the books at the broker's "
    "average price."
)
DIVIDENDS = (
    "A dividend goes to the strategy that alone held the symbol on the day it was paid, otherwise to the account."
)
FUNDING = "Funding goes to the strategy that alone held the contract on the day it was paid, otherwise to the account."
OF_CUT = {
    ProfitGrouping.HOUR: "The hour is the hour of the exit, in {place}.",
    ProfitGrouping.REASON: "The reason is the first rule that was recorded with the order that closed the shares.",
    ProfitGrouping.COMPONENT: (
        "The component is the one that contributed most to the entry's direction: the one with the largest value "
        "times weight in its score."
    ),
}


class ProfitAndLoss(Struct, frozen=True):
    """The requested profit, as of the last recorded moment, and the assumptions behind its figures.

    With `strategy` or `symbol`, it includes only their part of the profit. `fills` counts all fills in the books.
    """

    as_of: datetime | None
    strategy: str | None
    symbol: str | None
    fills: int
    pnl: Pnl
    assumptions: tuple[str, ...]


def _profit_and_loss(history: History, by: ProfitGrouping, choice: Choice) -> ProfitAndLoss:
    profit = pnl(break_down_profit(history), by, choice)
    lines = _assumptions(profit, by, history.settlement) if profit.rows else ()
    notes = tuple(line.format(place=history.day.zone_name) for line in lines)
    fills = len({fill.fill.activity_id for fill in history.owned_fills})
    return ProfitAndLoss(history.at, choice.strategy, choice.symbol, fills, profit, notes)


def _assumptions(pnl: Pnl, by: ProfitGrouping, settlement: Settlement) -> Iterator[str]:
    yield REALIZED
    yield OPEN
    if pnl.total.unpriced or any(row.unpriced for row in pnl.rows):
        yield UNPRICED
    if any(row.fees_usd for row in pnl.rows):
        yield fees_assumption(settlement)
    if any(row.dividends_usd for row in pnl.rows):
        yield DIVIDENDS
    if any(row.funding_usd for row in pnl.rows):
        yield FUNDING
    if pnl.transfers_usd:
        yield TRANSFERS
    if by in OF_CUT:
        yield OF_CUT[by]


SHOWN, SHOWN_SHORT = 100, 25
"""How many rows a screen shows, with --explain and without; the file of --csv and the JSON document have them all."""
BAR = 16


def show(console: Console, data: ProfitAndLoss, nothing: str = "", *, outdated: bool = False) -> None:
    """Print the rows, their sum, the account's change, and the assumptions.

    `outdated` is True if the books changed after the broker last reported the equity.
    """
    pnl = data.pnl
    at = f" at {when(data.as_of)}" if data.as_of else ""
    console.print(f"Profit and loss by {pnl.by}{_of(data)}, from {pluralize(data.fills, 'fill')}{at}", markup=False)
    if not pnl.rows:
        console.print(_nothing(data, nothing), markup=False)
        return
    if pnl.before_usd is not None:
        console.print(_headline(pnl), highlight=False)
    most = SHOWN if explains(console) else SHOWN_SHORT
    if len(pnl.rows) > most:
        console.print(f"Showing the last {most:,} rows; --from, --csv or --json shows others", markup=False)
    show_rows(console, pnl.by, pnl.rows[-most:], pnl.total)
    for line in (
        *_account(pnl, outdated=outdated),
        *_unpriced_notes(pnl),
        *fees_not_counted(pnl.unknown_fees, pnl.other_fees),
    ):
        console.print(line, highlight=False)
    for line in map(in_units, data.assumptions if explains(console) else ()):
        console.print(line, markup=False, style="dim")


def _of(data: ProfitAndLoss) -> str:
    parts = [clean(part) for part in (data.strategy, data.symbol) if part]
    of = f" of {' in '.join(parts)}" if parts else ""
    first, last = data.pnl.first, data.pnl.last
    days = "" if first is None else f", {first}" if first == last else f", {first} to {last}"
    return f"{of}{days}"


def _nothing(data: ProfitAndLoss, why: str) -> str:
    if not data.fills:
        return "Nothing was bought yet. Next: tradebot trade-once, then tradebot why-no-orders"
    return f"{why or 'There was no profit or loss.'} For everything: tradebot pnl"


def show_rows(console: Console, by: str, rows: tuple[ProfitRow, ...], total: ProfitRow | None) -> None:
    """Print a table of rows and their sum, if there is one."""
    # The name stays, so that a narrow screen moves amounts below it.
    table = Table(last_folded_column(by), *map(number, (*PARTS, "total USD")), "", number("closed"))
    most = max((_cents(row) for row in rows), default=0) or 1
    for row in (*rows, *((total,) if total else ())):
        amounts = (getattr(row, f"{name}_usd") for name in PARTS)
        length = bar(_cents(row), most, BAR)
        drawn = "" if row is total else length if row.total_usd > 0 else loss_bar(length)
        table.row(
            escape(clean(row.name)) + ("*" if row.unpriced else ""),
            *(_amount(amount) for amount in amounts),
            gain(row.total_usd),
            color_by_sign(row.total_usd, drawn),
            f"{row.trades_closed:,}" if row.trades_closed else "",
            style="bold" if row is total else "",
        )
    console.print(table)


def loss_bar(length: str) -> str:
    """Return a bar in the pattern for losses, which can be told from gains without color."""
    return length.replace("█", "▒")


def _cents(row: ProfitRow) -> int:
    return int(abs(to_cent(row.total_usd)) * 100)


def _amount(amount: Decimal) -> str:
    return f"{to_cent(amount):+,.2f}" if amount else ""


def _headline(data: Pnl) -> str:
    """Return the account's profit as every screen shows it: by the broker's equity, if a pass read it."""
    comparison = data.compared
    equity = f" by the broker's equity of {comparison.broker_usd:,.2f} at {when(comparison.at)}" if comparison else ""
    return f"Profit {gain(data.profit_usd, ' USD')}{equity}"


def _account(pnl: Pnl, *, outdated: bool) -> Iterator[str]:
    if pnl.before_usd is None or pnl.after_usd is None:
        return
    change = pnl.after_usd - pnl.before_usd
    moved = f", transfers {to_cent(pnl.transfers_usd):+,.2f}" if pnl.transfers_usd else ""
    yield (f"Books {pnl.before_usd:,.2f} USD before, {pnl.after_usd:,.2f} after: change {to_cent(change):+,.2f}{moved}")
    if pnl.compared and outdated:
        older = "the broker's equity is from before the last change of the books"
        yield f"Not compared: {older}; the next pass reads it again"
    elif pnl.compared:
        yield _broker(pnl.compared)


def _broker(compared: EquityComparison) -> str:
    if not compared.difference_usd:
        return "No difference: the broker's equity and the books agree to the cent"
    why = [f"a missing price for {', '.join(map(clean, compared.unpriced))}"] if compared.unpriced else []
    why += [
        f"{shares:f} {clean(symbol)} that are in the broker's equity but not in the books"
        for symbol, shares in compared.left_out.items()
    ]
    prices = "its prices of open positions, or amounts not booked yet" if compared.held else "amounts not booked yet"
    apart = f"{compared.difference_usd:+,.2f} USD between the broker's equity and the books' {compared.books_usd:,.2f}"
    return f"Difference {apart}, because of {' and '.join(why) or prices}"


def _unpriced_notes(pnl: Pnl) -> Iterator[str]:
    if any(row.unpriced for row in pnl.rows) or pnl.total.unpriced:
        named = dict.fromkeys(symbol for row in (*pnl.rows, pnl.total) for symbol in row.unpriced)
        yield f"* the row's last day has no price for {', '.join(map(clean, named))}"


LABELS = 12
"""How many names fit below a chart of days."""
FEWEST = 5
"""The least number of bars in a chart, so that one day isn't a single block."""


def draw(data: Pnl, file: Path) -> None:
    """Draw the rows; raise OperatorError if there are none, or if the file can't be written."""
    if not data.rows:
        raise OperatorError("Nothing was earned or lost in these days, so there is nothing to draw", "tradebot pnl")
    in_time = data.by in IN_TIME
    with open_figure(file, 9, 4.5 if in_time else 0.34 * len(data.rows) + 1.3) as figure:
        axes = figure.subplots()
        _in_time(axes, data) if in_time else _by_name(axes, data)
        axes.spines[["top", "right"]].set_visible(False)
        days = f"{data.first}" if data.first == data.last else f"{data.first} to {data.last}"
        write_title(axes, f"Profit and loss by {data.by}, {days}: {data.profit_usd:+,.2f} USD")


def _in_time(axes: Axes, data: Pnl) -> None:
    values, names = [float(row.total_usd) for row in data.rows], [row.name for row in data.rows]
    places = range(len(values))
    axes.bar(places, values, color=_colors(values))
    if len(values) > 1:
        sums = [sum(values[: index + 1]) for index in places]
        axes.plot(places, sums, color=INK, linewidth=1.6, marker="o", markersize=3, label="added up")
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    axes.set_xlim(-0.6, max(len(values), FEWEST) - 0.4)
    step = -(-len(names) // LABELS)
    axes.set_xticks(list(places)[::step], names[::step])
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_ylabel("USD", color=QUIET)


def _by_name(axes: Axes, data: Pnl) -> None:
    rows = list(reversed(data.rows))
    values = [float(row.total_usd) for row in rows]
    axes.barh([row.name for row in rows], values, color=_colors(values))
    reach = max(map(abs, values)) or 1.0
    for index, value in enumerate(values):
        away, side = (0.02 * reach, "left") if value >= 0 else (-0.02 * reach, "right")
        axes.text(value + away, index, f"{value:+,.2f}", va="center", ha=side, color=INK, fontsize=9)
    axes.set_xlim(min(0.0, 1.3 * min(values)), max(0.0, 1.3 * max(values)) or reach)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("USD", color=QUIET)


def _colors(values: list[float]) -> list[str]:
    return [GAIN if value > 0 else LOSS for value in values]


def run(app: App, by: ProfitGrouping, choice: Choice) -> Report:
    """Return the profit and loss of the chosen days, in rows.

    Raises DamagedBooksError, naming the row, if a row that records money was changed.
    """
    history = read_history(app)
    data = _profit_and_loss(history, by, choice)
    nothing = nothing_matches(history, choice, app.rules.universe) if data.fills and not data.pnl.rows else ""
    compared = data.pnl.compared
    outdated = compared is not None and is_booked_after(history, compared.at, choice.days)
    return Report("pnl", data, partial(show, nothing=nothing, outdated=outdated), bot_identity=identity(app))


def to_csv_file(report: Report, file: Path) -> Report:
    """Write the rows of a report to a file, or to stdout."""
    data: ProfitAndLoss = report.data
    return to_csv(report, format_csv(data.pnl), file, pluralize(len(data.pnl.rows), "row"))
