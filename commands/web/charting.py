"""What charts draw, as JSON: the candles of a symbol with what the bot did there, and its equity beside a benchmark.

Charts know no time zones, so times are seconds of the clock that the reader's times are in, as if it were UTC. Where a
clock is set back, what repeats an hour is left out of the drawing; tables have it.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from commands.report.verb import run_here
from commands.shared.days import Span
from commands.shared.drawing import signed, usd
from commands.shared.plain import clean
from commands.shared.times import MINUTE, local, stamp, zone
from commands.trades.candles import Drawn, drawn, series_around
from commands.trades.report import read as read_trades
from commands.web.pages import Part
from commands.why_no_orders.reading import cycles_of
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.model.candidate import Side
from tradebot.model.series import DAY, Series
from tradebot.model.text import counted
from tradebot.views.performance.report import AccountReport
from tradebot.views.performance.trade_row import Choice

LOOKED_BACK = timedelta(days=2)
"""How far candles reach back for a symbol that was never traded."""
WHOLE = Choice()


class Line(NamedTuple):
    """A line of a chart: its name, the name of its color, its style, and its points."""

    name: str
    color: str
    style: str
    points: list[dict[str, float]]


def chart(name: str, words: str, path: str) -> Markup:
    """Return the place of a chart, which a script draws; `words` stand in for it."""
    return Markup(
        '<figure class="chart" role="img" aria-label="{}" data-chart="{}" hx-morph-skip></figure><p class="dim">{}</p>'
    ).format(f"{name}: {words}", path, words)


def equity_part() -> Part:
    """Return the part that shows the account's growth beside its benchmark, as `report` has it."""
    return Part("Growth, beside the benchmark", _equity)


def _equity(app: App) -> Markup:
    return chart("Growth of the account", "Growth by session, as tradebot report compares it.", "/api/chart/equity")


def equity(app: App) -> dict[str, Any]:
    """Return growth by session of the account, of its benchmark and of cash, in percent since the books began."""
    account: AccountReport = run_here(app, WHOLE).data.accounts[0]
    points = account.curve
    lines = [Line("account", "blue", "solid", _points((point.at, point.index) for point in points))]
    if account.benchmark:
        lines.append(
            Line(clean(account.benchmark), "soft", "solid", _points((point.at, point.benchmark) for point in points))
        )
    said = ", ".join(f"{line.name} {signed(line.points[-1]['value'], 2)} %" for line in lines if line.points)
    words = f"{counted(account.sessions, 'session')}: {said}" if said else "No session's equity is known yet."
    return {"lines": [line._asdict() for line in lines if line.points], "words": words, "zone": zone(), "unit": "%"}


def _points(found: Iterable[tuple[datetime, float | None]]) -> list[dict[str, float]]:
    return _ascending({"time": local(at), "value": 100 * (index - 1)} for at, index in found if index is not None)


def _ascending(points: Iterable[dict[str, float]]) -> list[dict[str, float]]:
    kept: list[dict[str, float]] = []
    for point in points:
        if not kept or point["time"] > kept[-1]["time"]:
            kept.append(point)
    return kept


def candles_part(symbol: str) -> Part:
    """Return the part that shows a symbol's candles."""
    path = f"/api/chart/candles/{quote(symbol, safe='')}"
    words = "Candles with fills, the stop as it moved, and the score of each pass; the tables below have the figures."
    return Part("Prices", lambda app: chart(f"Prices of {clean(symbol)}", words, path), wide=True)


def candles(app: App, symbol: str) -> dict[str, Any]:
    """Return a symbol's candles, what the bot did there, and how it scored; OperatorError if there are no bars."""
    found = read_trades(app, Choice(symbol=symbol), by_lot=False)
    if found.trades:
        of = drawn(app, found.trades, symbol, found.as_of)
        series, marks, levels = of.series, list(_marks(of)), list(_levels(of))
    elif found.as_of is None:
        raise OperatorError("nothing was recorded yet", "tradebot reconcile")
    else:
        series = series_around(app, symbol, found.as_of - LOOKED_BACK, found.as_of, found.as_of)
        marks, levels = [], []
    places = [local(series.start_of(place)) for place in range(len(series))]
    first, last = series.start_of(0), series.start_of(len(series) - 1)
    many, width = counted(len(series), "candle"), "a day" if series.timeframe == DAY else "5 minutes"
    return {
        "candles": _ascending(_candles(series, places)),
        "marks": marks,
        "lines": [line._asdict() for line in levels],
        "scores": [line._asdict() for line in _scores(app, symbol)],
        "words": f"{many} of {width}, {stamp(first, MINUTE)} to {stamp(last, MINUTE)} {zone()}",
        "zone": zone(),
        "unit": "USD",
    }


def _candles(series: Series, places: list[float]) -> Iterator[dict[str, float]]:
    for place, at in enumerate(places):
        prices = {name: getattr(series, name)[place] for name in ("open", "high", "low", "close")}
        yield {"time": at, **prices}


def _marks(of: Drawn) -> Iterator[Mapping[str, Any]]:
    for fill in of.fills:
        bought = fill.side is Side.BUY
        said = f"{'bought' if bought else 'sold'} {fill.quantity:,f} at {usd(fill.price, fill.symbol)}"
        yield {"time": local(of.series.start_of(of.place(fill.at))), "bought": bought, "text": said}


def _levels(of: Drawn) -> Iterator[Line]:
    """Yield where each trade was to end, from when it was opened until it was closed."""
    for plan in of.plans:
        end = of.series.start_of(of.place(plan.trade.closed_at or of.end))
        opened = of.series.start_of(of.place(plan.trade.opened_at))
        stops = [(of.series.start_of(of.place(at)), float(price)) for at, price in plan.stops]
        if stops:
            yield _line("stop", "red", "solid", [*stops, (end, stops[-1][1])])
        yield _line(
            "entry", "soft", "solid", [(opened, float(plan.trade.entry_price)), (end, float(plan.trade.entry_price))]
        )
        for target in plan.targets:
            yield _line("target", "green", "dashed", [(opened, float(target.price)), (end, float(target.price))])


def _line(name: str, color: str, style: str, found: list[tuple[datetime, float]]) -> Line:
    # Of several at the time of one candle, the last one was in force.
    last = {local(at): value for at, value in found}
    return Line(name, color, style, [{"time": at, "value": last[at]} for at in sorted(last)])


def _scores(app: App, symbol: str) -> Iterator[Line]:
    """Yield the score of each pass of the last recorded session, and the components that made it."""
    cycles = cycles_of(app, Span(session=True), symbol=symbol)
    found: dict[str, dict[float, float]] = {}
    for cycle in sorted(cycles, key=lambda each: each.at):
        for record in cycle.candidates:
            candidate = record.candidate
            if candidate.symbol == symbol and candidate.score is not None:
                found.setdefault("score", {})[local(cycle.at)] = float(candidate.score)
                for component in candidate.components:
                    if component.value is not None:
                        found.setdefault(component.name, {})[local(cycle.at)] = float(component.value)
    for name, values in found.items():
        points = [{"time": at, "value": value} for at, value in values.items()]
        yield Line(name, "blue" if name == "score" else "soft", "solid" if name == "score" else "dotted", points)
