"""`report --html FILE`: the report as one page that needs no other file, for a screen, a phone or paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from commands.report import report_text
from commands.report.chart import ACCOUNTS, LEVELED, NARROW, VARIABLES, WIDE, curve, date, days, finish, format_change
from commands.report.extended_screen import drag_of
from commands.report.files import Files, write_files
from commands.report.report_inputs import frames
from commands.report.report_text import chance_sentences, headline, opening_sentence
from commands.shared.files import INK, inline_svg
from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed, units, usd
from commands.shared.times import MINUTE, for_reader, stamp, when, zone
from commands.shared.verb_options import Report
from tradebot.adapters.text.redaction import hide_keys
from tradebot.lab.backtest.results import read_result
from tradebot.lab.performance.report import (
    AccountReport,
    Block,
    Figure,
    PerformanceReport,
    ReportedTrade,
    SessionExposure,
)
from tradebot.lab.performance.report import PerformanceReport as Data
from tradebot.model.sentences import pluralize
from tradebot.model.series import downsample
from tradebot.views.trades.days import DateRange
from tradebot.views.trades.pnl import PARTS
from tradebot.views.trades.trade_row import Choice

if TYPE_CHECKING:
    from decimal import Decimal

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


COLORED = len(ACCOUNTS) - 1
"""How many symbols have their own color; the others share the last one."""
INCHES, POINTS_PER_INCH = 1.9, 25
"""How high each part of the picture is, in inches, and how many sessions it draws per inch of its width."""
WORDS = {
    "held": "positions (fraction of equity)",
    "volatility": "the volatility of the half year until each session",
    "sharpe": "its Sharpe ratio",
    "beta": "its beta",
    "returns": "the number of sessions by their return",
}
"""The caption of each part, by its name."""


def details(account: AccountReport) -> dict[str, object] | None:
    """Return an account's detail charts as SVG for wide and narrow screens, with their description.

    Returns None if there are none.
    """
    names = [name for name, _ in _parts(account, NARROW[0])]
    if not names:
        return None
    wide, narrow = (
        inline_svg(partial(_draw, account), width, INCHES * len(names), VARIABLES) for width, _ in (WIDE, NARROW)
    )
    return {"wide": wide, "narrow": narrow, "words": f"From above: {', '.join(WORDS[name] for name in names)}."}


def _draw(account: AccountReport, figure: Drawing) -> None:
    width = figure.get_figwidth()
    parts = list(_parts(account, width))
    for axes, (name, part) in zip(figure.subplots(len(parts), 1, squeeze=False)[:, 0], parts, strict=True):
        part(axes)
        if name != "returns":
            date(axes, width)


def _parts(account: AccountReport, width: float) -> Iterator[tuple[str, Callable[[Axes], None]]]:
    of = account.further
    at = {point.session: point.at for point in account.curve}
    rows = downsample(of.over_time, int(POINTS_PER_INCH * width))
    places = days([at[row.session] for row in rows])
    if of.holdings:
        yield "held", partial(_draw_exposures, [each.symbol for each in of.holdings], rows, places, int(0.7 * width))
    for each in of.windows:
        yield each.name, partial(_line, each.name, rows, places)
    if of.histogram:
        yield "returns", partial(_spread, account)


def _draw_exposures(
    symbols: Sequence[str], rows: Sequence[SessionExposure], places: Sequence[float], columns: int, axes: Axes
) -> None:
    """Draw the symbols on top of each other, longs above zero and shorts below."""
    own, rest = symbols[:COLORED], symbols[COLORED:]
    layers = [(clean(symbol), [row.held.get(symbol, 0.0) for row in rows]) for symbol in own]
    if rest:
        layers.append((f"{len(rest)} others", [sum(row.held.get(symbol, 0.0) for symbol in rest) for row in rows]))
    for sign in (1, -1):
        values = [[100 * sign * max(sign * share, 0.0) for share in shares] for _, shares in layers]
        if sign > 0 or any(map(any, values)):
            axes.stackplot(places, values, colors=ACCOUNTS, alpha=0.6, linewidth=0)
    names = [name for name, _ in layers]
    axes.legend(names, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, labelcolor=INK)
    finish(axes, "held", _percent)


def _line(name: str, rows: Sequence[SessionExposure], places: Sequence[float], axes: Axes) -> None:
    factor, text = (100.0, _percent) if name == "volatility" else (1.0, _plain)
    values = [float("nan") if (value := getattr(row, name)) is None else factor * value for row in rows]
    axes.plot(places, values, color=ACCOUNTS[0], linewidth=1.4)
    axes.set_xlim(places[0], places[-1])
    finish(axes, name.replace("sharpe", "Sharpe"), text)


def _spread(account: AccountReport, axes: Axes) -> None:
    bins = account.further.histogram
    lows, width = [100 * each.low for each in bins], 100 * (bins[0].high - bins[0].low)
    axes.bar(lows, [each.count for each in bins], width=0.9 * width, align="edge", color=LEVELED)
    finish(axes, "sessions", _plain)
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.xaxis.set_major_formatter(lambda value, _: format_change(value))


def _percent(value: float) -> str:
    return f"{_plain(value)}%"


def _plain(value: float) -> str:
    return f"{value:,.6g}".replace("-", "−")


LAST_TRADES = 100
"""How many trades are listed, the last ones; a file of ten thousand would be too large."""
OUTER_TRADES = 5
"""How many of the best and of the worst trades are shown."""
OUTER_ROWS = 10
"""How many rows at either end of an attribution are shown."""


def page(data: PerformanceReport, results: Sequence[Mapping[str, Any] | None] = ()) -> str:
    """Return the page of a report of one account, or of two side by side.

    `results` are the stored backtests of the accounts, with assumptions and halts; None for any other account.
    """
    backtests = results or [None] * len(data.accounts)
    alone = len(data.accounts) == 1
    return render_template(
        "page.html", data=data, accounts=data.accounts, alone=alone, backtests=backtests, **_whole(data)
    )


def render_template(template: str, **values: object) -> str:
    """Return a page made from a template, without secrets."""
    return hide_keys(_environment().get_template(template).render(zone=zone(), **values))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("commands.report"), PackageLoader("commands.compare")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_readable,
    )
    environment.globals["MONTHS"] = report_text.MONTHS
    environment.globals["units"] = units
    environment.filters |= _filters()
    return environment


def _readable(value: object) -> object:
    """Return texts from elsewhere without control characters, and with times as the reader's clock shows them."""
    return for_reader(clean(value)) if type(value) is str else value


def _filters() -> Mapping[str, Any]:
    return {
        "usd": _usd,
        "percent": lambda value: typeset(report_text.percent(value)),
        "bare_percent": lambda value: typeset(format_signed(100 * value, 1)),
        "value_of": lambda figure: typeset(report_text.value_of(figure)),
        "interval_of": lambda figure: typeset(report_text.interval_of(figure)),
        "basis_of": report_text.basis_of,
        "typeset": typeset,
        "typeset_words": lambda text: re.sub(r"(?<![\w-])-(?=\d)", "−", text),
        "share": lambda down: f"{100 * float(down):.2f}%",
        "shares": lambda quantity: f"{quantity:,f}",
        "price": usd,
        "assumed": report_text.block_assumptions,
        "by_name": _by_name,
        "compared": lambda account: {each.of: each for each in account.comparisons},
        "largest": lambda rows: max(abs(row.total_usd) for row in rows),
        "counted": pluralize,
        "minute": lambda at: stamp(at, MINUTE),
        "when": lambda at: when(at, MINUTE),
        "headline": headline,
        "is_recorded": report_text.is_recorded,
        "lede": opening_sentence,
        "interruption": report_text.interruption,
        "belief": chance_sentences,
        "leveled": report_text.benchmark_name,
        "labeled": lambda figures: [(each.label, (each,)) for each in figures],
        "chance_figures": report_text.chance_figures,
        "chance_words": report_text.chance_words,
        "costs_words": report_text.costs_words,
        "variants": report_text.variants_of,
        "windowed": report_text.window_figures,
        "band_words": report_text.band_words,
        "drag": lambda cost: typeset(drag_of(cost)),
        "parts": lambda account: report_text.parts(account, ("realized", "open", "fees")),
        "closed": report_text.rank_trades,
        "outer_rows": lambda rows: report_text.first_and_last(rows, OUTER_ROWS),
        "shades": report_text.month_shades,
        "columns": _columns,
    }


def _whole(data: PerformanceReport) -> Mapping[str, Any]:
    groups = ((Block.RETURNS, "Returns"), (Block.ACTIVITY, "Trading"), (Block.TRADES, "Trades"))
    return {
        "curve": curve(data.accounts),
        "details": [details(account) for account in data.accounts],
        "part": report_text.part(data),
        "yet": report_text.period_phrase(data),
        "groups": [(block, title, report_text.figures_side_by_side(data.accounts, block)) for block, title in groups],
        "Block": Block,
        "lists": [_trades(account) for account in data.accounts],
    }


def typeset(text: str) -> str:
    """Return a number's text with a minus sign as wide as a plus."""
    return text.replace("-", "−")


def _usd(amount: Decimal, sign: str = "+") -> str:
    """Return an amount to the cent, with its sign unless it is zero or `sign` is empty."""
    return typeset(f"{amount:{sign if round(amount, 2) else ''},.2f}")


def _trades(account: AccountReport) -> Mapping[str, Sequence[ReportedTrade]]:
    """Return the best and the worst closed trades, best first; and the last trades, open ones before closed ones.

    The last trades are sorted by time within both groups, the latest first.
    """
    latest = sorted(account.trades, key=lambda trade: trade.closed_at or trade.opened_at, reverse=True)
    reported_trades = [trade for trade in latest if not trade.closed_at]
    ended = [trade for trade in latest if trade.closed_at]
    return {
        "outer": report_text.first_and_last(report_text.rank_trades(account), OUTER_TRADES),
        "last": (reported_trades + ended)[:LAST_TRADES],
    }


def _by_name(account: AccountReport) -> Mapping[str, Figure]:
    return {each.name: each for each in (*account.returns, *account.activity, *account.trade_figures)}


def _columns(account: AccountReport) -> list[tuple[str, str]]:
    rows = [row for cut in account.cuts for row in cut.rows]
    return [(f"{name}_usd", name) for name in PARTS if any(getattr(row, f"{name}_usd") for row in rows)]


def with_files(shown: Report, data: Data, files: Files, config: str | None = None) -> Report:
    """Write the requested picture, page and tables of a report, and name them below the screen."""
    results = [read_result(Path(account.label)) for account in data.accounts] if files.page else []
    choice = Choice(DateRange(data.from_date, data.to_date), data.strategy, data.symbol)
    label = data.accounts[0].label
    return write_files(shown, files, data.accounts, lambda: page(data, results), lambda: frames(label, config, choice))
