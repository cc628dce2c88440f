"""Answer what margin an order would need, which is asked by an order that isn't to be placed (`whatIf`)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from papervenue.engine.engine import Engine
from papervenue.faces.tws.account_requests import CENT
from papervenue.faces.tws.contracts import Fields
from papervenue.faces.tws.order_messages import UNSET
from papervenue.faces.tws.orders import SIDES
from papervenue.faces.tws.place_order import Placed
from papervenue.margined.accounts import initial_margin, maintenance_margin, standing

_WHENS = ("Before", "Change", "After")
_UNKNOWN: Fields = {
    **{f"{name}{when}": UNSET for name in ("initMargin", "maintMargin", "equity") for when in _WHENS},
    **dict.fromkeys(("commission", "minCommission", "maxCommission"), UNSET),
}
_CLOSED = "Warning: your order will not be placed at the exchange until it opens"


def impacts(engine: Engine, order: Placed) -> Iterator[Fields]:
    """Yield what an order would change; while its market is closed, a warning without figures comes first.

    Of a contract that has never had a price, nothing is known.
    """
    warned = {} if engine.market.calendars[order["symbol"]].is_open(engine.now_us) else {"warningText": _CLOSED}
    if warned:
        yield {**_UNKNOWN, **warned}
    is_priced = engine.last_price(order["symbol"]) is not None
    yield {**_UNKNOWN, **warned, **(_change(engine, order) if is_priced else {})}


def _change(engine: Engine, order: Placed) -> Fields:
    """Return margins and equity before and after an order that fills at the mark, and what it costs."""
    account, symbol = engine.main, order["symbol"]
    now, more = standing(engine, account), Decimal(order["qty"]) * SIDES[order["action"]]
    held = account.qty(symbol)
    fee = (engine.market.grids[symbol].instrument.contract_fee or Decimal(0)) * abs(more)
    figures = {
        "initMargin": (
            now.ordered,
            initial_margin(engine, account, symbol, filled=more) - initial_margin(engine, account, symbol),
        ),
        "maintMargin": (
            now.maintenance,
            maintenance_margin(engine, symbol, held + more) - maintenance_margin(engine, symbol, held),
        ),
        "equity": (now.equity, -fee),
    }
    told: Fields = {"commission": fee, "commissionCurrency": "USD"}
    for name, (before, change) in figures.items():
        amounts = before, change, before + change
        told |= {f"{name}{when}": amount.quantize(CENT) for when, amount in zip(_WHENS, amounts, strict=True)}
    return told
