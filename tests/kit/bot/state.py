"""The state of a bot without the command line: make its folder, accept its configuration, open it as a process does."""

import os
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.app.baseline import effective
from tradebot.app.keys import Secrets
from tradebot.app.loading import Options, load_for
from tradebot.app.settings import Loaded
from tradebot.app.wiring import App, FolderLook
from tradebot.model.trading import Baseline
from tradebot.model.venue import Settlement

CASH = Decimal(100_000)


def make_state(
    folder: Path,
    number: str,
    at: datetime,
    configuration: str = "",
    *,
    mode: str = "sandbox",
    venue: str = "alpaca",
    settlement: Settlement = Settlement.PAID,
    cash: Decimal = CASH,
) -> Path:
    """Make what `init` makes of an account, without asking anybody: marker, books, configuration, arming."""
    state_folder.create(folder, mode, number, "user", at, venue)
    (folder / "tradebot.yaml").write_text(configuration)
    with closing(SqliteLedger.create(folder, number, at)) as ledger:
        ledger.open_books(cash, at, settlement)
    halt_switch.arm(folder, "test", at)
    accept(folder, at)
    return folder


def accept(folder: Path, at: datetime | None = None) -> None:
    """Accept the configuration of a bot as it is now."""
    settings = load_for(state_folder.open_state(folder), Options(str(folder)), os.environ).settings
    with closing(SqliteLedger.open(folder)) as ledger:
        ledger.baselines.approve(Baseline(effective(settings), "test", at or datetime.now(UTC)))


def configure(folder: Path, settings: str) -> None:
    """Append settings to a bot's configuration, and accept it."""
    with (folder / "tradebot.yaml").open("a") as file:
        file.write(settings)
    accept(folder)


def load_state(folder: Path, name: str | None = None) -> Loaded:
    """Return what a bot's configuration says, or another file of its folder, whatever the environment says."""
    config = None if name is None else str(folder / name)
    return load_for(state_folder.open_state(folder, {}), Options(str(folder), config=config), {})


def open_app(
    folder: Path,
    loaded: Loaded,
    url: str,
    keys: Mapping[str, str] | None = None,
    look: FolderLook = state_folder.open_state,
    **parts: object,
) -> App:
    """Return the bot opened again, as each process does; its configuration, which never changes, isn't read again.

    `parts` take the place of those that it would make for itself, by their names.
    """
    app = App(look(folder, {}), loaded, {})
    app.__dict__ |= {"secrets": Secrets("sandbox", keys or {}), "exchange_url": url, **parts}
    return app
