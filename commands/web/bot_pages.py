"""The pages about the bot itself: its health, positions, schedule, events and settings."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup
from rich.console import Console

from commands import audit, events, orders, schedule
from commands.config import show
from commands.config import show as config
from commands.events import EventsShown
from commands.health import report as health
from commands.orders import OrdersShown
from commands.positions import report as positions
from commands.positions.report import Positions, colored_gain
from commands.schedule import check
from commands.shared.number_format import format_signed, in_units, usd
from commands.shared.span_options import PassSpan
from commands.shared.verb_options import Report, identity
from commands.status.report import sections, status_of
from commands.trades import run as trades
from commands.web import what_if
from commands.web.actions import cancel_form, close_form, closing_links
from commands.web.charting import ALL, RECENT, candles_part, spell_symbol
from commands.web.html_rendering import (
    Page,
    PageField,
    PagePart,
    Query,
    draw_prices,
    draw_table,
    first_row,
    line,
    link_symbol,
    number_in,
)
from commands.why_no_orders import run as why_no_orders
from commands.why_no_orders.reading import JOB, cycles_of, known_symbol
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError
from tradebot.model.event import Severity
from tradebot.model.reasons import REASONS
from tradebot.model.record import CandidateRecord
from tradebot.model.series import DAY
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.model.view import BarNeed
from tradebot.views.holdings import Holding
from tradebot.views.status import Status
from tradebot.views.trades.trade_row import Choice

DUE = 30
"""How many due times the page of the timetable shows."""
LAST_EVENTS, MOST_EVENTS, SEARCHED = 200, 2_000, 100_000
SLOTS = ("passes",)
ROWS = 100
"""How many positions or symbols a page shows at once."""
MOST_PRICES = 60
"""The most prices in a symbol's sparkline."""
ANY = "any"


def _status(app: App, data: Status, names: Sequence[str]) -> Report:
    bot_identity = identity(app)

    def show(console: Console, _: object) -> None:
        parts = sections(data, bot_identity)
        for name in names:
            # The reasons why it opens no positions are shown above already.
            if name != "may" or data.trading_state == TradingState.ACTIVE:
                parts[name](console)

    return Report("status", data, show, bot_identity=bot_identity)


def _audit(app: App) -> Report:
    return audit.run(app, offline=True)


def _positions(query: Query) -> list[PagePart]:
    def some(app: App) -> Report:
        report = positions.run(app)
        first = first_row(query, len(report.data.positions), ROWS)
        return replace(report, render=lambda out, data: positions.show(out, data, slice(first, first + ROWS)))

    def pages(app: App) -> Markup:
        count = len(positions.run(app).data.positions)
        return _more(count, first_row(query, count, ROWS), "/positions")

    return [
        PagePart("Positions", some, wide=True),
        PagePart("More positions", pages, wide=True),
        PagePart("Close or cancel", closing_links, wide=True),
        PagePart("Working orders", lambda app: orders.run(app, every=False, last=ROWS), wide=True),
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
        chosen = [
            each
            for each in data.events
            if severity in (ANY, each.severity.value)
            and text in f"{each.subsystem} {each.event_type} {each.symbol or ''} {each.details}".lower()
        ]
        return replace(report, data=replace(data, events=tuple(chosen[-last:])), render=_newest_first)

    return [PagePart("Events", select, wide=True)]


def _newest_first(console: Console, data: EventsShown) -> None:
    events.show(console, replace(data, events=data.events[::-1]))


def _settings(query: Query) -> list[PagePart]:
    name, search = query.get("name") or None, query.get("search", "")
    return [
        PagePart(
            "Differences from the accepted configuration", lambda app: show.run(str(app.folder.path), None), wide=True
        ),
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
        PagePart("Close or cancel", lambda app: closing_links(app, spell_symbol(app, name)), wide=True),
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
    """Return a part that is empty for a symbol that the bot never evaluated, because the part above it says so."""

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


def _symbols(query: Query) -> list[PagePart]:
    return [PagePart("Universe, and symbols ever traded", lambda app: _symbol_table(app, query), wide=True)]


class SymbolRow(NamedTuple):
    """A symbol in the list: its last price in USD, and the last session's earlier prices, if known.

    `change` is the fraction by which the price has changed since the previous session's close. `held` has the symbol's
    positions, `is_working` says whether it has a working order, and `record` is the last pass's decision about it.
    """

    symbol: str
    price: Decimal | None
    prices: Sequence[Decimal]
    change: Decimal | None
    held: Sequence[Holding]
    is_working: bool
    record: CandidateRecord | None


def _symbol_table(app: App, query: Query) -> Markup:
    """Return the symbols of the universe, and those ever traded, each with its price, score and last decision."""
    holdings = positions.run(app).data.positions
    traded = {trade.symbol for trade in trades.run(app, Choice()).data.trades}
    every = sorted({*app.rules.universe, *traded, *(row.symbol for row in holdings)})
    first = first_row(query, len(every), ROWS)
    rows = load_symbol_rows(app, every[first : first + ROWS], holdings)
    names = ("symbol", "session so far", "price", "change", "score", "state", "last decision")
    cells = [(link_symbol(row.symbol), *_symbol_cells(row)) for row in rows]
    kinds_of = {"price": "n", "change": "n", "score": "n", "last decision": "s"}
    return draw_table(names, cells, kinds_of) + _more(len(every), first, "/symbols")


def load_symbol_rows(app: App, symbols: Sequence[str], holdings: Sequence[Holding]) -> list[SymbolRow]:
    """Return a row for each symbol, from the last session's passes and the closes before it."""
    facts, last = app.existing_facts, cycles_of(app, PassSpan())
    session = last[-1].session if last else None
    prices_by_symbol = facts.candidate_prices(JOB, session, symbols, MOST_PRICES) if facts and session else {}
    records = (
        {record.candidate.symbol: record for record in sorted(last[-1].candidates, key=_shown_last)} if last else {}
    )
    closes = _closes_before(app, session, symbols) if session else {}
    working = {order.symbol for order in app.ledger_view.orders(working=True)}
    rows = []
    for symbol in symbols:
        positions = [row for row in holdings if row.symbol == symbol]
        prices = _with_mark(prices_by_symbol.get(symbol, ()), positions)
        price, close = prices[-1] if prices else None, closes.get(symbol)
        change = price / close - 1 if price is not None and close else None
        rows.append(SymbolRow(symbol, price, prices, change, positions, symbol in working, records.get(symbol)))
    return rows


def _with_mark(timed_prices: Sequence[tuple[datetime, Decimal]], positions: Sequence[Holding]) -> list[Decimal]:
    """Return a symbol's recorded prices, followed by the last recorded price of its position if that is newer."""
    marks = [(row.price_at, row.price) for row in positions if row.price_at is not None and row.price is not None]
    later = [price for at, price in marks[:1] if not timed_prices or at > timed_prices[-1][0]]
    return [*(price for _, price in timed_prices), *later]


def _shown_last(record: CandidateRecord) -> tuple[bool, float]:
    """Return the sort key of strategies' decisions about one symbol: one that no gate refused is last, and is shown."""
    return record.terminal is None, abs(record.candidate.score or 0)


def _closes_before(app: App, session: date, symbols: Sequence[str]) -> Mapping[str, Decimal]:
    """Return each symbol's last close before a session; those with unknown bars are left out."""
    try:
        need = BarNeed(DAY, 1, symbols=tuple(symbols))
        series = app.bars.closed(need, symbols, app.day.begins(session))
    except TradebotError:
        return {}
    return {symbol: Decimal(str(bars.close[-1])) for symbol, bars in series.items() if len(bars)}


def _symbol_cells(row: SymbolRow) -> Iterator[str | Markup]:
    """Yield a symbol's sparkline, price, change, score, positions, and last decision."""
    yield draw_prices(row.prices, {}) if len(row.prices) > 1 else ""
    yield usd(row.price, row.symbol)
    yield "" if row.change is None else line(colored_gain(row.change))
    score = row.record.candidate.score if row.record else None
    yield "" if score is None else format_signed(score, 2)
    position_texts = [f"{'long' if each.quantity > 0 else 'short'} {abs(each.quantity):,f}" for each in row.held]
    yield ", ".join([*position_texts, *(["order working"] if row.is_working and not position_texts else [])])
    if row.record is None:
        yield ""
    elif (end := row.record.terminal) is None:
        yield Markup('<span class="green">sent</span>')
    else:
        meaning = in_units(REASONS[end.reason].meaning) if end.reason else ""
        yield Markup("{} <small>{}</small>").format(end.reason or end.gate.value, meaning)


SYMBOL_PAGES = (
    Page(
        "symbols",
        "/symbols",
        "Symbols",
        _symbols,
        hidden=("from_row",),
    ),
    Page("symbol", "/symbol/{symbol:path}", "Symbol", _symbol, (CANDLES,), ("session", "at"), is_listed=False),
)


def _close(query: Query) -> list[PagePart]:
    name = query.get("symbol")
    return [
        PagePart(
            "To confirm", lambda app: close_form(app, None if name is None else spell_symbol(app, name)), wide=True
        ),
        PagePart("Positions", lambda app: positions.run(app) if name is None else _position(app, name), wide=True),
    ]


def _cancel(query: Query) -> list[PagePart]:
    name = query.get("order", "")
    return [
        PagePart("To confirm", lambda app: cancel_form(app, name), wide=True),
        PagePart("Working orders", lambda app: orders.run(app, every=False, last=ROWS), wide=True),
    ]


SENDING_PAGES = (
    Page("close", "/close", "Close", _close, hidden=("symbol",), is_listed=False, is_live=False),
    Page("cancel", "/cancel", "Cancel an order", _cancel, hidden=("order",), is_listed=False, is_live=False),
)
"""The pages of the forms that send orders; what a person types there isn't lost to newer figures."""
