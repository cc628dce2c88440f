"""Handle a halt that can't be written: report what is in force, and cancel our entries at the venue.

It is imported only then, because it loads the code that talks to the venue.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from commands.halt.report import PATIENCE_S, Asked, Latch, Orders, undone
from commands.shared.plain import clean
from tradebot.adapters.state import doors
from tradebot.errors import OperatorError, TradebotError

if TYPE_CHECKING:
    from tradebot.adapters.ledger.ledger import SqliteLedger
    from tradebot.app.wiring import App


def end_entries(state_dir: str | None, config: str | None, at: datetime) -> Orders:
    """Cancel each of our working entries by its id, without a promise; report what prevented it."""
    from tradebot.orders.unrecorded_cancels import end_entries as end

    try:
        with _opened(state_dir, config) as app:
            shut = _shut(app)
            if shut is not None:
                return undone(shut)
            ended = end(app.reader, app.orders, _books(app), app.folder.account_number, at)
    except TradebotError as error:
        return undone(f"{error.message} {error.hint}".strip())
    problem = "; ".join(map(clean, ended.problems)) or None
    return {"cancelled": ended.cancelled, "closing": 0, "failed": len(ended.problems), "problem": problem}


def by_id(path: Path, asked: Asked, latch: Latch, problem: str) -> Orders:
    """Cancel our entries by id if no pass can run, unless others may have changed the folder's configuration."""
    ended = undone("") if doors.open_door(path) else end_entries(asked.state_dir, asked.config, latch.at)
    return {**ended, "problem": "; ".join(filter(None, (problem, ended["problem"])))}


@contextmanager
def _opened(state_dir: str | None, config: str | None) -> "Iterator[App]":
    """Open the bot; if its configuration can't be read or trusted, use the shipped one to reach the venue.

    A file that others can write keeps nobody from cancelling.
    """
    from tradebot.adapters.state.state_folder import read_marker, require_closed, resolve
    from tradebot.app.settings import load
    from tradebot.app.wiring import App, Options, load_for

    folder = read_marker(resolve(state_dir, os.environ), look=doors.open_door)
    try:
        require_closed(folder.path)
        loaded = load_for(folder, Options(state_dir, config), os.environ)
    except OperatorError:
        loaded = load(None, {}, {"mode": folder.mode})
    app = App(folder, loaded, os.environ)
    try:
        yield app
    finally:
        app.close()


def _shut(app: "App") -> str | None:
    """Return why nothing at all may be sent, cancels included; None if permission is open."""
    if app.settings.shadow:
        return "this bot is in shadow: it sends nothing, so it has no entry to cancel"
    closed = "; ".join(f"{reason} ({clean(found)})" for reason, found in app.permission.closed)
    return f"permission is closed, so nothing is sent, entries and cancels included: {closed}" if closed else None


def _books(app: "App") -> "SqliteLedger | None":
    """Return the books for reading; None if they can't be read, which must not prevent a cancel."""
    from tradebot.adapters.ledger.ledger import SqliteLedger

    try:
        # Somebody who holds the ledger now must not keep a cancel waiting.
        return SqliteLedger.open(app.folder.path, app.folder.account_number, read_only=True, patience_s=PATIENCE_S)
    except TradebotError:
        return None


def lines_of(path: Path, asked: Asked, latch: Latch, orders: Orders | None) -> Iterator[str]:
    """Yield the lines after the first one, which has said that the halt couldn't be saved."""
    yield f"  what holds: while the bot cannot write {path} it sends no entry, because each is written there first"
    if latch.state == "ACTIVE":
        yield f"  what does not: as soon as {path} can be written again, entries go out as before"
    else:
        yield f"  what holds too: {latch.state} is in force already, by an earlier halt"
    if latch.in_flight:
        yield f"  an order that began before is in flight: {clean(latch.in_flight)}"
    assert orders is not None, "entries are always looked for here"
    yield f"  working entries: {orders['cancelled']} cancelled by id; exits, protection and others' orders stay"
    if asked.flatten:
        yield "  FLATTEN was not carried out: nothing is closed, and every position stays open"
    if orders["problem"]:
        yield f"  not all is done: {orders['problem']}"
    yield f"  next: make {path} writable, then tradebot halt again"
    yield f"  until then: touch {path / 'HALT'} from where it can be written, or revoke the key at the broker"
