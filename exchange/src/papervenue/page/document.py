"""Build the JSON document behind the web page: it is small, its size is bounded, and one request returns all of it.

Money, prices, quantities and fractions are exact decimals as text; times are in the time zone of the market's calendar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from heapq import nlargest
from itertools import islice, pairwise
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from papervenue.engine.account import Account, Position
from papervenue.engine.account_lists import PastUpdate
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Order
from papervenue.exchange import Exchange
from papervenue.jsontext import plain
from papervenue.market.hours import XNYS
from papervenue.market.sessions import Session
from papervenue.market.venue import Grid
from papervenue.page.recent import Recent, Refused, describe_event, duration, shorten
from papervenue.times import MINUTE, parse_time

_POINTS = 78


def book_row(engine: Engine, symbol: str) -> dict[str, Any]:
    """Return a symbol's prices.

    The line consists of pairs (fraction of the session, USD), and `base` is the previous session's close.
    """
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
    """Return about as many points as a chart of that size can show, always including the newest."""
    calendar, now, units = engine.market.calendars[symbol], engine.now_us, engine.market.grids[symbol].units
    index = calendar.last_begun(now)
    if index is None:
        return []
    session, day = calendar.market[index], engine.market.day(symbol, index)
    length_us = session.close_us - session.open_us
    bars = day.bars[: day.complete(now)]
    step = max(1, length_us // MINUTE // _POINTS)
    points = bars[(len(bars) - 1) % step :: step]
    return [(round((bar.end_us - session.open_us) / length_us, 4), bar.close / units) for bar in points]


MOST_ACCOUNTS = 20
MOST_POSITIONS = 40
MOST_SYMBOLS = 12
_FEWEST_SYMBOLS = 4
_RATIO = Decimal("1e-6")
_CENT = Decimal("0.01")


class Chosen(NamedTuple):
    """What the page's user filters by: an account's name, and an order's id or client order id."""

    account: str = ""
    order: str = ""


def document(exchange: Exchange, recent: Recent, chosen: Chosen) -> dict[str, Any]:
    """Return the page's data; if no account has the chosen name, all accounts are included."""
    recent.follow()
    engine = exchange.engine
    everybody = list(engine.accounts.values())
    accounts = [account for account in everybody if account.name == chosen.account] or everybody
    symbols, note = _symbols(engine, accounts)
    return {
        "clock": _clock(exchange),
        "market": {"about": _about_market(exchange)},
        "account_names": [account.name for account in everybody],
        "chosen": chosen.account if len(accounts) < len(everybody) else "",
        "accounts": [_account(engine, account) for account in accounts[:MOST_ACCOUNTS]],
        "more_accounts": max(0, len(accounts) - MOST_ACCOUNTS),
        "open_orders": open_orders(engine, accounts),
        "open_total": sum(len(account.open) for account in accounts),
        "ended_orders": ended_orders(engine, accounts, recent),
        "ended_total": sum(len(account.orders) - len(account.open) for account in accounts),
        "life": order_events(engine, [*accounts, *everybody], chosen.order) if chosen.order else None,
        "book": [book_row(engine, symbol) for symbol in symbols],
        "book_note": note,
        "tape": tape(engine, recent, names_of(accounts), symbols),
        "faults": _faults(exchange),
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
        return f"closes in {_minutes_text(session.close_us - now)}"
    return f"opens in {_minutes_text(session.open_us - now)}"


def _minutes_text(us: int) -> str:
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
    positions = sorted(account.positions.values(), key=attrgetter("symbol"))
    return {
        "name": account.name,
        "number": account.number,
        "equity": plain(now.equity.quantize(_CENT)),
        "day": plain(day.quantize(_CENT)),
        "day_share": _share(day, before),
        "cash": plain(now.cash.quantize(_CENT)),
        "buying_power": plain(now.power.quantize(_CENT)),
        "open_orders": len(account.open),
        "positions": [_position(engine, position) for position in positions[:MOST_POSITIONS]],
        "more_positions": max(0, len(positions) - MOST_POSITIONS),
    }


def _position(engine: Engine, position: Position) -> dict[str, Any]:
    grid = engine.market.grids[position.symbol]
    last, qty = grid.usd(engine.price(position.symbol)), position.qty * grid.multiplier
    gain = (last - position.average) * qty
    return {
        "symbol": position.symbol,
        "qty": plain(position.qty),
        "average": plain(position.average),
        "last": plain(last),
        "value": plain((last * qty).quantize(_CENT)),
        "gain": plain(gain.quantize(_CENT)),
        "gain_share": _share(gain, abs(position.average * qty)),
    }


def _share(part: Decimal, whole: Decimal) -> str:
    return plain((part / whole).quantize(_RATIO)) if whole else "0"


def _symbols(engine: Engine, accounts: list[Account]) -> tuple[list[str], str]:
    """Return the symbols held or on order, plus a few others so that a new exchange shows prices too."""
    held_symbols = {symbol for account in accounts for symbol in account.positions}
    ordered = {order.symbol for account in accounts for order in account.open.values()}
    symbols = sorted(held_symbols | ordered)
    if len(symbols) > MOST_SYMBOLS:
        return symbols[:MOST_SYMBOLS], f"{MOST_SYMBOLS} of {len(symbols)} held or on order"
    others = (symbol for symbol in engine.market.symbols if symbol not in held_symbols | ordered)
    return symbols + list(islice(others, max(0, _FEWEST_SYMBOLS - len(symbols)))), ""


def _faults(exchange: Exchange) -> list[dict[str, Any]]:
    rules = (armed.to_json() for armed in exchange.faults.book)
    return [
        {
            "name": rule["name"],
            "what": format_rule(rule["what"]),
            "when": format_rule(rule["when"]),
            "seen": rule["seen"],
            "fired": rule["fired"],
            "spent": rule["spent"],
        }
        for rule in rules
    ]


def _log(exchange: Exchange, recent: Recent) -> list[dict[str, Any]]:
    return [
        {
            "seq": line["seq"],
            "at": moment(exchange.engine, parse_time(line["at"])),
            "event": line["event"],
            "about": describe_event(line),
        }
        for line in reversed(recent.lines)
    ]


MOST_FILLS = 40
MOST_MOVES = 30
_PLACES = 6

Row = tuple[int, dict[str, Any]]


def tape(engine: Engine, recent: Recent, names: Mapping[str, str], symbols: Iterable[str]) -> list[dict[str, Any]]:
    """Return the newest fills of the named accounts, and the newest price moves of the symbols."""
    lines = (line for line in reversed(recent.trades) if line.get("account", "") in names or "account" not in line)
    news = [_news_row(engine, line, names) for line in islice(lines, MOST_FILLS)]
    # At equal times the fill comes first, because readers look for it.
    rows = sorted([*news, *_moves(engine, symbols)], key=itemgetter(0), reverse=True)
    return [row for _, row in rows]


def _news_row(engine: Engine, line: dict[str, Any], names: Mapping[str, str]) -> Row:
    at_us = parse_time(line["at"])
    row = {"at": moment(engine, at_us), "event": line["event"], "account": names.get(line.get("account", ""), "")}
    if "fill_qty" not in line:
        return at_us, row | {"kind": "news", "about": describe_event(line)}
    fields = {name: line[name] for name in ("side", "symbol", "price")}
    return at_us, row | {"kind": "fill", **fields, "qty": line["fill_qty"], "order": line["order_id"]}


class _Move(NamedTuple):
    share: float
    at_us: int
    symbol: str
    before: int
    after: int


def _moves(engine: Engine, symbols: Iterable[str]) -> list[Row]:
    """Return, for each of the newest minutes, the symbol whose last price changed most."""
    largest: dict[int, _Move] = {}
    for move in (move for symbol in symbols for move in _minutes(engine, symbol)):
        if move.at_us not in largest or abs(move.share) > abs(largest[move.at_us].share):
            largest[move.at_us] = move
    return [_move_row(engine, largest[at_us]) for at_us in nlargest(MOST_MOVES, largest)]


def _minutes(engine: Engine, symbol: str) -> Iterator[_Move]:
    index = engine.market.calendars[symbol].last_begun(engine.now_us)
    if index is None:
        return
    day = engine.market.day(symbol, index)
    complete = day.complete(engine.now_us)
    for before, bar in pairwise(day.bars[max(0, complete - MOST_MOVES - 1) : complete]):
        if bar.close != before.close:
            yield _Move(bar.close / before.close - 1, bar.end_us, symbol, before.close, bar.close)


def _move_row(engine: Engine, move: _Move) -> Row:
    usd = engine.market.grids[move.symbol].usd
    row = {"at": moment(engine, move.at_us), "kind": "move", "symbol": move.symbol, "price": plain(usd(move.after))}
    return move.at_us, row | {"before": plain(usd(move.before)), "change": f"{move.share:.{_PLACES}f}"}


MOST_ORDERS = 100
MOST_EVENTS = 60
_LONGEST_CHAIN = 20
"""How many orders that replaced each other are shown as one order."""
_WORDS: Mapping[str, str] = {
    "pending_new": "accepted",
    "new": "at the market",
    "partial_fill": "partly filled",
    "fill": "filled",
    "restated": "changed",
    "pending_replace": "change requested",
    "replaced": "changed by a new order",
    "order_replace_rejected": "change refused",
    "pending_cancel": "cancel requested",
    "order_cancel_rejected": "cancel refused",
    "trade_bust": "fill busted",
    "trade_correct": "fill corrected",
}
"""The page's names for an order's events; other events keep the names from the stream of trade updates."""


def names_of(accounts: list[Account]) -> dict[str, str]:
    """Return the accounts' names by number."""
    return {account.number: account.name for account in accounts}


def open_orders(engine: Engine, accounts: list[Account]) -> list[dict[str, Any]]:
    orders = (order for account in accounts for order in account.open.values())
    names = names_of(accounts)
    newest = nlargest(MOST_ORDERS, orders, key=attrgetter("sequence"))
    return [_order(engine, order, names[order.account]) for order in newest]


def ended_orders(engine: Engine, accounts: list[Account], recent: Recent) -> list[dict[str, Any]]:
    """Return the latest orders that finished or were refused, sorted by the time when they were sent."""
    names = names_of(accounts)
    ended = ((order for order in account.orders.newest() if not order.is_open) for account in accounts)
    newest = (order for of_one in ended for order in islice(of_one, MOST_ORDERS))
    orders = nlargest(MOST_ORDERS, newest, key=attrgetter("sequence"))
    rows = [(order.submitted_us, _order(engine, order, names[order.account])) for order in orders]
    refused = (entry for entry in reversed(recent.refused) if entry.account in names)
    rows += [(entry.at_us, _refusal_row(engine, entry, names[entry.account])) for entry in refused]
    return [row for _, row in nlargest(MOST_ORDERS, rows, key=itemgetter(0))]


def order_events(engine: Engine, accounts: Iterable[Account], name: str) -> dict[str, Any] | None:
    """Return the events of an order and of those it replaced, oldest first; None if the order doesn't exist.

    `name` is the order's id or client order id. Only the latest events are available.
    """
    pairs = ((account, account.orders.get(name) or account.by_client_id.get(name)) for account in accounts)
    account, order = next(((account, order) for account, order in pairs if order is not None), (None, None))
    if account is None or order is None:
        return None
    chain = _chain(account, order)
    begun_us = chain[-1].created_us
    updates = account.updates.of_orders({order.id for order in chain}, lambda at: at.at_us >= begun_us)
    events = [_event(engine, update) for update in updates]
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "account": account.name,
        "symbol": order.symbol,
        "side": "buy" if order.side > 0 else "sell",
        "replaced_by": order.replaced_by,
        "events": events[-MOST_EVENTS:],
        "earlier_events": max(0, len(events) - MOST_EVENTS),
    }


def _chain(account: Account, order: Order) -> list[Order]:
    """Return an order and those that it replaced, the newest first."""
    chain = [order]
    while chain[-1].replaces is not None and len(chain) < _LONGEST_CHAIN:
        chain.append(account.order(chain[-1].replaces))
    return chain


def _event(engine: Engine, update: PastUpdate) -> dict[str, Any]:
    then, execution = update.order, update.execution
    grid = engine.market.grids[then.symbol]
    return {
        "at": exact_moment(engine, update.place.at_us),
        "line": update.place.number,
        "event": _WORDS.get(update.event, update.event.replace("_", " ")),
        "status": then.status,
        "qty": text(then.qty),
        "notional": text(then.request.notional),
        "limit": price(grid, then.request.limit),
        "stop": price(grid, then.stop),
        "filled": plain(then.filled_qty),
        "fill_qty": None if execution is None else plain(execution.qty),
        "price": None if execution is None else price(grid, execution.price),
    }


def _refusal_row(engine: Engine, refused: Refused, account: str) -> dict[str, Any]:
    body = {name: str(value) for name, value in refused.body.items() if isinstance(value, str | Decimal)}
    return {
        "at": moment(engine, refused.at_us),
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
        "reason": shorten(refused.reason),
    }


def _order(engine: Engine, order: Order, account: str) -> dict[str, Any]:
    request, grid = order.request, engine.market.grids[order.symbol]
    return {
        "id": order.id,
        "at": moment(engine, order.submitted_us),
        "account": account,
        "side": "buy" if request.side > 0 else "sell",
        "symbol": order.symbol,
        "qty": text(order.qty),
        "notional": text(request.notional),
        "type": request.type,
        "class": request.order_class,
        "leg": order.parent is not None,
        "time_in_force": request.time_in_force,
        "limit": price(grid, request.limit),
        "stop": price(grid, order.stop),
        "trail": _trail(grid, order),
        "filled": plain(order.filled_qty),
        "average": plain((order.filled_usd / order.filled_qty).quantize(_RATIO)) if order.filled_qty else "0",
        "status": order.status,
        "reason": "after it was accepted" if order.status == "rejected" else None,
    }


def _trail(grid: Grid, order: Order) -> str | None:
    if order.request.trail_percent is not None:
        return f"{plain(order.request.trail_percent)}\N{NO-BREAK SPACE}%"
    return price(grid, order.request.trail_price)


def moment(engine: Engine, us: int) -> str:
    """Format a moment as a time, with the date unless it is today."""
    at, now = (engine.market.calendar.local(at_us) for at_us in (us, engine.now_us))
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at.day} {at:%b %H:%M:%S}"


def exact_moment(engine: Engine, us: int) -> str:
    """Format a moment, to the microsecond unless it is a whole second."""
    part = us % 1_000_000
    return moment(engine, us) + (f".{part:06}".rstrip("0") if part else "")


def text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def price(grid: Grid, units: int | None) -> str | None:
    return None if units is None else plain(grid.usd(units))


def format_rule(written: object) -> str:
    """Format a part of a rule for display: names and values without braces."""
    if isinstance(written, dict):
        return ", ".join(f"{name} {format_rule(value)}".replace("_", " ") for name, value in written.items())
    if isinstance(written, list):
        return " or ".join(map(format_rule, written))
    return str(written).replace("_", " ")
