"""Build the data of charts as JSON: a symbol's candles with the bot's trades, and the equity with a benchmark.

Charts don't support time zones, so times are those of the reader's local clock, in seconds as if they were UTC. When
that clock is set back, the chart leaves the repeated hour out; tables include it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup
from rich.console import Console
from rich.markup import escape

from commands.report.report_inputs import read as read_account
from commands.report.report_text import benchmark_name
from commands.shared.files import GAIN, INK, LOSS, QUIET
from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed, units, usd
from commands.shared.span_options import PassSpan
from commands.shared.tables import Table, number, sentence
from commands.shared.times import DAY_MINUTE, DAY_SECOND, MINUTE, local, stamp, zone
from commands.trades.candles import FEW, CandleChart, PlannedLevels, candle_chart, label, lines_of, series_around
from commands.trades.report import read as read_trades
from commands.web.html_rendering import PagePart, render_html
from commands.why_no_orders.reading import cycles_of, known_symbol
from tradebot.app.calendar import with_stored_sessions
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.lab.performance.report import AccountReport, CurvePoint
from tradebot.model.candidate import Side
from tradebot.model.order import Fill
from tradebot.model.record import CycleRecord, Job
from tradebot.model.sentences import pluralize
from tradebot.model.series import DAY, Series, downsample
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.views.trades.trade_row import Choice

LOOKED_BACK = timedelta(days=2)
"""How far back candles reach at least."""
MOST = 1_000
"""How many candles are drawn at most: the newest."""
RECENT, ALL = "recent", "all"
"""Which trades are on the candles: the last days' on five-minute candles, or all."""
WHOLE = Choice()
COLORS = {INK: "soft", LOSS: "red", GAIN: "green", QUIET: "soft"}
STYLES = {"solid": "solid", "dashed": "dashed", "dotted": "dotted", "dashdot": "long"}
ENTRY, EXIT, HALT, RESUMED = "entry", "exit", "halt", "end of a halt"
"""The events marked on a day's curve."""
COUNTED = ((ENTRY, "entries"), (EXIT, "exits"), (HALT, "halts"))
FIRST = ("score", "flow")
"""The values drawn in colors below the candles; other scores are fainter."""


class ChartSeries(NamedTuple):
    """A line of a chart: its name, the name of its color, its style, and its points."""

    name: str
    color: str
    style: str
    points: list[dict[str, float]]


class ScoredPoint(NamedTuple):
    """A strategy's result for a symbol in one pass: the score and its components by name, in -1..1."""

    at: datetime
    strategy: str
    values: Mapping[str, float]


class SymbolChart(NamedTuple):
    """A symbol's candles with its trades, and its scores of the last days, oldest first."""

    of: CandleChart
    scored: list[ScoredPoint]


def spell_symbol(app: App, symbol: str) -> str:
    """Return a symbol in the venue's spelling, however it was typed; unchanged if the bot has no records on it."""
    try:
        return known_symbol(app, symbol)
    except OperatorError:
        return symbol


def load_symbol(app: App, typed: str, which: str) -> SymbolChart:
    """Return the data of a symbol; raise OperatorError if nothing was recorded yet, or there are no bars."""
    symbol = spell_symbol(app, typed)
    trades_found = read_trades(app, Choice(symbol=symbol), by_lot=False)
    as_of = trades_found.as_of
    if as_of is None:
        raise OperatorError("nothing was recorded yet", "tradebot reconcile")
    since = as_of - FEW
    trades = [each for each in trades_found.trades if which == ALL or each.closed_at is None or each.closed_at > since]
    first = min([as_of - LOOKED_BACK, *(each.opened_at for each in trades)])
    first = first if which == ALL else max(first, since)
    series = series_around(app, symbol, first, as_of, as_of).last(MOST)
    trade_rows = [each for each in trades if each.closed_at is None or each.closed_at >= series.start_of(0)]
    of = candle_chart(app, series, trade_rows, as_of)
    # Years of passes take long to read, and would be unreadable in a chart.
    start = max(of.series.start_of(0), since)
    cycles = cycles_of(app, PassSpan(since_s=int((as_of - start).total_seconds())), symbol=symbol)
    scored = sorted((point for cycle in cycles for point in _score_points(cycle, symbol)), key=lambda trade: trade.at)
    return SymbolChart(of, [point for point in scored if point.at >= start])


def _score_points(cycle: CycleRecord, symbol: str) -> Iterator[ScoredPoint]:
    for record in cycle.candidates:
        of = record.candidate
        if of.symbol == symbol and of.score is not None:
            values = {each.name: float(each.value) for each in of.components if each.value is not None}
            yield ScoredPoint(cycle.at, of.strategy, {"score": float(of.score), **values})


def path_of(symbol: str, which: str) -> str:
    """Return the URL path from which a symbol's chart gets its data."""
    return f"/api/chart/candles/{which}/{quote(symbol, safe='')}"


def candles(app: App, which: str, symbol: str) -> dict[str, Any]:
    """Return a symbol's candles, the bot's trades, and its scores; raise OperatorError if there are no bars."""
    return drawing(load_symbol(app, symbol, ALL if which == ALL else RECENT))


def drawing(what: SymbolChart) -> dict[str, Any]:
    """Return the chart data of a symbol."""
    of, scored = what
    symbol = of.series.symbol
    return {
        "candles": _ascending(_candles(of.series)),
        "marks": [_mark(of, fill) for fill in on_candles(of)],
        "lines": [line._asdict() for plan in of.plans for line in _levels(of, plan)],
        "scores": [line._asdict() for line in _scores(of, scored)],
        "decimals": max(_decimals(price, symbol) for price in (*of.series.close, *of.series.open)),
        "zone": zone(),
        "has_times": of.series.timeframe != DAY,
        "unit": "USD",
    }


def _at(series: Series, index: int) -> float:
    # A daily bar starts at midnight UTC, whatever its venue's time zone: it is a date.
    return float(series.starts[index]) if series.timeframe == DAY else local(series.start_of(index))


def on_candles(of: CandleChart) -> list[Fill]:
    """Return the fills since the first candle, oldest first."""
    return sorted((fill for fill in of.fills if fill.at >= of.series.start_of(0)), key=lambda fill: fill.at)


def prices(series: Series, index: int) -> dict[str, str]:
    """Return the prices of a candle as formatted text."""
    return {
        name: usd(Decimal(str(getattr(series, name)[index])), series.symbol)
        for name in ("open", "high", "low", "close")
    }


def _decimals(price: float, symbol: str) -> int:
    return len(usd(Decimal(str(price)), symbol).partition(".")[2])


def _candles(series: Series) -> Iterator[dict[str, Any]]:
    for index in range(len(series)):
        texts = prices(series, index)
        description = " ".join([label(series, index), *(f"{name} {text}" for name, text in texts.items())])
        yield {
            "time": _at(series, index),
            **{name: getattr(series, name)[index] for name in texts},
            "text": description,
        }


def _mark(of: CandleChart, fill: Fill) -> dict[str, Any]:
    return {"time": _at(of.series, of.candle_index(fill.at)), "bought": fill.side is Side.BUY, "text": fill_text(fill)}


def fill_text(fill: Fill) -> str:
    """Describe a fill: bought 46 shares at 107.52."""
    did = "bought" if fill.side is Side.BUY else "sold"
    return f"{did} {fill.quantity:,f} {units(fill.quantity)} at {usd(fill.price, fill.symbol)}"


def _levels(of: CandleChart, plan: PlannedLevels) -> Iterator[ChartSeries]:
    """Yield a trade's planned exits from its opening to its close, with its stop as it moved."""
    opened, end = of.candle_index(plan.trade.opened_at), of.candle_index(plan.trade.closed_at or of.end)
    # A trade within one candle is drawn up to the next one.
    end = max(end, min(opened + 1, len(of.series) - 1))
    for price, color, style, word in lines_of(plan):
        yield _line(of, word.partition(",")[0], COLORS[color], STYLES[style], [(opened, price), (end, price)])
    if plan.stops:
        stops = [(of.candle_index(at), price) for at, price in plan.stops]
        yield _line(of, "stop", "red", "solid", [*stops, (max(end, stops[-1][0]), stops[-1][1])])


def _line(of: CandleChart, name: str, color: str, style: str, points: list[tuple[int, Decimal]]) -> ChartSeries:
    # Of several at one candle's time, the last one was in force.
    last = {index: float(price) for index, price in points}
    return ChartSeries(
        name, color, style, _ascending({"time": _at(of.series, index), "value": last[index]} for index in sorted(last))
    )


def _scores(of: CandleChart, scored: list[ScoredPoint]) -> Iterator[ChartSeries]:
    """Yield the score and its components, at the candles in which the passes ran."""
    several = len({point.strategy for point in scored}) > 1
    by_scorer: dict[str, dict[float, float]] = {}
    for scored_point in scored:
        for name, value in scored_point.values.items():
            line = f"{name}, {scored_point.strategy}" if several else name
            by_scorer.setdefault(line, {})[_at(of.series, of.candle_index(scored_point.at))] = value
    for name, values in sorted(by_scorer.items(), key=lambda item: item[0].partition(",")[0] not in FIRST):
        kind = name.partition(",")[0]
        color = {"score": "blue", "flow": "magenta"}.get(kind, "soft")
        points = _ascending({"time": at, "value": values[at]} for at in sorted(values))
        yield ChartSeries(clean(name), color, "solid" if kind in FIRST else "dotted", points)


def account(app: App) -> AccountReport:
    """Return the account as in `report`, but without evaluating refusals, which is slow."""
    account_report, _ = read_account(app, "", WHOLE, lambda done, total: None, with_refusals=False)
    return account_report


def equity(app: App) -> dict[str, Any]:
    """Return how the account and its benchmark have grown by session, in percent since the books began."""
    return growth(account(app))


def growth(of: AccountReport) -> dict[str, Any]:
    """Return the chart data of an account."""
    lines = [
        ChartSeries(name, "blue" if column == "index" else "soft",
            "dashed" if column == "benchmark_leveled" else "solid",
             _growth((point.at, getattr(point, column)) for point in of.curve))
        for name, column in columns(of)
    ]  # fmt: skip
    return {
        "lines": [line._asdict() for line in lines if line.points],
        "falls": _growth_points((point.at, point.drawdown) for point in of.curve),
        "zone": zone(),
        "has_times": of.sessions < 2,
        "unit": "%",
    }


def over_time(app: App) -> dict[str, Any]:
    """Return the account's exposure and rolling figures by session, in percent or as plain ratios."""
    return draw_over_time(account(app))


ROLLING = (("volatility", "yellow", 100), ("sharpe", "green", 1), ("beta", "magenta", 1))
"""The figures over the half year before each session, with their colors and the factor of their unit on the chart."""


def draw_over_time(of: AccountReport) -> dict[str, Any]:
    """Return the chart data of exposure and volatility, with the ratios in a chart below; empty without data."""
    times = {point.session: local(point.at) for point in of.curve}
    series = {}
    for name, color, factor in (("exposure", "blue", 100), *ROLLING):
        values = [(times[row.session], getattr(row, name)) for row in of.further.over_time if row.session in times]
        points = _ascending({"time": at, "value": factor * value} for at, value in values if value is not None)
        series[name] = ChartSeries(name.replace("sharpe", "Sharpe ratio"), color, "solid", points)._asdict()
    return {
        "lines": [series[name] for name in ("exposure", "volatility") if series[name]["points"]],
        "scores": [series[name] for name in ("sharpe", "beta") if series[name]["points"]],
        "zone": zone(),
        "has_times": False,
        "unit": "%",
    }


class DayMark(NamedTuple):
    """An event of the day, with a description: an entry, an exit, a halt, or the end of a halt."""

    at: datetime
    kind: str
    text: str


class DayCurve(NamedTuple):
    """The equity in USD as each pass of a session read it, oldest first, and the events between passes."""

    session: date
    points: Sequence[tuple[datetime, Decimal]]
    marks: Sequence[DayMark]


READERS = (Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE)
"""The jobs whose passes read the account."""


def load_day(app: App) -> DayCurve | None:
    """Load the newest session in which a pass read the account; None if there is none."""
    facts = app.existing_facts
    last_reads = [cycle for job in READERS if facts and (cycle := facts.last_read(job))]
    if facts is None or not last_reads:
        return None
    session = max(last_reads, key=lambda cycle: cycle.at).session
    # A session may begin in the evening before its date.
    passes = facts.unpriced_passes(app.day.begins(session) - timedelta(days=1))
    points = [(cycle.at, cycle.equity) for cycle in passes if cycle.session == session and cycle.equity is not None]
    marks = sorted(_day_marks(app, session, points[0][0]), key=lambda mark: mark.at) if points else ()
    return DayCurve(session, downsample(points, MOST), marks) if points else None


def _day_marks(app: App, session: date, first: datetime) -> Iterator[DayMark]:
    ledger = app.ledger_view
    totals, date_of = ledger.totals(), with_stored_sessions(ledger, app.day).date_of
    for position in totals.own_positions():
        if date_of(position.opened_at) == session:
            yield DayMark(position.opened_at, ENTRY, f"entered {clean(position.symbol)}")
    for trip in totals.round_trips:
        if date_of(trip.opened_at) == session:
            yield DayMark(trip.opened_at, ENTRY, f"entered {clean(trip.symbol)}")
        if date_of(trip.closed_at) == session:
            yield DayMark(trip.closed_at, EXIT, f"closed {clean(trip.symbol)}, {trip.profit:z+,.2f} USD")
    for state in ledger.states_since(first, app.day.begins(session + timedelta(days=1))):
        assert state.at is not None, "it was detected when it happened"
        yield DayMark(state.at, *_describe_state(state))


def _describe_state(state: TradingStateRecord) -> tuple[str, str]:
    if state.state == TradingState.ACTIVE:
        return RESUMED, f"resumed by {clean(state.who)}"
    return HALT, f"{state.state} by {clean(state.who)}: {clean(state.why)}"


def day(app: App) -> dict[str, Any]:
    """Return the account's equity at each pass of the latest session; raise OperatorError if there is none."""
    curve = load_day(app)
    if curve is None:
        raise OperatorError("no pass has read the account yet", "tradebot evaluate-exits")
    return draw_day(curve)


def draw_day(curve: DayCurve) -> dict[str, Any]:
    """Return the chart data of a session; each mark is at the last point before it."""
    points = _ascending({"time": local(at), "value": float(equity)} for at, equity in curve.points)
    times = [point["time"] for point in points]
    marks = [
        {"time": times[max(bisect_right(times, local(mark.at)) - 1, 0)], "kind": mark.kind, "text": mark.text}
        for mark in curve.marks
    ]
    return {
        "lines": [ChartSeries("equity", "blue", "solid", points)._asdict()],
        "marks": sorted(marks, key=lambda mark: mark["time"]),
        "decimals": 2,
        "zone": zone(),
        "has_times": True,
        "unit": "USD",
    }


def columns(of: AccountReport) -> list[tuple[str, str]]:
    """Return the growth curves that exist, as pairs of label and field."""
    benchmark, at_exposure = of.benchmark or "", benchmark_name(of)
    names = (("account", "index"), (benchmark, "benchmark"), (at_exposure, "benchmark_leveled"))
    return [
        (clean(name), column)
        for name, column in names
        if name and sum(getattr(point, column) is not None for point in of.curve) > 1
    ]


def percent(index: float) -> str:
    """Return growth in percent, given an index that was 1 at the start: +1.24%."""
    return f"{format_signed(100 * (index - 1), 2)}%"


def _growth(points: Iterable[tuple[datetime, float | None]]) -> list[dict[str, float]]:
    return _growth_points((at, index - 1) for at, index in points if index is not None)


def _growth_points(points: Iterable[tuple[datetime, float]]) -> list[dict[str, float]]:
    return _ascending({"time": local(at), "value": 100 * fraction} for at, fraction in points)


def _ascending(points: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    ascending: list[dict[str, Any]] = []
    for point in points:
        if not ascending or point["time"] > ascending[-1]["time"]:
            ascending.append(point)
    return ascending


ROWS, FEW_ROWS = 300, 60
"""How many of the last candles, passes or sessions a table shows, and how many passes of a day."""
SIGNS = (
    *(("bought", "blue", "▲"), ("sold", "yellow", "▼"), (ENTRY, "blue", "▲"), (EXIT, "yellow", "▼")),
    *((HALT, "red", "■"), (RESUMED, "green", "■")),
)
"""The signs of marks in a chart, with their colors."""
KEYS = "With the keyboard: ← and → read it point by point, + and − zoom, Escape shows all of it."


def chart(
    path: str, draws: Mapping[str, Any], words: str, tables: Sequence[tuple[str, Table]], *, chooses_range: bool = False
) -> Markup:
    """Return a chart's HTML element, its legend, and its accompanying text: a sentence, and tables.

    With `chooses_range`, dragging on the chart fills in the fields `from` and `to` of the page's form, and sends it.
    """
    keys = Markup("").join(_keys(draws))
    figures = Markup("").join(_fold_table(title, table) for title, table in tables if table.rows)
    return Markup(
        '<p class="keys" aria-hidden="true">{}</p><div class="charted" data-chart="{}"{} hx-morph-skip>'
        '<div class="chart" role="img" tabindex="0" aria-label="Chart. {}"></div>'
        '<p class="reading" aria-live="polite"></p></div><p>{}</p>{}'
    ).format(keys, path, Markup(" data-range") if chooses_range else "", KEYS, words, figures)


def _keys(draws: Mapping[str, Any]) -> Iterator[Markup]:
    kinds = {mark.get("kind") or ("bought" if mark["bought"] else "sold") for mark in draws.get("marks", ())}
    for word, color, sign in SIGNS:
        if word in kinds:
            yield Markup('<span><i class="key-{} key-mark">{}</i>{}</span>').format(color, sign, word)
    lines = [*draws["lines"], *draws.get("scores", ())]
    named = {_series_name(line): (line["color"], line["style"]) for line in lines}
    for name, look in named.items():
        yield Markup('<span><i class="key-{} key-{}"></i>{}</span>').format(*look, name)


def _series_name(line: Mapping[str, Any]) -> str:
    return str(line["name"]) if line["color"] != "soft" or line["style"] != "dotted" else "other components"


def _fold_table(title: str, table: Table) -> Markup:
    def show(console: Console) -> None:
        console.print(table)

    return Markup("<details><summary>{}</summary>{}</details>").format(title, render_html(show))


def day_part() -> PagePart:
    """Return the part that shows the equity over the day, with entries, exits and halts."""
    return PagePart("The day", _day)


def _day(app: App) -> Markup:
    curve = load_day(app)
    if curve is None:
        return Markup("<p>No pass has read the account yet, so there is no equity to draw.</p>")
    values = [equity for _, equity in curve.points]
    kinds = [mark.kind for mark in curve.marks]
    counts = ", ".join(pluralize(kinds.count(kind), kind, many) for kind, many in COUNTED if kind in kinds)
    span = f"lowest {min(values):,.2f}, highest {max(values):,.2f} USD"
    words = f"{curve.session}: {span}; {counts or 'no entry or exit'}."
    happened = Table(f"at {zone()}", sentence("what"))
    for mark in curve.marks:
        happened.row(stamp(mark.at, DAY_SECOND), escape(mark.text))
    table = Table(f"at {zone()}", number("equity USD"))
    for at, equity in downsample(curve.points, FEW_ROWS):
        table.row(stamp(at, DAY_SECOND), f"{equity:,.2f}")
    tables = [("Entries, exits and halts", happened), ("Equity through the day", table)]
    return chart("/api/chart/day", draw_day(curve), words, tables)


def range_part() -> PagePart:
    """Return the part that shows how the account and its benchmark grew; dragging on it selects a range."""
    title = "Growth of the whole account: drag over it to choose a range"
    return PagePart(title, lambda app: _equity(app, chooses_range=True), wide=True)


def weeks_part() -> PagePart:
    """Return the growth part for two or more sessions; empty for a single session, because its day is drawn anyway."""
    return PagePart("Growth, compared with the benchmark", lambda app: _equity(app, least=2))


def _equity(app: App, least: int = 0, *, chooses_range: bool = False) -> Markup:
    of = account(app)
    if of.sessions < least:
        return Markup("")
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
    tables = [("Growth by session", table)]
    return chart("/api/chart/equity", growth(of), words, tables, chooses_range=chooses_range)


def over_time_part() -> PagePart:
    """Return the part with exposure and rolling figures by session; empty if none is known yet."""
    return PagePart("Exposure, and figures of the half year before each session", _over_time, wide=True)


def _over_time(app: App) -> Markup:
    draws = draw_over_time(account(app))
    lines = [*draws["lines"], *draws["scores"]]
    if not draws["lines"]:
        return Markup("")
    table = Table("session", *(number(f"{line['name']}{' %' if line in draws['lines'] else ''}") for line in lines))
    by_time = [{point["time"]: point["value"] for point in line["points"]} for line in lines]
    for at in sorted({time for values in by_time for time in values})[-ROWS:]:
        cells = [f"{values[at]:,.2f}" if at in values else "" for values in by_time]
        table.row(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}", *cells)
    last = ", ".join(f"{line['name']} {line['points'][-1]['value']:,.2f}" for line in lines)
    unit = "exposure and volatility in percent"
    return chart("/api/chart/over-time", draws, f"Last values, with {unit}: {last}.", [("By session", table)])


def _grown(point: CurvePoint, column: str) -> str:
    index = getattr(point, column)
    return "" if index is None else percent(index)


def candles_part(symbol: str, which: str) -> PagePart:
    """Return the part with a symbol's candles and its trades of the last days, or all its trades."""
    which = ALL if which == ALL else RECENT
    return PagePart("Prices, fills, stops and scores", lambda app: _candle_chart(app, symbol, which), wide=True)


def _candle_chart(app: App, symbol: str, which: str) -> Markup:
    of, scored = what = load_symbol(app, symbol, which)
    series = of.series
    width = "a day" if series.timeframe == DAY else "5 minutes"
    days = "" if series.timeframe == DAY else f" {zone()}"
    caption = (
        f"{pluralize(len(series), 'candle')} of {width}, {_when(of, 0)} to {_when(of, len(series) - 1)}{days}",
        f"{pluralize(len(on_candles(of)), 'fill')} in {pluralize(len(of.trades), 'trade')}"
        if of.trades else "no trade",
        f"{pluralize(len(scored), 'score')}, the last {format_signed(scored[-1].values['score'], 3)} at "
        f"{stamp(scored[-1].at, DAY_MINUTE)}" if scored else "no pass scored it",
    )  # fmt: skip
    tables = (
        ("Fills", _fills(of)),
        ("Stops and targets of trades", _level_table(of)),
        ("Scores", _score_table(scored)),
        (f"Candles{f', the last {ROWS}' if len(series) > ROWS else ''}", _prices(of)),
    )
    return chart(path_of(symbol, which), drawing(what), "; ".join(caption) + ".", tables)


def _when(of: CandleChart, index: int) -> str:
    return label(of.series, index) if of.series.timeframe == DAY else stamp(of.series.start_of(index), MINUTE)


def _fills(of: CandleChart) -> Table:
    table = Table(f"at {zone()}", "side", number("quantity"), number("price"))
    for fill in on_candles(of):
        side = "bought" if fill.side is Side.BUY else "sold"
        price = usd(fill.price, fill.symbol)
        table.row(stamp(fill.at, DAY_SECOND), side, f"{fill.quantity:,f}", price)
    return table


def _level_table(of: CandleChart) -> Table:
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


def _score_table(scored: Sequence[ScoredPoint]) -> Table:
    names = list(dict.fromkeys(name for point in scored for name in point.values))
    table = Table(f"at {zone()}", "strategy", *(number(clean(name)) for name in names))
    for scored_point in reversed(scored[-ROWS:]):
        cells = [format_signed(scored_point.values[name], 3) if name in scored_point.values else "" for name in names]
        table.row(stamp(scored_point.at, DAY_SECOND), clean(scored_point.strategy), *cells)
    return table


def _prices(of: CandleChart) -> Table:
    table = Table("from", *(number(name) for name in ("open", "high", "low", "close")))
    for index in reversed(range(max(len(of.series) - ROWS, 0), len(of.series))):
        table.row(label(of.series, index), *prices(of.series, index).values())
    return table
