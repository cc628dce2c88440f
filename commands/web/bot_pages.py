"""The pages about the bot itself: its health, positions, schedule, events and settings."""

from collections.abc import Sequence
from decimal import Decimal

from markupsafe import Markup
from rich.console import Console

from commands import audit, events, orders, schedule
from commands.config import show
from commands.config import show as config
from commands.events import EventsShown
from commands.health import report as health
from commands.orders import OrdersShown
from commands.positions import report as positions
from commands.positions.report import Positions
from commands.schedule import check
from commands.shared.span_options import PassSpan
from commands.shared.verb_options import Report, identity
from commands.status.report import sections, status_of
from commands.trades import run as trades
from commands.web import what_if
from commands.web.charting import ALL, RECENT, candles_part, spell_symbol
from commands.web.html_rendering import Page, PageField, PagePart, Query, first_row, number_in, symbol_links
from commands.why_no_orders import run as why_no_orders
from commands.why_no_orders.reading import known_symbol
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.model.event import Severity
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.views.status import Status
from tradebot.views.trades.trade_row import Choice

DUE = 30
"""How many moments of the timetable its page shows."""
LAST_EVENTS, MOST_EVENTS, SEARCHED = 200, 2_000, 100_000
SLOTS = ("passes",)
ROWS = 100
"""How many positions a page shows at once."""
ANY = "any"


def _status(app: App, data: Status, names: Sequence[str]) -> Report:
    whose = identity(app)

    def show(console: Console, _: object) -> None:
        parts = sections(data, whose)
        for name in names:
            # What keeps it from opening positions stands above already.
            if name != "may" or data.trading_state == TradingState.ACTIVE:
                parts[name](console)

    return Report("status", data, show, whose=whose)


def _audit(app: App) -> Report:
    return audit.run(app, offline=True)


def _positions(query: Query) -> list[PagePart]:
    def some(app: App) -> Report:
        report = positions.run(app)
        first = first_row(query, len(report.data.positions), ROWS)
        return replace(report, render=lambda out, data: positions.show(out, data, slice(first, first + ROWS)))

    def links(app: App) -> Markup:
        held = [row.symbol for row in positions.run(app).data.positions]
        first = first_row(query, len(held), ROWS)
        return symbol_links(sorted(set(held[first : first + ROWS]))) + _more(len(held), first, "/positions")

    return [
        PagePart("Positions", some, wide=True),
        PagePart("Working orders", lambda app: orders.run(app, every=False, last=ROWS), wide=True),
        PagePart("Symbols held", links, wide=True),
    ]


def _more(count: int, first: int, path: str) -> Markup:
    if count <= ROWS:
        return Markup("")
    places = range(0, count, ROWS)
    return Markup('<p class="links">Rows: {}</p>').format(
        Markup(" ").join(
            Markup('<a href="{}?from_row={}"{}>{}–{}</a>').format(
                path, at, Markup(' aria-current="true"') if at == first else "", at + 1, min(at + ROWS, count)
            )
            for at in places
        )
    )


def _health(_: Query) -> list[PagePart]:
    return [PagePart("Parts", health.run, wide=True), PagePart("Audit", _audit, wide=True)]


def _schedule(_: Query) -> list[PagePart]:
    return [
        PagePart("The last slots", lambda app: _status(app, status_of(app), SLOTS), wide=True),
        PagePart("What is due", lambda app: schedule.run(app, DUE, app.stamp_time())),
        PagePart("Check of the timetable", lambda app: check.run(app, app.stamp_time())),
    ]


def _events(query: Query) -> list[PagePart]:
    last = min(number_in(query, "last", LAST_EVENTS), MOST_EVENTS)
    severity, text = query.get("severity", ANY), query.get("text", "").lower()

    def select(app: App) -> Report:
        searches = severity != ANY or bool(text)
        report = events.run(app, SEARCHED if searches else last, refusals=query.get("refusals") == "yes")
        data: EventsShown = report.data
        kept = [
            each
            for each in data.events
            if severity in (ANY, each.severity.value)
            and text in f"{each.subsystem} {each.event_type} {each.symbol or ''} {each.details}".lower()
        ]
        return replace(report, data=replace(data, events=tuple(kept[-last:])), render=_newest_first)

    return [PagePart("Events", select, wide=True)]


def _newest_first(console: Console, data: EventsShown) -> None:
    events.show(console, replace(data, events=data.events[::-1]))


def _settings(query: Query) -> list[PagePart]:
    name, search = query.get("name") or None, query.get("search", "")
    return [
        PagePart("What differs from what was accepted", lambda app: show.run(str(app.folder.path), None), wide=True),
        PagePart(
            "In force", lambda app: config.show(str(app.folder.path), None, name, origin=True, search=search), wide=True
        ),
    ]


SEVERITIES = (ANY, *(each.value for each in Severity))
PAGES = (
    Page("positions", "/positions", "Positions", _positions, hidden=("from_row",)),
    Page("schedule", "/schedule", "Schedule", _schedule),
    Page("health", "/health", "Health", _health),
    Page(
        "events",
        "/events",
        "Events",
        _events,
        (
            PageField("severity", "Severity", SEVERITIES),
            PageField("text", "Containing"),
            PageField("last", "Last", "number"),
            PageField("refusals", "Refusals of gates", ("no", "yes")),
        ),
    ),
    Page("settings", "/settings", "Settings", _settings, (PageField("search", "Search", "search"),), hidden=("name",)),
)

MOST_ORDERS = 1_000
CANDLES = PageField("candles", "Trades on the candles", (RECENT, ALL))


def _symbol(query: Query) -> list[PagePart]:
    name = query.get("symbol", "")
    return [
        candles_part(name, query.get("candles", RECENT)),
        PagePart("Position", lambda app: _position(app, name), wide=True),
        PagePart(
            "Why the last pass did or didn't trade it", lambda app: why_no_orders.run(app, name, PassSpan()), wide=True
        ),
        _if_known(name, PagePart("The session so far", lambda app: _session(app, name), wide=True)),
        *(_if_known(name, part) for part in what_if.parts(query, name)),
        PagePart("Trades", lambda app: trades.run(app, Choice(symbol=spell_symbol(app, name))), wide=True),
        PagePart("Orders", lambda app: _orders(app, name), wide=True),
    ]


def _session(app: App, symbol: str) -> Report:
    return why_no_orders.run(app, symbol, PassSpan(session=True))


def _if_known(symbol: str, part: PagePart) -> PagePart:
    """Return a part that is empty for a symbol that the bot never looked at: the one before says so already."""

    def make(app: App) -> Report | Markup:
        try:
            known_symbol(app, symbol)
        except OperatorError:
            return Markup("")
        return part.make(app)

    return part._replace(make=make)


def _position(app: App, typed: str) -> Report:
    report, symbol = positions.run(app), spell_symbol(app, typed)
    data: Positions = report.data
    rows = tuple(row for row in data.positions if row.symbol == symbol)
    gain = sum((row.unrealized_usd for row in rows if row.unrealized_usd is not None), Decimal(0))
    own = tuple(trade for trade in data.trades if trade.symbol == symbol)
    return replace(report, data=replace(data, positions=rows, unrealized_usd=gain, trades=own))


def _orders(app: App, typed: str) -> Report:
    report, symbol = orders.run(app, every=True, last=MOST_ORDERS), spell_symbol(app, typed)
    data: OrdersShown = report.data
    return replace(report, data=replace(data, orders=tuple(row for row in data.orders if row.symbol == symbol)))


def _known_symbols(app: App) -> Markup:
    traded = {trade.symbol for trade in trades.run(app, Choice()).data.trades}
    names = sorted({*app.rules.universe, *traded, *(row.symbol for row in positions.run(app).data.positions)})
    return symbol_links(names)


SYMBOL_PAGES = (
    Page(
        "symbols",
        "/symbols",
        "Symbols",
        lambda query: [PagePart("Universe, and what was ever traded", _known_symbols, wide=True)],
    ),
    Page("symbol", "/symbol/{symbol:path}", "Symbol", _symbol, (CANDLES,), ("session", "at"), is_listed=False),
)
