"""The pages of what was earned: trades, where profit came from, the report, backtests and signals."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from commands.compare import verb as compare
from commands.pnl import verb as pnl
from commands.report import verb as report
from commands.report.files import files_of
from commands.shared.days import days_of
from commands.shared.surface import Report
from commands.signals import verb as signals
from commands.trades import verb as trades
from commands.trades.report import Trades
from commands.web.chart_parts import equity_part
from commands.web.pages import CSRF, Field, Page, Part, Query, number_in
from tradebot.app.backtest.results import RESULT, Results
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word
from tradebot.model.values import replace
from tradebot.views.performance.pnl import Cut
from tradebot.views.performance.trade_row import Choice

ROWS = 100
"""How many trades a page shows at once, the last ones first."""
ANY = "any"
COMPARED = 6
"""How many backtests may be compared at once."""
SPAN = (Field("from", "From", "date"), Field("to", "To", "date"))
WHOSE = (Field("strategy", "Strategy"), Field("symbol", "Symbol"))


def _choice(query: Query) -> Choice:
    is_open = {"open": True, "closed": False}.get(query.get("state", ANY))
    days = days_of(query.get("from") or None, query.get("to") or None)
    given = {name: query.get(name) or None for name in ("strategy", "symbol", "reason")}
    return Choice(days, is_open=is_open, **given)


def _trades(query: Query) -> list[Part]:
    first = number_in(query, "from_row", 0)

    def some(app: App) -> Report:
        found = trades.run(app, _choice(query))
        data: Trades = found.data
        last = len(data.trades) - first
        return replace(found, data=replace(data, trades=data.trades[max(last - ROWS, 0) : max(last, 0)]))

    def earlier(app: App) -> Markup:
        count = len(trades.run(app, _choice(query)).data.trades)
        kept = "".join(f"&{name}={quote(value)}" for name, value in query.items() if name != "from_row")
        places = Markup(" ").join(
            Markup('<a href="?from_row={}{}">{}–{}</a>').format(at, kept, at + 1, min(at + ROWS, count))
            for at in range(0, count, ROWS)
        )
        return (
            Markup('<p class="links">The newest first: {}</p>').format(places)
            if count > ROWS
            else Markup("<p>All of them are above.</p>")
        )

    return [
        Part("Trades", some, wide=True),
        Part("Rows", earlier),
        Part(
            "Where profit came from",
            lambda app: pnl.run(app, pnl.cut_of(query.get("by", Cut.STRATEGY)), _choice(query)),
        ),
        Part("Note a trade", _note_form),
    ]


def _note_form(_: App) -> Markup:
    return Markup(
        '<form class="act" method="post" action="/act"><input type="hidden" name="csrf" value="{}">'
        '<label>Trade: its symbol or id <input name="trade" required></label>'
        '<label>Note <input name="text" maxlength="1000"></label>'
        '<label>Tag <input name="tag" maxlength="30"></label>'
        '<button name="do" value="note">Write it down</button></form>'
    ).format(CSRF)


def _report(query: Query) -> list[Part]:
    return [
        equity_part(),
        Part("Report", lambda app: report.run_here(app, _choice(query)), wide=True),
    ]


def _backtests(query: Query) -> list[Part]:
    chosen = [name for name in (query.get("a", ""), query.get("b", "")) if name]
    parts = [Part("Backtests of this bot", _kept, wide=True)]
    if chosen:
        parts.append(Part("Side by side", lambda app: _compared(app, chosen), wide=True))
    return parts


def _compared(app: App, names: Sequence[str]) -> Report:
    return compare.run([_checked(app, name) for name in names], _home(app), files_of(None, None))


def _home(app: App) -> Path:
    return Results(app.folder.path).folder


def _names(app: App) -> Sequence[str]:
    """Return the names of the backtests that were kept, the newest first."""
    found = [path for path in _home(app).glob(f"*/{RESULT}") if not path.parent.is_symlink()]
    return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def _checked(app: App, name: str) -> str:
    """Return the folder of a backtest of this bot; OperatorError for any other name, or path."""
    names = _names(app)
    if name not in names:
        raise OperatorError(
            f"this bot has no backtest {word(name)}", "choose one of the list, or: tradebot backtest --name NAME"
        )
    return str(_home(app) / name)


def _kept(app: App) -> Markup:
    names = _names(app)
    if not names:
        return Markup("<p>None yet. Next: <code>tradebot backtest --sessions 20 --name first</code></p>")
    rows = Markup("\n").join(
        Markup(
            '<tr><th scope="row"><a href="/backtest/{}">{}</a></th>'
            '<td><label><input type="radio" name="a" value="{}"> first</label></td>'
            '<td><label><input type="radio" name="b" value="{}"> second</label></td></tr>'
        ).format(quote(name, safe=""), name, name, name)
        for name in names
    )
    return Markup(
        '<form method="get" action="/backtests"><table><tbody>{}</tbody></table><button>Compare</button></form>'
    ).format(rows)


def _backtest(query: Query) -> list[Part]:
    name = query.get("name", "")
    return [
        Part("Report", lambda app: report.run([_checked(app, name)], None, None, Choice()), wide=True),
        Part(
            "How it was played",
            lambda app: compare.run([_checked(app, name)], _home(app), files_of(None, None)),
            wide=True,
        ),
    ]


BY = tuple(sorted((cut.value for cut in Cut), key=lambda name: name != Cut.STRATEGY))
"""By what profit may be divided, the usual one first."""
TRADES = (
    *SPAN,
    *WHOSE,
    Field("reason", "Closed by rule"),
    Field("state", "State", (ANY, "open", "closed")),
    Field("by", "Profit by", BY),
)
PAGES = (
    Page("trades", "/trades", "Trades", _trades, TRADES, hidden=("from_row",)),
    Page("report", "/report", "Report", _report, (*SPAN, *WHOSE), is_live=False),
    Page("backtests", "/backtests", "Backtests", _backtests, hidden=("a", "b"), is_live=False),
    Page("backtest", "/backtest/{name}", "Backtest", _backtest, is_listed=False, is_live=False),
    Page("signals", "/signals", "Signals", lambda query: [Part("Signals", signals.run, wide=True)]),
)
