"""Handle a halt that can't be written: report the state in force, and cancel the bot's entries at the broker.

This module is imported only in that case, because it loads the code that talks to the broker.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands.halt.report import PATIENCE_S, HaltOrders, HaltRequest, orders_left_alone
from commands.shared.light_helpers import clean
from tradebot.adapters.ledger.file_table import TableFile
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import folder_permissions
from tradebot.adapters.state.state_folder import read_marker, require_closed, resolve
from tradebot.app.loading import Options, load_for
from tradebot.app.settings import load
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError, one_line
from tradebot.orders.emergency_cancel import end_entries as end


def end_entries(state_dir: str | None, config: str | None) -> HaltOrders:
    """Cancel each of the bot's working entries by its id, without recording it first; report any obstacle."""
    try:
        with _open_bot(state_dir, config) as app:
            closed = _why_nothing_is_sent(app)
            if closed is not None:
                return orders_left_alone(closed)
            ended = end(app.reader, app.orders, _books_if_readable(app), app.folder.account_number)
    except TradebotError as error:
        return orders_left_alone(one_line(error))
    problem = "; ".join(map(clean, ended.problems)) or None
    return {"cancelled": ended.cancelled, "closing": 0, "failed": len(ended.problems), "problem": problem}


def by_id(path: Path, request: HaltRequest, problem: str) -> HaltOrders:
    """Cancel the bot's entries by id when no pass can run.

    Nothing is canceled if other users may have changed the folder's configuration.
    """
    ended = (
        orders_left_alone("")
        if folder_permissions.find_unsafe_permission(path)
        else end_entries(request.state_dir, request.config)
    )
    return {**ended, "problem": "; ".join(filter(None, (problem, ended["problem"])))}


@contextmanager
def _open_bot(state_dir: str | None, config: str | None) -> "Iterator[App]":
    """Open the bot; if its configuration can't be read or trusted, use the shipped one to reach the broker.

    Canceling has to work even if other users can write to the file.
    """
    folder = read_marker(resolve(state_dir, os.environ), look=folder_permissions.find_unsafe_permission)
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


def _why_nothing_is_sent(app: "App") -> str | None:
    """Return why nothing at all may be sent, cancels included; None if permission is open."""
    if app.settings.shadow:
        return "this bot is in shadow mode: it sends no orders, so it has no entry to cancel"
    closed = "; ".join(f"{reason} ({clean(detail)})" for reason, detail in app.permission.closed)
    return f"permission is closed, so the bot neither sends nor cancels orders: {closed}" if closed else None


def _books_if_readable(app: "App") -> "SqliteLedger | None":
    """Return the books for reading; None if they can't be read, which must not prevent a cancel."""
    folder = app.folder
    try:
        # A cancel must not wait for a process that has the ledger locked.
        return SqliteLedger(TableFile.open(folder.path, folder.account_number, read_only=True, patience_s=PATIENCE_S))
    except TradebotError:
        return None
