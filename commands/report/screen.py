"""Show a report: the curve, figures side by side, months, drawdowns, trades, and each block's assumptions."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain, pairwise
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape

from commands.report.extended_screen import (
    render_assumptions,
    render_chance,
    render_costs,
    render_rolling,
    render_sensitivity,
    render_sessions,
    render_years,
    short_percentage,
)
from commands.report.report_text import (
    MONTHS,
    basis_of,
    benchmark_name,
    chance_sentences,
    figures_of,
    figures_side_by_side,
    first_and_last,
    interruption,
    interval_of,
    is_recorded,
    leveled_line,
    part,
    parts,
    percent,
    period_phrase,
    rank_trades,
    value_of,
)
from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed, units
from commands.shared.tables import Table, explains, has_letters, number, sentence
from commands.shared.times import DAY_MINUTE, stamp
from tradebot.lab.performance.assumptions import PROFIT, what_is_lacking
from tradebot.lab.performance.report import (
    AccountReport,
    Block,
    CurvePoint,
    Figure,
    PerformanceReport,
    ProfitCut,
    ReportedTrade,
)
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.views.trades.pnl import PARTS

HEIGHT = 12
LABEL = 9
"""How wide the labels at the left are, with the axis."""
NARROWEST = 24


Place = tuple[date, bool]
"""Where a point lies: at the end of a session or, if False, at the start of the books on that day."""


class GrowthLine(NamedTuple):
    """A growth curve, 1 at its start; `mark` is the character that draws it, `name` its label in the legend."""

    mark: str
    name: str
    values: Mapping[Place, float]


def draw_lines(lines: Sequence[GrowthLine], width: int, height: int = HEIGHT) -> list[str]:
    """Return the lines of a plot in text; earlier curves are drawn on top. There must be two days or more.

    Growth is shown in percent since the start.
    """
    days = sorted({day for line in lines for day in line.values})
    columns = min(max(width - LABEL, NARROWEST), max(4 * len(days), NARROWEST))
    values = [value for line in lines for value in line.values.values()]
    low, high = min(values), max(values)
    if high == low:
        low, high = low - 0.01, high + 0.01
    field = [[" "] * columns for _ in range(height)]
    for line in reversed(lines):
        _put(field, line, days, (low, high))
    rows = [
        f"{_label(row, height, low, high):>{LABEL - 2}} ┤{''.join(cells).rstrip()}" for row, cells in enumerate(field)
    ]
    first, last = str(days[0][0]), str(days[-1][0])
    axis = f"{first}{last:>{max(columns - len(first), len(last) + 1)}}"
    legend = "  ".join(f"{line.mark} {line.name}" for line in lines)
    return [*rows, f"{'':>{LABEL - 1}}{axis}", f"{'':>{LABEL - 1}}{legend}"]


def _label(row: int, height: int, low: float, high: float) -> str:
    """Return the growth at a row in percent; only the first, the middle and the last one have a label."""
    if row not in (0, height // 2, height - 1):
        return ""
    value = high - (high - low) * row / (height - 1)
    return f"{format_signed(100 * (value - 1), 2)}%"


def _put(field: list[list[str]], line: GrowthLine, days: Sequence[Place], reach: tuple[float, float]) -> None:
    """Draw one line, straight between two dates; jumps over rows are filled."""
    height, columns = len(field), len(field[0])
    places = {day: index for index, day in enumerate(days)}
    placed_values = [(places[day], _row(value, reach, height)) for day, value in sorted(line.values.items())]
    before: int | None = None
    for column in range(columns):
        row = _at(placed_values, column * (len(days) - 1) / max(columns - 1, 1))
        if row is None:
            continue
        near = row if before is None else before
        for each in range(min(row, near), max(row, near) + 1):
            if each != near or before is None or each == row:
                field[each][column] = line.mark
        before = row


def _row(value: float, reach: tuple[float, float], height: int) -> float:
    low, high = reach
    return (high - value) / (high - low) * (height - 1)


def _at(columns: Sequence[tuple[int, float]], column: float) -> int | None:
    """Return the row of a line at a column between its dates; None outside of them."""
    for (start, first), (end, last) in pairwise(columns):
        if start <= column <= end:
            return round(first + (last - first) * (column - start) / (end - start))
    return None


MARKS = "●○"
"""How the curves of accounts are drawn."""
SHOWN_TRADES = 3
"""How many of the best and of the worst trades are shown."""
SHOWN_ROWS = 12
"""How many rows of an attribution are shown; the JSON document has all of them."""


def render(out: "Console", data: "PerformanceReport") -> None:
    """Print a report of one account, or of two side by side; in short form unless the screen shows explanations."""
    if not explains(out):
        _render_short(out, data)
        return
    for account in data.accounts:
        if account.interrupted:
            out.print(f"{_name(data, account)}{interruption(account)}", markup=False, style="yellow")
        _render_head(out, data, account)
    if not any(is_recorded(account) for account in data.accounts):
        return
    _render_curve(out, data)
    for title, block in (("Returns", Block.RETURNS), ("Trading", Block.ACTIVITY), ("Trades", Block.TRADES)):
        _render_figures(out, data, title, block)
        if block is Block.RETURNS:
            _render_luck(out, data)
    for account in data.accounts:
        _render_rest(out, account, alone=len(data.accounts) == 1)


SHORT_CURVE = 8
"""How many rows the curve of a short report has."""
KEY_RETURNS = ("total_return", "cagr", "volatility", "sharpe", "max_drawdown")
KEY_ACTIVITY = ("exposure", "turnover", "fees", "slippage")
SHORT_YEARS = 3


def _render_short(out: "Console", data: "PerformanceReport") -> None:
    """Print what was earned, compared with what, whether it may be luck, and its sources, on less than a page."""
    alone = len(data.accounts) == 1
    for account in data.accounts:
        if account.interrupted:
            out.print(f"{_name(data, account)}{interruption(account)}", markup=False, style="yellow")
        _render_span(out, data, account)
        for line in _caveats(account):
            out.print(f"  {line}", markup=False)
    if not any(is_recorded(account) for account in data.accounts):
        return
    _render_curve(out, data, SHORT_CURVE)
    out.print()
    if alone:
        _render_returns(out, data.accounts[0])
    else:
        _render_beside(out, data.accounts, "Returns", Block.RETURNS, KEY_RETURNS)
    for account in filter(is_recorded, data.accounts):
        name = _name(data, account)
        for line in (*chance_sentences(account)[:1], *_short_lines(account)):
            out.print(f"{name}{line}", markup=False)
        if alone and len(account.years) > 1:
            _render_months(out, replace(account, years=account.years[-SHORT_YEARS:]))
        render_sensitivity(out, account)
    out.print("--explain shows everything, with definitions; --html FILE writes a page.", style="dim", markup=False)


def _caveats(account: "AccountReport") -> Iterator[str]:
    """Yield the caveats for reading the numbers, other than that some numbers need more observations."""
    figures = chain(account.returns, account.trade_figures, account.further.rolling)
    lacking = set(what_is_lacking(figures))
    yield from (text for text in account.unknown if text not in lacking)
    yield from (text for text in account.assumptions.get(Block.EARNED, ()) if text != PROFIT)
    yield from account.further.cautions


def _render_returns(out: "Console", account: "AccountReport") -> None:
    """Print the main numbers next to those of the benchmark and of cash."""
    figures = [each for each in account.returns if each.name in KEY_RETURNS and each.value is not None]
    others = {each.of: each for each in account.comparisons}
    names = [name for name in (account.benchmark, benchmark_name(account), "cash") if name]
    table = Table("Returns", number("value"), number("95% interval"), *map(number, names))
    for figure in figures:
        other = others.get(figure.name)
        columns = (other.benchmark, other.benchmark_leveled, other.cash) if other else ()
        table.row(figure.label, value_of(figure), interval_of(figure), *map(value_of, columns[-len(names) :]))
    out.print(table)


def _short_lines(account: "AccountReport") -> Iterator[str]:
    """Yield how much was traded, how the trades went, and what the gates' refusals were worth, each in a line."""
    activity = {each.name: each for each in figures_of(account, Block.ACTIVITY)}
    shown = [activity[name] for name in KEY_ACTIVITY if name in activity]
    yield ", ".join(f"{each.label} {value_of(each)}" for each in shown if each.value is not None)
    closed = rank_trades(account)
    if closed:
        ratios = [each for each in account.trade_figures if each.value is not None]
        more = "".join(f", {each.label[0].lower()}{each.label[1:]} {value_of(each)}" for each in ratios)
        won = sum(trade.net_usd > 0 for trade in closed)
        yield f"{pluralize(len(closed), 'trade')} closed, {won:,} won{more}"
        yield f"Best {_trade(closed[0])}, worst {_trade(closed[-1])}" if len(closed) > 1 else _trade(closed[0])
    for each in account.refusals:
        yield f"{clean(each.strategy)}: {each.sentence}"


def _trade(trade: "ReportedTrade") -> str:
    why = ", ".join(clean(reason) for reason in trade.reasons)
    return f"{clean(trade.symbol)} {trade.side} {trade.net_usd:+,.2f} USD ({why})"


def _name(data: "PerformanceReport", account: "AccountReport") -> str:
    return "" if len(data.accounts) == 1 else f"{clean(account.label)}: "


def _render_head(out: "Console", data: "PerformanceReport", account: "AccountReport") -> None:
    _render_span(out, data, account)
    if is_recorded(account):
        render_assumptions(out, [account], Block.EARNED)
    if account.unknown:
        out.print("What can't be determined yet:")
    for line in account.unknown:
        out.print(f"  {line}", markup=False)
    if account.further.cautions:
        out.print("What the figures can't show:")
    for line in account.further.cautions:
        out.print(f"  {line}", markup=False)


def _render_span(out: "Console", data: "PerformanceReport", account: "AccountReport") -> None:
    """Print which sessions a report covers, and what was earned in them."""
    span = f"no session {period_phrase(data)}"
    if account.from_session and account.to_session:
        span = f"{account.from_session} to {account.to_session}, {pluralize(account.sessions, 'session')}"
    out.print(f"{_name(data, account)}{account.mode} account …{account.account}: {span}", markup=False)
    if is_recorded(account):
        _render_earned(out, data, account)
    else:
        out.print(f"{part(data) or 'The account'} has no records {period_phrase(data)}", markup=False)


def _render_earned(out: "Console", data: "PerformanceReport", account: "AccountReport") -> None:
    earned = account.earned
    change = ""
    if earned.start_usd is not None and earned.end_usd is not None:
        change = f": from {earned.start_usd:,.2f} to {earned.end_usd:,.2f} USD"
    moved = f", of which {earned.transfers_usd:+,.2f} was deposited or withdrawn" if earned.transfers_usd else ""
    of = f" of {part(data)}" if part(data) else ""
    out.print(f"Profit{of} {earned.profit_usd:+,.2f} USD{change}{moved}", markup=False)
    out.print(", ".join(f"{name} {value:+,.2f}" for name, value in parts(account, ("realized", "open"))))


def _render_curve(out: "Console", data: "PerformanceReport", height: int = HEIGHT) -> None:
    lines = list(_lines(data.accounts))
    days = {day for line in lines for day in line.values}
    # A page draws the curve itself.
    if len(days) > 1 and has_letters(out):
        out.print("\nGrowth without transfers")
        for text in draw_lines(lines, out.width, height):
            out.print(text, markup=False, soft_wrap=True)
    render_assumptions(out, data.accounts, Block.CURVE)


def _lines(accounts: "Sequence[AccountReport]") -> Iterable[GrowthLine]:
    for mark, account in zip(MARKS, accounts, strict=False):
        name = clean(account.label) if len(accounts) > 1 else "account"
        yield GrowthLine(mark, name, {_point_key(point): point.index for point in account.curve})
    first = accounts[0]
    if not first.benchmark or not first.curve:
        return
    at_benchmark = {_point_key(point): point.benchmark for point in first.curve if point.benchmark is not None}
    at_exposure = {_point_key(point): each for point in first.curve if (each := point.benchmark_leveled) is not None}
    if len(at_exposure) > 1 and (name := leveled_line(accounts)):
        yield GrowthLine("+", name, at_exposure)
    if len(at_benchmark) > 1:
        yield GrowthLine("-", first.benchmark, at_benchmark)


def _point_key(point: "CurvePoint") -> Place:
    return point.session, not point.is_start


def _render_figures(out: "Console", data: "PerformanceReport", title: str, block: "Block") -> None:
    out.print()
    if len(data.accounts) == 1:
        _render_alone(out, data.accounts[0], title, block)
    else:
        _render_beside(out, data.accounts, title, block)
    render_assumptions(out, data.accounts, block)


def _render_luck(out: "Console", data: "PerformanceReport") -> None:
    out.print("\nIs it luck?")
    for account in data.accounts:
        name = "" if len(data.accounts) == 1 else f"{clean(account.label)}: "
        for line in chance_sentences(account) if is_recorded(account) else ():
            out.print(f"  {name}{line}", markup=False)


def _render_alone(out: "Console", account: "AccountReport", title: str, block: "Block") -> None:
    others = {each.of: each for each in account.comparisons} if block is Block.RETURNS else {}
    names = (account.benchmark, benchmark_name(account), "cash") if others else ()
    table = Table(title, number("value"), number("95% interval"), *map(number, filter(None, names)), sentence("from"))
    for figure in figures_of(account, block):
        other = others.get(figure.name)
        columns = (other.benchmark, other.benchmark_leveled, other.cash) if other else (None, None, None)
        cells = [value_of(each) if each else "" for name, each in zip(names, columns, strict=False) if name]
        table.row(figure.label, value_of(figure), interval_of(figure), *cells, basis_of(figure))
    out.print(table)


def _render_beside(
    out: "Console", accounts: "Sequence[AccountReport]", title: str, block: "Block", only: Collection[str] = ()
) -> None:
    table = Table(title, *(number(clean(account.label)) for account in accounts))
    for label, figures in figures_side_by_side(accounts, block):
        if only and not any(figure and figure.name in only for figure in figures):
            continue
        # An account without trades has fewer figures.
        table.row(label, *("" if figure is None else _cell(figure) for figure in figures))
    out.print(table)


def _cell(figure: "Figure") -> str:
    if figure.lacks:
        return basis_of(figure)
    interval = interval_of(figure)
    return f"{value_of(figure)} ({interval})" if interval else value_of(figure)


def _render_rest(out: "Console", account: "AccountReport", *, alone: bool) -> None:
    if not alone:
        out.print(f"\n{clean(account.label)}", markup=False)
    _render_months(out, account)
    render_years(out, account)
    render_drawdowns(out, account)
    render_rolling(out, account)
    render_sessions(out, account)
    render_costs(out, account)
    render_chance(out, account)
    render_sensitivity(out, account)
    _render_trades(out, rank_trades(account))
    for cut in account.cuts:
        _render_cut(out, cut)
    render_assumptions(out, [account], Block.ATTRIBUTION)
    if account.refusals:
        out.print("\nRefusals")
        for each in account.refusals:
            out.print(f"{clean(each.strategy)}: {each.sentence}", markup=False)
        render_assumptions(out, [account], Block.REFUSALS)


def _render_months(out: "Console", account: "AccountReport") -> None:
    if not account.years:
        return
    out.print()
    table = Table("Months, %", *map(number, MONTHS), number("year"), number(account.benchmark or ""))
    for year in account.years:
        months = ("" if month.value is None else short_percentage(month.value) for month in year.months)
        table.row(
            str(year.year),
            *months,
            short_percentage(year.value),
            short_percentage(year.benchmark) if account.benchmark else "",
        )
    out.print(table)
    render_assumptions(out, [account], Block.MONTHS)


def render_drawdowns(out: "Console", account: "AccountReport") -> None:
    """Print the deepest drawdowns, if there are any, and how they are measured."""
    if not account.drawdowns:
        return
    out.print()
    table = Table(number("Drawdown"), "from", "lowest", "recovered", number("sessions"))
    for fall in account.drawdowns:
        back = str(fall.recovered) if fall.recovered else "not yet"
        table.row(percent(fall.depth), str(fall.from_session), str(fall.trough), back, f"{fall.sessions:,}")
    out.print(table)
    render_assumptions(out, [account], Block.DRAWDOWNS)


def _render_trades(out: "Console", closed: "Sequence[ReportedTrade]") -> None:
    if not closed:
        return
    reported_trades = first_and_last(closed, SHOWN_TRADES)
    what = "Closed trades" if reported_trades is closed else "Best and worst trades"
    out.print(f"\n{what}, the best first; tradebot trades shows all")
    table = Table("symbol", "side", "opened", "closed", *map(number, (units(), "net USD", "gross %")), sentence("why"))
    for trade in reported_trades:
        table.row(
            escape(clean(trade.symbol)),
            trade.side,
            stamp(trade.opened_at, DAY_MINUTE),
            stamp(trade.closed_at, DAY_MINUTE) if trade.closed_at else "",
            f"{trade.quantity:,f}",
            f"{trade.net_usd:+,.2f}",
            percent(trade.fraction),
            escape(", ".join(clean(reason) for reason in trade.reasons)),
        )
    out.print(table)


def _render_cut(out: "Console", cut: "ProfitCut") -> None:
    if not cut.rows:
        return
    out.print()
    table = Table(f"By {cut.label}", *map(number, ("trades", *PARTS, "total USD")))
    for row in first_and_last(cut.rows, SHOWN_ROWS // 2):
        amounts = (getattr(row, f"{name}_usd") for name in PARTS)
        cells = (f"{amount:+,.2f}" if amount else "" for amount in amounts)
        count = f"{row.trades:,}" if row.trades else ""
        table.row(escape(clean(row.name)), count, *cells, f"{row.total_usd:+,.2f}")
    out.print(table)
    if len(cut.rows) > SHOWN_ROWS:
        out.print(f"Showing the first and last of {len(cut.rows):,}; tradebot pnl --by {cut.by} shows all")
