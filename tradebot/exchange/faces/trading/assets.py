"""Show the assets of the market."""

from __future__ import annotations

from typing import Any

from tradebot.exchange.engine.account import Account
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.faces.trading.query import only_us_equities, params
from tradebot.exchange.faces.trading_json import asset_id, asset_json
from tradebot.exchange.faces.web import Call
from tradebot.exchange.refusal import invalid, not_found

_ATTRIBUTES = (
    *("ptp_no_exception", "ptp_with_exception", "ipo", "has_options"),
    *("options_late_close", "fractional_eh_enabled", "overnight_tradable", "overnight_halted"),
)


def list_assets(engine: Engine, account: Account, call: Call) -> list[dict[str, Any]]:
    """Answer GET /v2/assets, by exchange and symbol."""
    query = params(call)
    status, traded = query.choice("status", ("all", "active", "inactive")), only_us_equities(query)
    exchange, attributes = query.text("exchange"), set(query.words("attributes"))
    if not attributes.issubset(_ATTRIBUTES):
        raise invalid("invalid attributes")
    # A symbol that no longer trades is absent here, as it is from Alpaca's list.
    if status == "inactive" or not traded:
        return []
    rows = [asset_json(engine.market, symbol) for symbol in engine.market.symbols]
    kept = [
        row
        for row in rows
        if (not exchange or row["exchange"] == exchange)
        and (not attributes or not attributes.isdisjoint(row["attributes"]))
    ]
    return sorted(kept, key=lambda row: (row["exchange"], row["symbol"]))


def one_asset(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    name = call.names["symbol_or_asset_id"]
    symbol = symbol_of(engine, name)
    if symbol is None:
        raise not_found(f"asset not found for {name}")
    return asset_json(engine.market, symbol)


def symbol_of(engine: Engine, name: str) -> str | None:
    """Return the symbol for a symbol or asset id, or None."""
    if name in engine.market.known:
        return name
    return next((symbol for symbol in engine.market.symbols if asset_id(symbol) == name), None)
