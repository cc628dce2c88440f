"""The pages about performance: trades, sources of profit, the report, backtests and signals."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from commands import pnl, signals
from commands.compare import report as compare
from commands.pnl import screen as pnl_screen
from commands.report import report_inputs as report
from commands.report import report_text
from commands.report.extended_screen import short_percentage
from commands.report.files import files_of
from commands.report.screen import render_drawdowns
from commands.shared.light_helpers import clean
from commands.shared.span_options import days_of
from commands.shared.tables import Table, fold, number
from commands.shared.verb_options import Report
from commands.trades import run as trades
from commands.trades.report import Trades
from commands.web.charting import over_time_part, range_part
from commands.web.html_rendering import (
    CSRF,
    Page,
    PageField,
    PagePart,
    Query,
    draw_bars,
    first_row,
    render_html,
)
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError, word
from tradebot.lab.backtest.results import RESULT, Results
from tradebot.lab.performance.report import AccountReport, PerformanceReport
from tradebot.model.struct_tools import replace
from tradebot.views.trades.pnl import ProfitGrouping
from tradebot.views.trades.trade_row import Choice, TradeRow

ROWS = 100
"""How many trades a page shows at once, newest first."""
ANY = "any"
COMPARED = 6
"""How many backtests may be compared at once."""
FIGURES = "All figures, with definitions and sources"
RUN = "run."
"""The prefix of the query parameters that select backtests to compare; a backtest's name follows it."""
SPAN = (PageField("from", "From", "date"), PageField("to", "To", "date"))
WHOSE = (PageField("strategy", "Strategy"), PageField("symbol", "Symbol"))


def _choice(query: Query) -> Choice:
    is_open = {"open": True, "closed": False}.get(query.get("state", ANY))
    days = days_of(query.get("from") or None, query.get("to") or None)
    filters = {name: query.get(name) or None for name in ("strategy", "symbol", "reason")}
    return Choice(days, is_open=is_open, **filters)


def _trades(query: Query) -> list[PagePart]:
    chosen: list[Sequence[TradeRow]] = []

    def some(app: App) -> Report:
        report = trades.run(app, _choice(query))
        data: Trades = report.data
        chosen.append(data.trades)
        return replace(report, data=replace(data, trades=_page_of(data.trades, query)))

    def others(_: App) -> Markup:
        return _places(len(chosen[-1]) if chosen else 0, query)

    return [
        PagePart("Trades", some, wide=True),
        PagePart("More trades", others),
        PagePart(
            "Where profit came from",
            lambda app: pnl_screen.run(app, pnl.cut_of(query.get("by", ProfitGrouping.STRATEGY)), _choice(query)),
        ),
        PagePart("Note a trade", _note_form),
    ]


def _page_of(rows: Sequence[TradeRow], query: Query) -> tuple[TradeRow, ...]:
    """Return the rows of a page; the first page has the newest ones."""
    last = len(rows) - first_row(query, len(rows), ROWS)
    return tuple(rows[max(last - ROWS, 0) : last])


def _places(count: int, query: Query) -> Markup:
    if count <= ROWS:
        return Markup("")
    parameters = "".join(f"&{name}={quote(value)}" for name, value in query.items() if name != "from_row")
    places = Markup(" ").join(
        Markup('<a href="?from_row={}{}">{}–{}</a>').format(at, parameters, at + 1, min(at + ROWS, count))
        for at in range(0, count, ROWS)
    )
    return Markup('<p class="links">The newest first: {}</p>').format(places)


def _note_form(_: App) -> Markup:
    return Markup(
        '<form class="act" method="post" action="/act"><input type="hidden" name="csrf" value="{}">'
        '<label>Trade: its symbol or id <input name="trade" required></label>'
        '<label>Note <input name="text" maxlength="1000"></label>'
        '<label>Tag <input name="tag" maxlength="30"></label>'
        '<button name="do" value="note">Save the note</button></form>'
    ).format(CSRF)


def _report(query: Query) -> list[PagePart]:
    load_report = cache(lambda app: report.run_here(app, _choice(query)))
    return [
        PagePart("In short", _drawing_of(load_report, _summary), wide=True),
        range_part(),
        *_report_parts(load_report),
        over_time_part(),
        PagePart(FIGURES, load_report, wide=True, draw=_draw_folded),
    ]


def _report_parts(load_report: Callable[[App], Report]) -> list[PagePart]:
    """Return the parts that show a report as pictures: its months, its sessions' returns, and its deepest drawdowns."""
    return [
        PagePart(
            "Months, %", _drawing_of(load_report, lambda data: Markup("").join(map(_months, data.accounts))), wide=True
        ),
        PagePart(
            "Sessions by their return",
            _drawing_of(load_report, lambda data: Markup("").join(map(_spread, data.accounts))),
        ),
        PagePart(
            "Deepest drawdowns", _drawing_of(load_report, lambda data: Markup("").join(map(_falls, data.accounts)))
        ),
    ]


def _drawing_of(
    load_report: Callable[[App], Report], draw: Callable[[PerformanceReport], Markup]
) -> Callable[[App], Report | Markup]:
    """Return a function that draws a part of a report; it is empty if it can't be drawn, and another part says why."""

    def make(app: App) -> Report | Markup:
        try:
            return draw(load_report(app).data)
        except TradebotError:
            return Markup("")

    return make


def _draw_folded(_: App, shown: Report) -> Markup:
    return render_html(lambda console: fold(console, "Show them", lambda inner: shown.render(inner, shown.data)))


def _summary(data: PerformanceReport) -> Markup:
    """Return the profit, what the benchmarks earned, and how much of the difference may be chance."""
    (account,) = data.accounts
    name = report_text.part(data) or "The account"
    headline = f"{report_text.headline(account, name, report_text.period_phrase(data))}."
    sentences = [
        report_text.opening_sentence(account),
        report_text.interruption(account),
        *report_text.chance_sentences(account),
    ]
    cautions = Markup("").join(Markup("<li>{}</li>").format(clean(each)) for each in account.further.cautions)
    return Markup('<div class="lede"><b>{}</b><span>{}</span></div><ul class="cautions">{}</ul>').format(
        clean(headline), clean(" ".join(filter(None, sentences))), cautions
    )


def _months(account: AccountReport) -> Markup:
    """Return an account's months as a heat map: a row for each year, and a shade for each return."""
    shades, names = report_text.month_shades(account), (*report_text.MONTHS, "year", account.benchmark or "")
    if not account.years:
        return Markup("")
    rows = []
    for year in account.years:
        months = [(shades.get((each.year, each.month), ""), each.value) for each in year.months]
        others = [("whole", year.value), *([("whole", year.benchmark)] if account.benchmark else [])]
        cells = Markup("").join(
            Markup('<td class="{}" data-label="{}">{}</td>').format(
                shade, clean(name), "" if value is None else short_percentage(value)
            )
            for name, (shade, value) in zip(names, [*months, *others], strict=False)
        )
        rows.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(year.year, cells))
    heads = Markup("").join(Markup('<th scope="col">{}</th>').format(clean(name)) for name in names if name)
    return Markup(
        '<div class="scroll" tabindex="0" role="group" aria-label="Returns by month"><table class="cards months">'
        '<thead><tr><th scope="col">year</th>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(heads, Markup("").join(rows))


def _spread(account: AccountReport) -> Markup:
    """Return the distribution of session returns, as bars and as a table."""
    bins = account.further.histogram
    if not bins:
        return Markup("")
    table = Table("return from", "to", number("sessions"))
    for each in bins:
        table.row(report_text.percent(each.low), report_text.percent(each.high), f"{each.count:,}")
    bars = draw_bars([(each.count, "red" if each.high <= 0 else "green") for each in bins])
    ends = report_text.percent(bins[0].low, 1), report_text.percent(bins[-1].high, 1)
    return bars + Markup('<div class="ends"><span>{}</span><span>{}</span></div>').format(*ends) + _folded_table(table)


def _folded_table(table: Table) -> Markup:
    return render_html(lambda console: fold(console, "As a table", lambda inner: inner.print(table)))


def _falls(account: AccountReport) -> Markup:
    """Return the deepest drawdowns, each with its length and its recovery."""
    if not account.drawdowns:
        return Markup("")
    return render_html(lambda console: render_drawdowns(console, account))


def is_run(name: str) -> bool:
    """Return True for the query parameter that selects a backtest."""
    return name.startswith(RUN)


def _backtests(query: Query) -> list[PagePart]:
    chosen = [name.removeprefix(RUN) for name in query if is_run(name)]
    return [
        PagePart("Backtests of this bot", _backtests_form, wide=True),
        PagePart("Side by side", lambda app: _side_by_side(app, chosen), wide=True),
    ]


def _side_by_side(app: App, chosen: Sequence[str]) -> Report | Markup:
    """Compare the chosen backtests, or else the newest ones."""
    if len(chosen) > COMPARED:
        raise OperatorError(f"{len(chosen)} backtests are too many for one table", f"choose {COMPARED} at most")
    names = chosen or _names(app)[:COMPARED]
    if not chosen and len(names) < 2:
        return Markup("<p>There is nothing to compare yet.</p>")
    return compare.run([_require_own_backtest(app, name) for name in names], _home(app), files_of(None, None))


def _home(app: App) -> Path:
    return Results(app.folder.path).folder


def _names(app: App) -> Sequence[str]:
    """Return the names of the stored backtests, newest first."""
    paths = [path for path in _home(app).glob(f"*/{RESULT}") if not path.parent.is_symlink()]
    names = [path.parent.name for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)]
    # A name that can't be printed can't be a link either.
    return [name for name in names if name.isprintable()]


def _require_own_backtest(app: App, name: str) -> str:
    """Return the folder of a backtest of this bot; raise OperatorError for any other name, or a path."""
    names = _names(app)
    if name not in names:
        raise OperatorError(
            f"this bot has no backtest {word(name)}",
            "choose a backtest from the list, or run one: tradebot backtest --name NAME",
        )
    return str(_home(app) / name)


def _backtests_form(app: App) -> Markup:
    names = _names(app)
    if not names:
        return Markup("<p>None yet. Next: <code>tradebot backtest --sessions 20 --name first</code></p>")
    rows = Markup("\n").join(
        Markup(
            '<tr><th scope="row"><a href="/backtest/{}">{}</a></th>'
            '<td><label><input type="checkbox" name="{}" value="yes"> compare</label></td></tr>'
        ).format(quote(name, safe=""), name, f"{RUN}{name}")
        for name in names
    )
    return Markup(
        '<form method="get" action="/backtests"><table><tbody>{}</tbody></table><button>Compare</button></form>'
    ).format(rows)


def _backtest(query: Query) -> list[PagePart]:
    name = query.get("name", "")
    load_report = cache(lambda app: report.run([_require_own_backtest(app, name)], None, None, Choice()))
    return [
        PagePart("In short", _drawing_of(load_report, _summary), wide=True),
        *_report_parts(load_report),
        PagePart(FIGURES, load_report, wide=True, draw=_draw_folded),
    ]


BY = tuple(sorted((cut.value for cut in ProfitGrouping), key=lambda name: name != ProfitGrouping.STRATEGY))
"""The possible groupings of profit, the default first."""
TRADES = (
    *SPAN,
    *WHOSE,
    PageField("reason", "Closed by rule"),
    PageField("state", "State", (ANY, "open", "closed")),
    PageField("by", "Profit by", BY),
)
PAGES = (
    Page("trades", "/trades", "Trades", _trades, TRADES, hidden=("from_row",)),
    Page("report", "/report", "Report", _report, (*SPAN, *WHOSE), is_live=False),
    Page("backtests", "/backtests", "Backtests", _backtests, is_live=False),
    Page("backtest", "/backtest/{name}", "Backtest", _backtest, is_listed=False, is_live=False),
    Page("signals", "/signals", "Signals", lambda query: [PagePart("Signals", signals.run, wide=True)]),
)
