"""Serve the web page at / and the JSON document behind it: small, bounded, and complete in one request.

The page loads nothing from elsewhere. Money, prices and quantities are exact decimals as text, and so are fractions;
times are in the zone of the market's calendar.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from heapq import nlargest
from importlib.resources import files
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any

from tradebot.exchange.engine.account import Account, Position
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.orders import Order
from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.guard import PAGE_DATA
from tradebot.exchange.faces.web import Reply, Route, ok, route
from tradebot.exchange.jsontext import plain
from tradebot.exchange.market.hours import XNYS
from tradebot.exchange.market.instruments import Grid
from tradebot.exchange.market.sessions import Session
from tradebot.exchange.page.recent import Recent, Refused, about, duration, shortened
from tradebot.exchange.times import MINUTE, parse_time

_POINTS = 78


def book_row(engine: Engine, symbol: str) -> dict[str, Any]:
    """Return a symbol's prices; the line is (part of the session, USD), `base` the previous session's close."""
    grid = engine.market.grids[symbol]
    usd, price = grid.usd, engine.market.price(symbol, engine.now_us)
    before = engine.market.previous_close(symbol, engine.now_us)
    return {
        "symbol": symbol,
        "bid": None if price is None else plain(usd(engine.model.bid(price, symbol))),
        "ask": None if price is None else plain(usd(engine.model.ask(price, symbol))),
        "last": None if price is None else plain(usd(price)),
        "change": None if price is None or before is None else plain((usd(price) / usd(before) - 1).quantize(_RATIO)),
        "base": None if before is None else before / grid.units,
        "line": _line(engine, symbol),
    }


def _line(engine: Engine, symbol: str) -> list[tuple[float, float]]:
    """Return about as many points as a line of that size can show, always including the newest."""
    calendar, now, units = engine.market.calendars[symbol], engine.now_us, engine.market.grids[symbol].units
    index = calendar.begun(now)
    if index is None:
        return []
    session, day = calendar.market[index], engine.market.day(symbol, index)
    length_us = session.close_us - session.open_us
    bars = day.bars[: day.complete(now)]
    step = max(1, length_us // MINUTE // _POINTS)
    kept = bars[(len(bars) - 1) % step :: step]
    return [(round((bar.end_us - session.open_us) / length_us, 4), bar.close / units) for bar in kept]


MOST_ACCOUNTS = 20
MOST_POSITIONS = 40
MOST_ORDERS = 100
MOST_SYMBOLS = 12
MOST_FAULTS = 30
_FEWEST_SYMBOLS = 4
_RATIO = Decimal("1e-6")
_CENT = Decimal("0.01")


def document(exchange: Exchange, recent: Recent) -> dict[str, Any]:
    recent.follow()
    engine = exchange.engine
    accounts = list(engine.accounts.values())
    symbols, note = _symbols(engine, accounts)
    return {
        "clock": _clock(exchange),
        "market": {"about": _about_market(exchange)},
        "accounts": [_account(engine, account) for account in accounts[:MOST_ACCOUNTS]],
        "more_accounts": max(0, len(accounts) - MOST_ACCOUNTS),
        "open_orders": _open_orders(engine, accounts),
        "open_total": sum(len(account.open) for account in accounts),
        "ended_orders": _ended_orders(engine, accounts, recent),
        "ended_total": sum(len(account.orders) - len(account.open) for account in accounts),
        "book": [book_row(engine, symbol) for symbol in symbols],
        "book_note": note,
        "faults": _faults(exchange),
        "faults_total": len(exchange.faults.book),
        "log": _log(exchange, recent),
        "log_total": exchange.log.count,
    }


def _clock(exchange: Exchange) -> dict[str, Any]:
    calendar, now = exchange.market.calendar, exchange.engine.now_us
    session = calendar.trading(now)
    phase = _phase(exchange)
    local, opens, closes = (calendar.local(us) for us in (now, session.open_us, session.close_us))
    opening = f"{opens:%H:%M}" if opens.date() == local.date() else f"{opens:%a} {opens.day} {opens:%b} {opens:%H:%M}"
    passed_us = now - session.open_us if phase == "open" else 0
    return {
        "time": f"{local:%H:%M:%S}",
        "date": f"{local:%a} {local.day} {local:%b %Y}",
        "phase": phase,
        "pace": exchange.clock.pace.name,
        "opens": "" if phase == "finished" else opening,
        "closes": "" if phase == "finished" else f"{closes:%H:%M}",
        "until": _until(phase, now, session),
        "done": round(passed_us / (session.close_us - session.open_us), 4),
        **({} if calendar.hours is XNYS else {"zone": calendar.hours.zone.key}),
    }


def _phase(exchange: Exchange) -> str:
    calendar, now = exchange.market.calendar, exchange.engine.now_us
    if now >= calendar.last_close_us:
        return "finished"
    if calendar.is_open(now):
        return "open"
    if not calendar.is_extended(now):
        return "closed"
    return "pre" if now >= calendar.trading(now).pre_us else "post"


def _until(phase: str, now: int, session: Session) -> str:
    if phase == "finished":
        return "the last session is over"
    if phase == "open":
        return f"closes in {_rounded(session.close_us - now)}"
    return f"opens in {_rounded(session.open_us - now)}"


def _rounded(us: int) -> str:
    """Format a duration in whole minutes, rounded up: one second before the open counts as a minute."""
    return duration(-(-us // MINUTE) * MINUTE)


def _about_market(exchange: Exchange) -> str:
    spec, count = exchange.stored.spec, len(exchange.market.symbols)
    source = f"generated, seed {spec.seed}" if spec.source == "generated" else "recorded bars"
    return f"{source} \N{MIDDLE DOT} {count} symbols \N{MIDDLE DOT} fills: {spec.fill.model}"


def _account(engine: Engine, account: Account) -> dict[str, Any]:
    now = engine.worth(account)
    before = account.closing.equity
    day = now.equity - before
    held = sorted(account.positions.values(), key=attrgetter("symbol"))
    return {
        "name": account.name,
        "number": account.number,
        "equity": plain(now.equity.quantize(_CENT)),
        "day": plain(day.quantize(_CENT)),
        "day_share": _share(day, before),
        "cash": plain(now.cash.quantize(_CENT)),
        "buying_power": plain(now.power.quantize(_CENT)),
        "open_orders": len(account.open),
        "positions": [_position(engine, position) for position in held[:MOST_POSITIONS]],
        "more_positions": max(0, len(held) - MOST_POSITIONS),
    }


def _position(engine: Engine, held: Position) -> dict[str, Any]:
    grid = engine.market.grids[held.symbol]
    last, qty = grid.usd(engine.price(held.symbol)), held.qty * grid.multiplier
    gain = (last - held.average) * qty
    return {
        "symbol": held.symbol,
        "qty": plain(held.qty),
        "average": plain(held.average),
        "last": plain(last),
        "value": plain((last * qty).quantize(_CENT)),
        "gain": plain(gain.quantize(_CENT)),
        "gain_share": _share(gain, abs(held.average * qty)),
    }


def _share(part: Decimal, whole: Decimal) -> str:
    return plain((part / whole).quantize(_RATIO)) if whole else "0"


def _open_orders(engine: Engine, accounts: list[Account]) -> list[dict[str, Any]]:
    orders = (order for account in accounts for order in account.open.values())
    names = _names(accounts)
    newest = nlargest(MOST_ORDERS, orders, key=attrgetter("sequence"))
    return [_order(engine, order, names[order.account]) for order in newest]


def _ended_orders(engine: Engine, accounts: list[Account], recent: Recent) -> list[dict[str, Any]]:
    """Return the newest orders that ended or were refused, by when they were sent."""
    names = _names(accounts)
    ended = ((order for order in account.orders.newest() if not order.is_open) for account in accounts)
    newest = (order for of_one in ended for order in islice(of_one, MOST_ORDERS))
    orders = nlargest(MOST_ORDERS, newest, key=attrgetter("sequence"))
    rows = [(order.submitted_us, _order(engine, order, names[order.account])) for order in orders]
    refused = (one for one in reversed(recent.refused) if one.account in names)
    rows += [(one.at_us, _refused(engine, one, names[one.account])) for one in refused]
    return [row for _, row in nlargest(MOST_ORDERS, rows, key=itemgetter(0))]


def _names(accounts: list[Account]) -> dict[str, str]:
    return {account.number: account.name for account in accounts}


def _refused(engine: Engine, refused: Refused, account: str) -> dict[str, Any]:
    body = {name: str(value) for name, value in refused.body.items() if isinstance(value, str | Decimal)}
    return {
        "at": _moment(engine, refused.at_us),
        "account": account,
        **{name: body.get(name, "") for name in ("side", "symbol", "type", "time_in_force")},
        **{name: body.get(name) for name in ("qty", "notional")},
        "class": body.get("order_class", "simple"),
        "leg": False,
        "limit": body.get("limit_price"),
        "stop": body.get("stop_price"),
        "trail": body.get("trail_price"),
        "filled": "0",
        "average": "0",
        "status": "refused",
        "reason": shortened(refused.reason),
    }


def _order(engine: Engine, order: Order, account: str) -> dict[str, Any]:
    request, grid = order.request, engine.market.grids[order.symbol]
    return {
        "id": order.id,
        "at": _moment(engine, order.submitted_us),
        "account": account,
        "side": "buy" if request.side > 0 else "sell",
        "symbol": order.symbol,
        "qty": _text(order.qty),
        "notional": _text(request.notional),
        "type": request.type,
        "class": request.order_class,
        "leg": order.parent is not None,
        "time_in_force": request.time_in_force,
        "limit": _price(grid, request.limit),
        "stop": _price(grid, order.stop),
        "trail": _trail(grid, order),
        "filled": plain(order.filled_qty),
        "average": plain((order.filled_usd / order.filled_qty).quantize(_RATIO)) if order.filled_qty else "0",
        "status": order.status,
        "reason": "after it was accepted" if order.status == "rejected" else None,
    }


def _trail(grid: Grid, order: Order) -> str | None:
    if order.request.trail_percent is not None:
        return f"{plain(order.request.trail_percent)}\N{NO-BREAK SPACE}%"
    return _price(grid, order.request.trail_price)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _price(grid: Grid, units: int | None) -> str | None:
    return None if units is None else plain(grid.usd(units))


def _moment(engine: Engine, us: int) -> str:
    """Format a moment as a time, with the date unless it is today."""
    at, now = (engine.market.calendar.local(one) for one in (us, engine.now_us))
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at.day} {at:%b %H:%M:%S}"


def _symbols(engine: Engine, accounts: list[Account]) -> tuple[list[str], str]:
    """Return the symbols held or on order, filled up with a few others so that a new exchange shows prices too."""
    held = {symbol for account in accounts for symbol in account.positions}
    ordered = {order.symbol for account in accounts for order in account.open.values()}
    symbols = sorted(held | ordered)
    if len(symbols) > MOST_SYMBOLS:
        return symbols[:MOST_SYMBOLS], f"{MOST_SYMBOLS} of {len(symbols)} held or on order"
    others = (symbol for symbol in engine.market.symbols if symbol not in held | ordered)
    return symbols + list(islice(others, max(0, _FEWEST_SYMBOLS - len(symbols)))), ""


def _faults(exchange: Exchange) -> list[dict[str, Any]]:
    rules = (armed.to_json() for armed in exchange.faults.book)
    return [
        {
            "name": rule["name"],
            "what": _worded(rule["what"]),
            "when": _worded(rule["when"]),
            "fired": rule["fired"],
            "spent": rule["spent"],
        }
        for rule in islice(rules, MOST_FAULTS)
    ]


def _worded(written: object) -> str:
    """Format a part of a rule for people: names and values without braces."""
    if isinstance(written, dict):
        return ", ".join(f"{name} {_worded(value)}".replace("_", " ") for name, value in written.items())
    if isinstance(written, list):
        return " or ".join(map(_worded, written))
    return str(written).replace("_", " ")


def _log(exchange: Exchange, recent: Recent) -> list[dict[str, Any]]:
    return [
        {
            "seq": line["seq"],
            "at": _moment(exchange.engine, parse_time(line["at"])),
            "event": line["event"],
            "about": about(line),
        }
        for line in reversed(recent.lines)
    ]


class PageFace:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._recent = Recent(exchange.log, exchange.order_paths)
        html = files("tradebot.exchange.page").joinpath("page.html").read_text(encoding="utf-8")
        self._page = Reply(200, html.encode(), _headers(html))

    def routes(self) -> list[Route]:
        exchange, recent = self._exchange, self._recent
        shown = route(PAGE_DATA, GET=lambda call: ok(document(exchange, recent)))
        return [route("/", GET=lambda call: self._page), shown]


def _headers(html: str) -> Mapping[str, str]:
    """Return headers that allow only the page's own style and script, identified by their hashes."""
    policy = {
        "default-src": "'none'",
        "script-src": _hashed(html, "script"),
        "style-src": _hashed(html, "style"),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }


def _hashed(html: str, element: str) -> str:
    match = re.search(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
    assert match is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode()}'"
