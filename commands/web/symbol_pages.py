"""The pages of symbols: what was seen of one, what the bot did there, and why it did or didn't trade."""

from decimal import Decimal

from markupsafe import Markup

from commands import orders, positions
from commands.orders import OrdersShown
from commands.positions import Positions
from commands.shared.span_options import PassSpan
from commands.shared.verb_options import Report
from commands.trades import run as trades
from commands.web import what_if
from commands.web.chart_parts import candles_part
from commands.web.charting import ALL, RECENT, spell_symbol
from commands.web.pages import Page, PageField, PagePart, Query, symbol_links
from commands.why_no_orders import run as why_no_orders
from commands.why_no_orders.reading import known_symbol
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.model.values import replace
from tradebot.views.trades.trade_row import Choice

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


def _known(app: App) -> Markup:
    traded = {trade.symbol for trade in trades.run(app, Choice()).data.trades}
    names = sorted({*app.rules.universe, *traded, *(row.symbol for row in positions.run(app).data.positions)})
    return symbol_links(names)


PAGES = (
    Page(
        "symbols",
        "/symbols",
        "Symbols",
        lambda query: [PagePart("Universe, and what was ever traded", _known, wide=True)],
    ),
    Page("symbol", "/symbol/{symbol:path}", "Symbol", _symbol, (CANDLES,), ("session", "at"), is_listed=False),
)
