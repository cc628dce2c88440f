"""Charts as parts of a page: a place that a script draws in, a sentence, and tables of all that is drawn."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup
from rich.console import Console

from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed, usd
from commands.shared.tables import Table, number
from commands.shared.times import DAY_MINUTE, DAY_SECOND, MINUTE, stamp, zone
from commands.trades.candles import Drawn, label, lines_of
from commands.web.charting import (
    ALL,
    RECENT,
    ScoredPoint,
    account,
    columns,
    drawing,
    growth,
    load_symbol,
    on_candles,
    path_of,
    percent,
    prices,
)
from commands.web.html_rendering import render_html
from commands.web.pages import PagePart
from tradebot.app.wiring import App
from tradebot.lab.performance.report import CurvePoint
from tradebot.model.candidate import Side
from tradebot.model.series import DAY
from tradebot.model.text import pluralize

ROWS = 300
"""How many candles, passes and sessions are in a table: the last ones."""
KEYS = "With the keyboard: ← and → read it point by point, + and − zoom, Escape shows all of it."


def chart(path: str, draws: Mapping[str, Any], words: str, tables: Sequence[tuple[str, Table]]) -> Markup:
    """Return a chart's place in the page, its legend, and the text beside it: a sentence, and tables."""
    keys = Markup("").join(_keys(draws))
    figures = Markup("").join(_folded(title, table) for title, table in tables if table.rows)
    return Markup(
        '<p class="keys" aria-hidden="true">{}</p><div class="charted" data-chart="{}" hx-morph-skip>'
        '<div class="chart" role="img" tabindex="0" aria-label="Chart. {}"></div>'
        '<p class="reading" aria-live="polite"></p></div><p>{}</p>{}'
    ).format(keys, path, KEYS, words, figures)


def _keys(draws: Mapping[str, Any]) -> Iterator[Markup]:
    for bought, word, color, sign in ((True, "bought", "blue", "▲"), (False, "sold", "yellow", "▼")):
        if any(mark["bought"] is bought for mark in draws.get("marks", ())):
            yield Markup('<span><i class="key-{} key-mark">{}</i>{}</span>').format(color, sign, word)
    lines = [*draws["lines"], *draws.get("scores", ())]
    named = {_named(line): (line["color"], line["style"]) for line in lines}
    for name, look in named.items():
        yield Markup('<span><i class="key-{} key-{}"></i>{}</span>').format(*look, name)


def _named(line: Mapping[str, Any]) -> str:
    return str(line["name"]) if line["color"] != "soft" or line["style"] != "dotted" else "other components"


def _folded(title: str, table: Table) -> Markup:
    def show(console: Console) -> None:
        console.print(table)

    return Markup("<details><summary>{}</summary>{}</details>").format(title, render_html(show))


def equity_part(title: str = "Growth, beside the benchmark") -> PagePart:
    """Return the part that shows the account's growth with its benchmark, as `report` has it."""
    return PagePart(title, _equity)


def _equity(app: App) -> Markup:
    of = account(app)
    if len(of.curve) < 2:
        return Markup("<p>No session of this account is over yet, so there is no growth to draw.</p>")
    shown = columns(of)
    ends = ", ".join(f"{name} {_grown(of.curve[-1], column) or 'not known'}" for name, column in shown)
    alone = "" if len(shown) > 1 else ". There is no benchmark to compare it with; tradebot report says why"
    table = Table("session", number("equity USD"), *(number(name) for name, _ in shown))
    for point in of.curve[-ROWS:]:
        cells = [_grown(point, column) for _, column in shown]
        start = " (start)" if point.is_start else ""
        table.row(f"{point.session}{start}", f"{point.equity_usd:,.2f}", *cells)
    words = f"{pluralize(of.sessions, 'session')}: {ends}{alone}."
    return chart("/api/chart/equity", growth(of), words, [("Growth by session", table)])


def _grown(point: CurvePoint, column: str) -> str:
    index = getattr(point, column)
    return "" if index is None else percent(index)


def candles_part(symbol: str, which: str) -> PagePart:
    """Return the part that shows a symbol's candles with its trades: those of the last days, or all."""
    which = ALL if which == ALL else RECENT
    return PagePart("Prices, fills, stops and scores", lambda app: _candles(app, symbol, which), wide=True)


def _candles(app: App, symbol: str, which: str) -> Markup:
    of, scored = what = load_symbol(app, symbol, which)
    series = of.series
    width = "a day" if series.timeframe == DAY else "5 minutes"
    days = "" if series.timeframe == DAY else f" {zone()}"
    told = (
        f"{pluralize(len(series), 'candle')} of {width}, {_when(of, 0)} to {_when(of, len(series) - 1)}{days}",
        f"{pluralize(len(on_candles(of)), 'fill')} in {pluralize(len(of.trades), 'trade')}"
        if of.trades else "no trade",
        f"{pluralize(len(scored), 'score')}, the last {format_signed(scored[-1].values['score'], 3)} at "
        f"{stamp(scored[-1].at, DAY_MINUTE)}" if scored else "no pass scored it",
    )  # fmt: skip
    tables = (
        ("Fills", _fills(of)),
        ("Where trades were to end", _levels(of)),
        ("Scores", _scores(scored)),
        (f"Candles{f', the last {ROWS}' if len(series) > ROWS else ''}", _prices(of)),
    )
    return chart(path_of(symbol, which), drawing(what), "; ".join(told) + ".", tables)


def _when(of: Drawn, place: int) -> str:
    return label(of.series, place) if of.series.timeframe == DAY else stamp(of.series.start_of(place), MINUTE)


def _fills(of: Drawn) -> Table:
    table = Table(f"at {zone()}", "side", number("quantity"), number("price"))
    for fill in on_candles(of):
        side = "bought" if fill.side is Side.BUY else "sold"
        price = usd(fill.price, fill.symbol)
        table.row(stamp(fill.at, DAY_SECOND), side, f"{fill.quantity:,f}", price)
    return table


def _levels(of: Drawn) -> Table:
    table = Table(f"opened {zone()}", "trade", "level", number("price"), f"since {zone()}", f"until {zone()}")
    for plan in of.plans:
        trade = plan.trade
        until = stamp(trade.closed_at, DAY_MINUTE) if trade.closed_at else "open"
        opened, name = stamp(trade.opened_at, DAY_MINUTE), clean(f"{trade.side} of {trade.strategy}")
        for price, _, _, word in lines_of(plan):
            table.row(opened, name, word.rstrip(":"), usd(price, trade.symbol), opened, until)
        ends = [*(stamp(at, DAY_MINUTE) for at, _ in plan.stops[1:]), until]
        for (at, price), end in zip(plan.stops, ends, strict=False):
            table.row(opened, name, "stop", usd(price, trade.symbol), stamp(at, DAY_MINUTE), end)
    return table


def _scores(scored: Sequence[ScoredPoint]) -> Table:
    names = list(dict.fromkeys(name for one in scored for name in one.values))
    table = Table(f"at {zone()}", "strategy", *(number(clean(name)) for name in names))
    for one in reversed(scored[-ROWS:]):
        cells = [format_signed(one.values[name], 3) if name in one.values else "" for name in names]
        table.row(stamp(one.at, DAY_SECOND), clean(one.strategy), *cells)
    return table


def _prices(of: Drawn) -> Table:
    table = Table("from", *(number(name) for name in ("open", "high", "low", "close")))
    for place in reversed(range(max(len(of.series) - ROWS, 0), len(of.series))):
        table.row(label(of.series, place), *prices(of.series, place).values())
    return table
