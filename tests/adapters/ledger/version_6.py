"""A state as version 6 wrote it: fills, a dividend, a fee, and cash that a plan accepted, with their booking times."""

import json
from pathlib import Path
from typing import Any

from tests.adapters.ledger.version_3 import lay_state
from tradebot.adapters.state.state_folder import StateFolder

WRITTEN = Path(__file__).with_name("version_6_state")


def make(path: Path) -> StateFolder:
    """Lay the state down in a folder."""
    return lay_state(path, WRITTEN, "journal.jsonl", "state.id")


def told() -> Any:
    """Return what version 6 said."""
    return json.loads((WRITTEN / "told.json").read_text())
