"""A state as version 6 wrote it: fills, a dividend, a fee, and cash that a plan accepted, with their booking times."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.adapters.ledger.version_3 import lay_ledger
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.state_folder import LEDGER, StateFolder

WRITTEN = Path(__file__).with_name("version_6_state")


def make(path: Path) -> StateFolder:
    """Lay the state down in a folder."""
    state_folder.prepare(path)
    for name in ("journal.jsonl", "state.id"):
        shutil.copyfile(WRITTEN / name, path / name)
        (path / name).chmod(0o600)
    lay_ledger(path / LEDGER, WRITTEN / "ledger.sql")
    return state_folder.open_state(path)


def told() -> Any:
    """Return what version 6 said."""
    return json.loads((WRITTEN / "told.json").read_text())
