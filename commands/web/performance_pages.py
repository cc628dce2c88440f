"""The pages about performance: trades, sources of profit, the report, backtests and signals."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from commands import pnl, signals
from commands.compare import report as compare
from commands.pnl import screen as pnl_screen
from commands.report import report_inputs as report
from commands.report.files import files_of
from commands.shared.span_options import days_of
from commands.shared.verb_options import Report
from commands.trades import run as trades
from commands.trades.report import Trades
from commands.web.charting import equity_part
from commands.web.html_rendering import CSRF, Page, PageField, PagePart, Query, first_row
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word
from tradebot.lab.backtest.results import RESULT, Results
from tradebot.model.struct_tools import replace
from tradebot.views.trades.pnl import Cut
from tradebot.views.trades.trade_row import Choice, TradeRow

ROWS = 100
"""How many trades a page shows at once, the last ones first."""
ANY = "any"
COMPARED = 6
"""How many backtests may be compared at once."""
RUN = "run."
"""Before the name of a backtest in the address of a page: that it is to be compared."""
SPAN = (PageField("from", "From", "date"), PageField("to", "To", "date"))
WHOSE = (PageField("strategy", "Strategy"), PageField("symbol", "Symbol"))


def _choice(query: Query) -> Choice:
    is_open = {"open": True, "closed": False}.get(query.get("state", ANY))
    days = days_of(query.get("from") or None, query.get("to") or None)
    given = {name: query.get(name) or None for name in ("strategy", "symbol", "reason")}
    return Choice(days, is_open=is_open, **given)


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
            lambda app: pnl_screen.run(app, pnl.cut_of(query.get("by", Cut.STRATEGY)), _choice(query)),
        ),
        PagePart("Note a trade", _note_form),
    ]


def _page_of(rows: Sequence[TradeRow], query: Query) -> tuple[TradeRow, ...]:
    """Return the rows of a page, of which the first has the newest ones."""
    last = len(rows) - first_row(query, len(rows), ROWS)
    return tuple(rows[max(last - ROWS, 0) : last])


def _places(count: int, query: Query) -> Markup:
    if count <= ROWS:
        return Markup("")
    kept = "".join(f"&{name}={quote(value)}" for name, value in query.items() if name != "from_row")
    places = Markup(" ").join(
        Markup('<a href="?from_row={}{}">{}–{}</a>').format(at, kept, at + 1, min(at + ROWS, count))
        for at in range(0, count, ROWS)
    )
    return Markup('<p class="links">The newest first: {}</p>').format(places)


def _note_form(_: App) -> Markup:
    return Markup(
        '<form class="act" method="post" action="/act"><input type="hidden" name="csrf" value="{}">'
        '<label>Trade: its symbol or id <input name="trade" required></label>'
        '<label>Note <input name="text" maxlength="1000"></label>'
        '<label>Tag <input name="tag" maxlength="30"></label>'
        '<button name="do" value="note">Write it down</button></form>'
    ).format(CSRF)


def _report(query: Query) -> list[PagePart]:
    return [
        (equity_part("Growth of the whole account, whatever is chosen") if query else equity_part())._replace(
            wide=True
        ),
        PagePart("Report", lambda app: report.run_here(app, _choice(query)), wide=True),
    ]


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
    """Compare what was chosen, or else the newest ones."""
    if len(chosen) > COMPARED:
        raise OperatorError(f"{len(chosen)} backtests are too many for one table", f"choose {COMPARED} at most")
    names = chosen or _names(app)[:COMPARED]
    if not chosen and len(names) < 2:
        return Markup("<p>There is nothing to compare yet.</p>")
    return compare.run([_require_own_backtest(app, name) for name in names], _home(app), files_of(None, None))


def _home(app: App) -> Path:
    return Results(app.folder.path).folder


def _names(app: App) -> Sequence[str]:
    """Return the names of the backtests that were kept, the newest first."""
    paths = [path for path in _home(app).glob(f"*/{RESULT}") if not path.parent.is_symlink()]
    names = [path.parent.name for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)]
    # A name that can't be printed can't be a link either.
    return [name for name in names if name.isprintable()]


def _require_own_backtest(app: App, name: str) -> str:
    """Return the folder of a backtest of this bot; OperatorError for any other name, or path."""
    names = _names(app)
    if name not in names:
        raise OperatorError(
            f"this bot has no backtest {word(name)}", "choose one of the list, or: tradebot backtest --name NAME"
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
    return [
        PagePart("Report", lambda app: report.run([_require_own_backtest(app, name)], None, None, Choice()), wide=True),
    ]


BY = tuple(sorted((cut.value for cut in Cut), key=lambda name: name != Cut.STRATEGY))
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
