"""Show the parts of the report for longer accounts and backtests: years, periods, costs, chance and sensitivity."""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console
from rich.markup import escape

from commands.report.report_text import (
    DOT,
    band_words,
    basis_of,
    benchmark_name,
    block_assumptions,
    chance_figures,
    chance_words,
    costs_words,
    interval_of,
    percent,
    value_of,
    variants_of,
    window_figures,
)
from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed, sparkline
from commands.shared.tables import Table, explains, number, sentence
from tradebot.lab.performance.report import AccountReport, Block, Cost, Figure
from tradebot.lab.performance.sensitivity import Sensitivity
from tradebot.model.sentences import pluralize

SHOWN_HOLDINGS = 10


def render_assumptions(out: "Console", accounts: "Sequence[AccountReport]", block: "Block") -> None:
    """Print a block's assumptions; an assumption that differs between accounts is labeled."""
    for text in block_assumptions(accounts, block) if explains(out) else ():
        out.print(f"  {text}", markup=False, style="dim")


def short_percentage(value: float | None) -> str:
    """Return a fraction as a bare percentage, or a dot."""
    return DOT if value is None else format_signed(100 * value, 1)


def _plain(value: float | None, places: int = 1) -> str:
    return DOT if value is None else f"{100 * value:.{places}f}"


def render_years(out: "Console", account: "AccountReport") -> None:
    """Print a row for each calendar year; a single year is omitted, because it repeats the total."""
    if len(account.further.by_year) < 2:
        return
    out.print()
    others = [name for name in (account.benchmark, benchmark_name(account)) if name]
    names = ("return", *others, "cash", "volatility", "drawdown", "exposure", "turnover", "costs USD")
    table = Table("Years, %", *map(number, names))
    for each in account.further.by_year:
        beside = (each.benchmark, each.benchmark_leveled)[: len(others)]
        turnover = DOT if each.turnover is None else f"{each.turnover:.1f}x"
        cells = (
            *map(short_percentage, (each.value, *beside, each.cash)),
            _plain(each.volatility),
            short_percentage(each.max_drawdown),
        )
        table.row(str(each.year), *cells, _plain(each.exposure, 0), turnover, f"{each.costs_usd:,.2f}")
    out.print(table)
    render_assumptions(out, [account], Block.YEARS)


def render_rolling(out: "Console", account: "AccountReport") -> None:
    """Print the figures of all one-year periods, and of half years."""
    _render_figures(out, account, "Spans of a year", account.further.rolling, Block.ROLLING)
    if not account.further.windows:
        return
    out.print()
    table = Table("Half years", *map(number, ("lowest", "median", "highest", "last")), sentence("from"))
    for each in account.further.windows:
        table.row(each.label, *window_figures(each), pluralize(each.windows, "half year"))
    out.print(table)
    render_assumptions(out, [account], Block.WINDOWS)


def render_sessions(out: "Console", account: "AccountReport") -> None:
    """Print the distribution of single sessions, their correlation with the benchmark, and exposure."""
    further = account.further
    _render_figures(out, account, "Single sessions", further.tails, Block.TAILS)
    if bins := further.histogram:
        line = sparkline([Decimal(each.count) for each in bins], len(bins))
        ends = percent(bins[0].low, 1), percent(bins[-1].high, 1)
        out.print(f"Spread of returns  {ends[0]} {line} {ends[1]}", markup=False)
    _render_figures(out, account, f"Against {account.benchmark}", further.against, Block.AGAINST)
    if not further.holdings:
        return
    out.print()
    table = Table("Held, % of equity", *map(number, ("sessions", "average", "furthest", "last")))
    for holding in further.holdings[:SHOWN_HOLDINGS]:
        shares = map(short_percentage, (holding.average, holding.furthest, holding.last))
        table.row(escape(clean(holding.symbol)), f"{holding.sessions:,}", *shares)
    out.print(table)
    if len(further.holdings) > SHOWN_HOLDINGS:
        out.print(f"Showing {SHOWN_HOLDINGS} of {len(further.holdings):,} symbols; --json has all")
    render_assumptions(out, [account], Block.HOLDINGS)


def _render_figures(
    out: "Console", account: "AccountReport", title: str, figures: "Sequence[Figure]", block: "Block", words: str = ""
) -> None:
    if not figures:
        return
    out.print()
    bounded = any(interval_of(each) for each in figures)
    table = Table(title, number("value"), *([number("95% interval")] if bounded else []), sentence("from"))
    for each in figures:
        table.row(each.label, value_of(each), *([interval_of(each)] if bounded else []), basis_of(each))
    out.print(table)
    if words:
        out.print(words, markup=False)
    render_assumptions(out, [account], block)


def render_costs(out: "Console", account: "AccountReport") -> None:
    """Print the trading costs by kind."""
    costs = account.further.costs
    if costs is None:
        return
    out.print()
    table = Table("Costs", number("USD"), number("bps of trades"), number("drag a year"), sentence("note"))
    for each in (*costs.rows, *((costs.total,) if len(costs.rows) > 1 else ())):
        table.row(each.label, f"{each.usd:,.2f}", _bps(each), drag_of(each), each.note)
    out.print(table)
    if words := costs_words(costs):
        out.print(words, markup=False)
    render_assumptions(out, [account], Block.COSTS)


def drag_of(of: "Cost") -> str:
    """Return a cost's effect on growth per year as text, without a plus sign that would look like a gain."""
    return DOT if of.drag is None else f"{100 * round(of.drag, 4) + 0.0:.2f}%"


def _bps(of: "Cost") -> str:
    return DOT if of.bps is None else f"{of.bps:.1f}"


def render_chance(out: "Console", account: "AccountReport") -> None:
    """Print how far the figures could have differed by chance, and the Sharpe ratio corrected for selection."""
    _render_figures(out, account, "Chance", chance_figures(account), Block.CHANCE, chance_words(account))


def render_sensitivity(out: "Console", account: "AccountReport") -> None:
    """Print the backtest with its variants, and the range of results over the rebalance days."""
    if account.further.sensitivity:
        out.print()
        render_variants(out, account.further.sensitivity)
        render_assumptions(out, [account], Block.SENSITIVITY)


def render_variants(out: "Console", of: "Sensitivity") -> None:
    """Print a row for the backtest and for each variant, and the band in a sentence."""
    table = Table("Played again", *map(number, ("CAGR", "change", "return", "drawdown", "Sharpe", "trades")))
    for each in variants_of(of):
        sharpe = DOT if each.sharpe is None else f"{each.sharpe:.2f}"
        change = "" if each is of.played else percent(each.cagr_change)
        cells = (percent(each.cagr), change, percent(each.total_return), percent(each.max_drawdown), sharpe)
        table.row(escape(clean(each.name)), *cells, f"{each.trades:,}")
    out.print(table)
    if words := band_words(of):
        out.print(words, markup=False)
