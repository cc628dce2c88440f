"""A state as version 7 wrote it: fills, a dividend, a commission, cash that a plan accepted, and a note on a trade."""

import json
from pathlib import Path
from typing import Any

from tests.adapters.ledger.version_3 import lay_state
from tradebot.adapters.state.state_folder import StateFolder

WRITTEN = Path(__file__).with_name("version_7_state")


def make(path: Path) -> StateFolder:
    """Lay the state down in a folder."""
    return lay_state(path, WRITTEN, "journal.jsonl", "state.id")


def told() -> Any:
    """Return what version 7 said."""
    return json.loads((WRITTEN / "told.json").read_text())
