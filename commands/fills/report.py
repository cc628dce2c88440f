"""`tradebot fills`: show executions, and the entries that plans and adoptions made. Doesn't contact the broker."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.markup import escape

from commands.shared.bot_records import age_reference_time, last_passes
from commands.shared.light_helpers import clean
from commands.shared.number_format import slippage_sentences, units, usd
from commands.shared.tables import Table, last_folded_column, number
from commands.shared.times import stamp, zone
from commands.shared.universe import symbol_named
from commands.shared.verb_options import Report
from tradebot.model.instrument import CURRENCY
from tradebot.model.order import Fee, Fill, fee_id
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.sentences import pluralize
from tradebot.model.venue import Settlement
from tradebot.timetable.sessions import session_of
from tradebot.views.holdings import FOREIGN_OWNER
from tradebot.views.slippage import FillSlippage, FillWithOrder, TotalSlippage, by_fill, slippage_of, totals

if TYPE_CHECKING:
    from rich.console import Console

    from commands.shared.span_options import PassSpan
    from tradebot.app.wiring import App


SHOWN = 1_000
"""How many fills a screen shows; the JSON document has them all."""


class FillRow(Struct, frozen=True, omit_defaults=True):
    """One execution in shares and USD; `cash_usd` is the cash received or paid, `source` is its origin.

    `slippage` is None if no order of the bot made the fill. `fee` is the venue's fee, with a null amount while it is
    unknown. It is None at a venue that books its fees separately from fills.
    """

    at: datetime
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    cash_usd: Decimal
    strategy: str
    source: str
    id: str
    slippage: "FillSlippage | None"
    multiplier: Decimal = Decimal(1)
    fee: "Fee | None" = None


class Fills(Struct, frozen=True, omit_defaults=True):
    """Fills, oldest first, and the amount traded at the broker in USD; `known` counts all fills in the books.

    `slippage` is the total over all these fills, against each midpoint. `unknown_fees` counts the fills with a fee that
    isn't known yet. In a `margined` account, `cash_usd` is a fill's value, because no cash moves.
    """

    fills: tuple[FillRow, ...]
    bought_usd: Decimal
    sold_usd: Decimal
    known: int
    slippage: "tuple[TotalSlippage, ...]"
    unknown_fees: int = 0
    margined: bool = False


def run(app: "App", span: "PassSpan | None", symbol: str | None = None, *, midpoints: bool = False) -> Report:
    """Read the fills of a period, or all fills if it is None."""
    symbol = symbol_named(app.driver, symbol) if symbol else None
    every = app.ledger_view.fills()
    chosen = [owned for owned in _within(app, every, span) if symbol in (None, owned.fill.symbol)]
    fills_with_orders = _fills_with_orders(app, every)
    fees = _fees(app, [owned.fill for owned in chosen])
    rows = tuple(
        _row(owned, fills_with_orders.get(owned.fill.activity_id), fees.get(owned.fill.activity_id)) for owned in chosen
    )
    traded = [row.cash_usd for row in rows if row.source == Origin.VENUE]
    data = Fills(
        fills=rows,
        bought_usd=-sum((usd for usd in traded if usd < 0), Decimal(0)),
        sold_usd=sum((usd for usd in traded if usd > 0), Decimal(0)),
        known=len(every),
        slippage=totals(
            [
                fills_with_orders[owned.fill.activity_id]
                for owned in chosen
                if owned.fill.activity_id in fills_with_orders
            ]
        ),
        unknown_fees=sum(fee.amount is None for fee in fees.values()),
        margined=app.settings.capabilities.settlement is Settlement.MARGINED,
    )
    return Report("fills", data, partial(_render, midpoints=midpoints))


def _fills_with_orders(app: "App", fills: "Sequence[OwnedFill]") -> "Mapping[str, FillWithOrder]":
    ledger = app.ledger_view
    orders = ledger.orders() if fills else ()
    return by_fill(fills, orders, ledger.recorded_intents({order.client_order_id for order in orders}))


def _fees(app: "App", fills: "Sequence[Fill]") -> "Mapping[str, Fee]":
    """Return fills' fees by fill id: charged with the fill, or booked since."""
    fees = {fill.activity_id: fill.fee for fill in fills if fill.fee}
    unknown = {fee_id(name): name for name, fee in fees.items() if fee.amount is None}
    booked = app.ledger_view.booked(unknown) if unknown else {}
    return {**fees, **{unknown[name]: Fee(-entry.amount) for name, entry in booked.items()}}


def _within(app: "App", fills: "Sequence[OwnedFill]", span: "PassSpan | None") -> "Iterable[OwnedFill]":
    """Keep the fills of a span that ends at the last recorded trading time, or of the session of the last fill."""
    if span is None or not fills:
        return fills
    if span.session or span.since_s is None:
        return [owned for owned in fills if owned.fill.at >= _session_open(app, fills[-1].fill.at)]
    now = age_reference_time(app, (*(cycle.at for cycle in last_passes(app.existing_facts)), fills[-1].fill.at))
    since = (now or fills[-1].fill.at) - timedelta(seconds=span.since_s)
    return [owned for owned in fills if owned.fill.at >= since]


def _session_open(app: "App", at: datetime) -> datetime:
    session = session_of(app.ledger_view, at, app.day)
    return session.open if session else app.day.begins(app.day.date_of(at))


def _row(owned: "OwnedFill", filled_order: "FillWithOrder | None", fee: "Fee | None") -> FillRow:
    fill = owned.fill
    return FillRow(
        at=fill.at,
        symbol=clean(fill.symbol),
        side=fill.side.value,
        quantity=fill.quantity,
        price=fill.price,
        cash_usd=-fill.notional,
        strategy=owned.strategy or FOREIGN_OWNER,
        source=owned.origin.value.replace("_", " "),
        id=clean(fill.activity_id),
        slippage=slippage_of(filled_order) if filled_order else None,
        multiplier=fill.multiplier,
        fee=fee,
    )


def _render(console: "Console", data: Fills, *, midpoints: bool) -> None:
    console.print(f"{len(data.fills):,} of {pluralize(data.known, 'fill')}; the broker was not queried")
    if len(data.fills) > SHOWN:
        console.print(f"Showing the last {SHOWN:,}; --since, a symbol or --json shows others")
    money = "worth USD" if data.margined else "cash USD"
    columns = (*map(last_folded_column, ("symbol", "side")), *map(number, (units(), "price", money, "fee", "slippage")))
    table = Table(f"time {zone()}", *columns, "strategy", "source")
    for row in data.fills[-SHOWN:]:
        numbers = (f"{row.quantity:,f}", usd(row.price, row.symbol), f"{row.cash_usd:+,.2f}", _fee(row.fee), _bps(row))
        table.row(stamp(row.at), escape(row.symbol), row.side, *numbers, escape(row.strategy), row.source)
    if data.fills:
        console.print(table)
        console.print(f"Traded at the broker: bought for {data.bought_usd:,.2f} USD, sold for {data.sold_usd:,.2f} USD")
        for line in slippage_sentences(data.slippage, every=midpoints):
            console.print(line, highlight=False)
    if data.unknown_fees:
        console.print(f"Not known yet: the fees of {pluralize(data.unknown_fees, 'fill')}")


def _fee(fee: "Fee | None") -> str:
    """Return the unsigned fee as text, with its currency unless that is the books' currency."""
    if fee is None:
        return ""
    if fee.amount is None:
        return "not known yet"
    return f"{fee.amount:,.2f}" if fee.currency == CURRENCY else f"{fee.amount:f} {clean(fee.currency)}"


def _bps(row: FillRow) -> str:
    decision = row.slippage.decision if row.slippage else None
    return "" if decision is None else f"{decision.bps:+.1f} bps"
