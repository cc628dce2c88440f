"""Show the assets of the market, announcements of their corporate actions, and watchlists."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from papervenue.engine.account import Account, Watchlist
from papervenue.engine.engine import Engine
from papervenue.faces.trading.query import day, only_us_equities, params, uuid
from papervenue.faces.trading_json import asset_id, asset_json, listed_json, watchlist_json
from papervenue.faces.web import Call
from papervenue.jsontext import plain
from papervenue.market.actions import (
    CASH_MERGER,
    DIVIDEND,
    FORWARD_SPLIT,
    NAME_CHANGE,
    REVERSE_SPLIT,
    Action,
    cusip_of,
)
from papervenue.params import Params
from papervenue.refusal import invalid, not_found
from papervenue.times import new_york_date


def list_watchlists(engine: Engine, account: Account, call: Call) -> list[dict[str, Any]]:
    return [listed_json(account, listed) for listed in account.watchlists.values()]


def one_watchlist(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    return watchlist_json(engine.market, account, watchlist_of(account, call.names, call.query))


def watchlist_of(account: Account, names: Mapping[str, str], query: Mapping[str, str]) -> Watchlist:
    """Return the watchlist that a path or a query names; raise a 404 Refusal if there is none."""
    if "watchlist_id" in names:
        text = names["watchlist_id"]
        watchlist = account.watchlists.get(uuid(text, "watchlist_id"))
    else:
        text = query.get("name", "")
        watchlist = next((listed for listed in account.watchlists.values() if listed.name == text), None)
        if not text:
            raise invalid("name is required")
    if watchlist is None:
        raise not_found(f"watchlist not found for {text}")
    return watchlist


_TYPES = {
    DIVIDEND: ("dividend", "cash"),
    FORWARD_SPLIT: ("split", "stock_split"),
    REVERSE_SPLIT: ("split", "reverse_split"),
    CASH_MERGER: ("merger", "merger_completion"),
}
"""Alpaca's type and sub-type by kind; a name change has none and isn't announced in this form."""
_ASKED = frozenset({"dividend", "merger", "spinoff", "split"})
_DATES = ("ex_date", "declaration_date", "record_date", "payable_date")
_LONGEST_DAYS = 90


def list_announcements(engine: Engine, account: Account, call: Call) -> list[dict[str, Any]]:
    """Handle GET /v2/corporate_actions/announcements: the requested types between two dates, inclusive."""
    query = params(call)
    types, (since, until) = _types(query), _span(query)
    by = query.choice("date_type", _DATES)
    symbol, cusip = query.text("symbol"), query.text("cusip")
    rows = [_announcement(action) for action in _announced_actions(engine)]
    return [
        row
        for row in rows
        if row["ca_type"] in types
        and since <= row[by] <= until
        and symbol in ("", row["initiating_symbol"])
        and cusip in ("", row["initiating_original_cusip"])
    ]


def one_announcement(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    for action in _announced_actions(engine):
        if action.id == call.names["id"].lower():
            return _announcement(action)
    raise not_found("announcement not found")


def _announced_actions(engine: Engine) -> list[Action]:
    return [action for action in engine.market.actions.declared_by(engine.now_us) if action.kind != NAME_CHANGE]


def _types(query: Params) -> set[str]:
    types = {word.lower() for word in query.words("ca_types")}
    if not types or not types <= _ASKED:
        raise invalid("ca_types must be a list of dividend, merger, spinoff or split")
    return types


def _span(query: Params) -> tuple[str, str]:
    since, until = day(query, "since"), day(query, "until")
    if since is None or until is None:
        raise invalid("since and until are required")
    if not 0 <= (date.fromisoformat(until) - date.fromisoformat(since)).days <= _LONGEST_DAYS:
        raise invalid(f"since and until must be at most {_LONGEST_DAYS} days apart")
    return since, until


def _announcement(action: Action) -> dict[str, Any]:
    kind, sub_kind = _TYPES[action.kind]
    cusip = cusip_of(action.symbol)
    return {
        "id": action.id,
        "corporate_action_id": f"{cusip}_{action.ex_date}",
        "ca_type": kind,
        "ca_sub_type": sub_kind,
        "initiating_symbol": action.symbol,
        "initiating_original_cusip": cusip,
        "target_symbol": action.symbol,
        "target_original_cusip": cusip,
        "declaration_date": new_york_date(action.declared_us),
        "ex_date": action.ex_date,
        "record_date": action.record_date or action.ex_date,
        "payable_date": action.payable_date or action.ex_date,
        "cash": plain(action.rate),
        "old_rate": plain(action.old_rate),
        "new_rate": plain(action.new_rate),
    }


_ATTRIBUTES = (
    *("ptp_no_exception", "ptp_with_exception", "ipo", "has_options"),
    *("options_late_close", "fractional_eh_enabled", "overnight_tradable", "overnight_halted"),
)


def list_assets(engine: Engine, account: Account, call: Call) -> list[dict[str, Any]]:
    """Handle GET /v2/assets; the rows are sorted by exchange and symbol."""
    query = params(call)
    status, traded = query.choice("status", ("all", "active", "inactive")), only_us_equities(query)
    exchange, attributes = query.text("exchange"), set(query.words("attributes"))
    if not attributes.issubset(_ATTRIBUTES):
        raise invalid("invalid attributes")
    # A symbol that no longer trades is absent here, as in Alpaca's list.
    if status == "inactive" or not traded:
        return []
    rows = [asset_json(engine.market, symbol) for symbol in engine.market.symbols]
    listed = [
        row
        for row in rows
        if (not exchange or row["exchange"] == exchange)
        and (not attributes or not attributes.isdisjoint(row["attributes"]))
    ]
    return sorted(listed, key=lambda row: (row["exchange"], row["symbol"]))


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
