"""A configuration accepted without the command line, for bots that no `init` has made."""

import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import open_state
from tradebot.app.baseline import effective
from tradebot.app.loading import Options, load_for
from tradebot.model.trading import Baseline


def accept(folder: Path, at: datetime | None = None) -> None:
    """Accept the configuration of a bot as it is now."""
    settings = load_for(open_state(folder), Options(str(folder)), os.environ).settings
    with closing(SqliteLedger.open(folder)) as ledger:
        ledger.baselines.approve(Baseline(effective(settings), "test", at or datetime.now(UTC)))


def configure(folder: Path, settings: str) -> None:
    """Append settings to a bot's configuration, and accept it."""
    with (folder / "tradebot.yaml").open("a") as file:
        file.write(settings)
    accept(folder)
