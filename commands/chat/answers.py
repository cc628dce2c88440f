"""Format the output of the bot's verbs as short messages for a phone."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from commands.shared.light_helpers import clean
from commands.shared.number_format import usd
from commands.shared.times import when
from tradebot.adapters.chat.telegram import LONGEST
from tradebot.adapters.text.redaction import hide_keys
from tradebot.model.sentences import pluralize
from tradebot.views.holdings import FOREIGN_OWNER

WITH_BUTTONS = 3
"""How many waiting entries are shown with buttons in a reply that lists all of them."""
CUT = "… (the rest doesn't fit in one message)"
_LEADS = re.compile(r"(?<=[A-Za-z0-9])\.(?=[A-Za-z]{2})|[@/](?=[A-Za-z])|://")
"""Text that an app would turn into a link, which is broken up in everything the bot quotes."""

Data = Mapping[str, Any]


def message(lines: Sequence[str], folder: str) -> str:
    """Return lines as a message without keys, local paths or links.

    A message that is too long ends after the last line that fits.
    """
    text = hide_keys("\n".join(map(clean, lines)))
    text = _LEADS.sub(
        lambda match: f"{match[0]} ", re.sub(r" --state-dir (?:'[^']*'|\S+)", "", text).replace(folder, "its folder")
    )
    if len(text) <= LONGEST:
        return text
    shortened = text[: LONGEST - len(CUT) - 1]
    return (shortened.rpartition("\n")[0] or shortened) + "\n" + CUT


def of_error(document: Data) -> Iterator[str]:
    """Yield the lines of the answer if a verb failed: its error, and the next step."""
    yield f"{document['error']['message']}"
    if document["error"]["hint"]:
        yield f"Next: {document['error']['hint']}"


def of_status(data: Data) -> Iterator[str]:
    """Yield the bot's trading state, health, equity and positions."""
    active = data["trading_state"] == "ACTIVE"
    going = "Trading" if active else f"HALTED ({data['trading_state']})"
    yield f"{going}, as of {_when(data['as_of'])}"
    if not active:
        yield f"by {data['trading_who']}: {data['trading_why']}"
    yield from (
        f"{state['state']} {state['subject']}: {state['found']}" for state in (data["permission"],) if _unwell(state)
    )
    unwell = [row for row in data["health"] if _unwell(row) and (active or row["subject"] != "halts")]
    yield from _parts(unwell, "Health OK" if active else "Everything else is OK")
    if data["equity"]:
        yield f"Equity {_usd(data['equity']['last_usd'])} USD"
    if data["today"]:
        yield f"Profit of {data['today']['day']} {_signed_text(data['today']['total_usd'])} USD"
    yield f"{pluralize(len(data['positions']), 'position')}, {pluralize(len(data['orders']), 'working order')}"
    yield from data.get("notes", ())
    if data["unresolved"]:
        yield f"{pluralize(len(data['unresolved']), 'order')} with an unknown outcome"


def of_positions(data: Data) -> Iterator[str]:
    """Yield each position with its profit and its nearest exit."""
    positions = data["positions"]
    yield f"{pluralize(len(positions), 'position')}{', as of ' + _when(data['as_of']) if data['as_of'] else ''}"
    for lot in positions:
        yield _lot_text(lot)
        stop = next((each for each in lot["stops"] if each["rule"] == lot["nearest"]), None)
        if stop and stop["price"]:
            price = usd(Decimal(stop["price"]), lot["symbol"])
            yield f"   next exit {stop['rule'].lower().replace('_', ' ')} at {price}"
    if data.get("is_unlike_broker"):
        yield from ("The broker's positions differ from these:", *data["notes"])


def of_position(data: Data, symbol: str) -> Iterator[str]:
    """Yield the bot's own positions in a symbol, with their profit."""
    yield from (_lot_text(lot) for lot in _own_lots(data, symbol))


def shares_held(data: Data, symbol: str) -> Decimal:
    """Return how many shares of a symbol the bot's own positions have, unsigned."""
    return sum((abs(Decimal(lot["quantity"])) for lot in _own_lots(data, symbol)), Decimal(0))


def _own_lots(data: Data, symbol: str) -> list[Data]:
    return [lot for lot in data["positions"] if lot["symbol"] == symbol and lot["strategy"] != FOREIGN_OWNER]


def _lot_text(lot: Data) -> str:
    gain = (
        "no price" if lot["gain"] is None else f"{float(lot['gain']):+.2%}, {_signed_text(lot['unrealized_usd'])} USD"
    )
    return f"{lot['symbol']} {Decimal(lot['quantity']).normalize():+,f} at {_price(lot, 'average_price')}: {gain}"


def of_closed(data: Data) -> Iterator[str]:
    """Yield each closing order that was sent, and the reason for each position that wasn't closed."""
    if data["not_run"]:
        yield f"NOT closed. {data['not_run']['reason']}: {data['not_run']['meaning']}"
        yield f"Next: {data['not_run']['remedy']}"
    for row in data["rows"]:
        quantity = "" if row["quantity"] is None else f" {Decimal(row['quantity']).normalize():,f}"
        ended = "sent" if row["reason"] is None else row["reason"]
        yield f"{row['source']}: {row['side']}{quantity} {row['symbol']}: {ended}"
    if not data["rows"] and not data["not_run"]:
        yield "Nothing to close."


def of_pnl(data: Data) -> Iterator[str]:
    """Yield the profit of the last days and of all days."""
    pnl = data["pnl"]
    yield f"Profit and loss until {pnl['last']}, in USD"
    for row in (*pnl["rows"][-10:], pnl["total"]):
        parts = f"{_signed_text(row['realized_usd'])} realized, {_signed_text(row['open_usd'])} open"
        closed = f"{pluralize(row['trades_closed'], 'trade')} closed"
        yield f"{row['name']}: {_signed_text(row['total_usd'])} ({parts}, {closed})"


def of_health(data: Data) -> Iterator[str]:
    """Yield the bot's overall health, and each part that isn't OK."""
    yield f"Health {data['state']}: {data['summary']}"
    yield from _parts([judgment for judgment in data["judgments"] if _unwell(judgment)])


def summarize_last_decision(data: Data) -> Iterator[str]:
    """Yield the last decision about a symbol, the reason, and what the user can do."""
    score = "" if data.get("score") is None else f", score {data['score']:+.2f}"
    at = f" ({_when(data['at'])}{score})" if data.get("at") else ""
    yield f"{data['symbol']}: {data['sentence']}{at}"
    yield from (f"{label}: {data[key]}" for label, key in (("Next", "remedy"), ("Then", "then")) if data.get(key))
    if data.get("now"):
        yield str(data["now"])


def of_approvals(data: Data) -> Iterator[str]:
    """Yield the entries that wait for approval, except the first ones, which are shown with buttons."""
    waiting = [row for row in data["approvals"] if row["state"] == "waiting"]
    yield f"{pluralize(len(waiting), 'entry', 'entries')} waiting for approval"
    for row in waiting[WITH_BUTTONS:]:
        yield from of_request(row)


def of_request(row: Data, *, waits: bool = True) -> Iterator[str]:
    """Yield a pending entry's details, with the price and the value at the time when approval was requested."""
    side = "sell short" if row["side"] == "sell" else row["side"]
    quantity = f"{Decimal(row['quantity']).normalize():,f}"
    yield f"{side} {quantity} {row['symbol']} at {_price(row, 'price')} or better, {_usd(row['worth_usd'])} USD"
    if not waits:
        return
    score = "" if row["score"] is None else f", score {row['score']:+.2f}"
    yield f"   {row['strategy']}{score}; waits until {_when(row['expires_at'])}; {row['id']}"


def summarize_approval_answer(data: Data) -> Iterator[str]:
    """Yield the outcome of an approval or rejection."""
    row = data["approval"]
    became = "sent" if row["order"] else "noted" if row["state"] == "rejected" else "NOT sent: ask why " + row["symbol"]
    yield f"{'No' if row['state'] == 'rejected' else 'Yes'} to {row['id']}: {became}"
    yield from of_request(row, waits=False)


def of_halt(data: Data) -> Iterator[str]:
    """Yield what a halt did, and where it can be ended."""
    yield f"Halted: {data['state']}. The bot opens no positions; exits continue."
    if data.get("unrecorded") or data.get("unwritten"):
        yield "The halt is in force, but it couldn't be saved everywhere: check the machine where the bot runs."
    yield "It can only be ended on the machine where the bot runs: tradebot unhalt"


VIEWS: Mapping[str, Callable[[Data], Iterator[str]]] = {
    "status": of_status,
    "positions": of_positions,
    "pnl": of_pnl,
    "health": of_health,
    "why": summarize_last_decision,
    "approvals": of_approvals,
    "approve": summarize_approval_answer,
    "reject": summarize_approval_answer,
    "halt": of_halt,
    "close": of_closed,
}


def _parts(unwell: Sequence[Data], otherwise: str = "") -> Iterator[str]:
    if not unwell and otherwise:
        yield otherwise
    for judgment in unwell:
        yield f"{judgment['state']} {judgment['subject']}: {judgment['found']}"


def _unwell(judgment: Data) -> bool:
    return judgment["state"] not in ("OK", "NOT_DUE", "SKIPPED")


def _when(text: str) -> str:
    return when(datetime.fromisoformat(text))


def _price(row: Data, name: str) -> str:
    return usd(Decimal(row[name]), row["symbol"])


def _usd(text: str) -> str:
    return f"{Decimal(text):,.2f}"


def _signed_text(text: str | None) -> str:
    return "?" if text is None else f"{Decimal(text):+,.2f}"
