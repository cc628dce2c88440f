"""Show watchlists: named lists of symbols in their owner's order."""

from __future__ import annotations

from typing import Any

from tradebot.exchange.engine.account import Account, Watchlist
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.faces.trading.query import uuid
from tradebot.exchange.faces.trading_json import listed_json, watchlist_json
from tradebot.exchange.faces.web import Call
from tradebot.exchange.refusal import invalid, not_found


def list_watchlists(engine: Engine, account: Account, call: Call) -> list[dict[str, Any]]:
    return [listed_json(account, listed) for listed in account.watchlists.values()]


def one_watchlist(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    return watchlist_json(engine.market, account, by_id(account, call.names["watchlist_id"]))


def named_watchlist(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    return watchlist_json(engine.market, account, by_name(account, call.query.get("name", "")))


def by_id(account: Account, text: str) -> Watchlist:
    """Return a watchlist by its id; raise a 404 Refusal if there is none."""
    watchlist = account.watchlists.get(uuid(text, "watchlist_id"))
    if watchlist is None:
        raise not_found(f"watchlist not found for {text}")
    return watchlist


def by_name(account: Account, name: str) -> Watchlist:
    """Return a watchlist by its name; raise a 404 Refusal if there is none."""
    if not name:
        raise invalid("name is required")
    for listed in account.watchlists.values():
        if listed.name == name:
            return listed
    raise not_found(f"watchlist not found for {name}")
