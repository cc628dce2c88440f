"""Make the JSON document behind the web page: small, bounded, and complete in one request.

Money, prices and quantities are exact decimals as text, and so are fractions; times are in the zone of the market's
calendar.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

from papervenue.engine.account import Account, Position
from papervenue.engine.engine import Engine
from papervenue.exchange import Exchange
from papervenue.jsontext import plain
from papervenue.market.hours import XNYS
from papervenue.market.sessions import Session
from papervenue.page.formats import moment, worded
from papervenue.page.orders import ended_orders, life, names_of, open_orders
from papervenue.page.recent import Recent, about, duration
from papervenue.page.tape import tape
from papervenue.times import MINUTE, parse_time

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
MOST_SYMBOLS = 12
_FEWEST_SYMBOLS = 4
_RATIO = Decimal("1e-6")
_CENT = Decimal("0.01")


class Chosen(NamedTuple):
    """What the reader of the page wants to see alone: an account by name, and an order by either of its ids."""

    account: str = ""
    order: str = ""


def document(exchange: Exchange, recent: Recent, chosen: Chosen) -> dict[str, Any]:
    """Return what the page shows; without an account of the chosen name it shows them all."""
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
        "life": life(engine, [*accounts, *everybody], chosen.order) if chosen.order else None,
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
            "what": worded(rule["what"]),
            "when": worded(rule["when"]),
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
            "about": about(line),
        }
        for line in reversed(recent.lines)
    ]
