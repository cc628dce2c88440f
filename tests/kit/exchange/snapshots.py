"""Snapshots of exchanges under test: taken, kept, and compared with what the log alone leads to."""

import shutil
from pathlib import Path

from tradebot.exchange.exchange import Exchange, open_exchange
from tradebot.exchange.snapshot.keeper import taken
from tradebot.exchange.snapshot.state import Snapshot, identity_of, write_snapshot
from tradebot.exchange.state import SNAPSHOT_FILE


def snapshot_of(exchange: Exchange, folder: Path) -> Snapshot:
    """Return a snapshot of an exchange at rest."""
    assert exchange.at_rest
    return Snapshot(identity_of(folder), exchange.log.prefix(), taken(exchange))


def keep(exchange: Exchange, folder: Path) -> None:
    write_snapshot(folder, snapshot_of(exchange, folder))


def state_of(exchange: Exchange) -> bytes:
    """Return an exchange's state after all that a snapshot leaves for later has been read."""
    exchange.past.read_all()
    for account in exchange.engine.accounts.values():
        assert [*account.orders.values()] == [*account.by_client_id.values()]
        assert len([*account.orders.values()]) == len(account.orders)
        assert len([*account.activities]) == len(account.activities)
    return taken(exchange)


def replayed(folder: Path) -> bytes:
    """Return the state that a folder's log leads to by itself."""
    (folder / SNAPSHOT_FILE).unlink(missing_ok=True)
    return state_of(open_exchange(folder))


def without_snapshot(folder: Path, copy: Path) -> Path:
    shutil.copytree(folder, copy)
    (copy / SNAPSHOT_FILE).unlink(missing_ok=True)
    return copy
