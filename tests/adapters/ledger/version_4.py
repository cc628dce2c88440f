"""A state as version 4 wrote it, which added all fills up in each pass, with what it said they add up to.

`told.json` holds the results of that version's own code: its fold of positions, its cash, and what was at work.
"""

import json
from pathlib import Path
from typing import Any

from tests.adapters.ledger.version_3 import lay_state
from tradebot.adapters.state.state_folder import StateFolder

WRITTEN = Path(__file__).with_name("version_4_state")


def make(path: Path) -> StateFolder:
    """Lay the state down in a folder."""
    return lay_state(path, WRITTEN, "journal.jsonl", "state.id")


def told() -> Any:
    """Return what version 4 said."""
    return json.loads((WRITTEN / "told.json").read_text())
