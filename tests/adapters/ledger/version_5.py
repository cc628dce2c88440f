"""The state of version 4 after version 5 had upgraded it and made a checkpoint, with what it said that adds up to.

Version 5 stored the best prices of positions alone, and a checkpoint that knew nothing of the time since an entry.
"""

import json
from pathlib import Path
from typing import Any

from tests.adapters.ledger.version_3 import lay_state
from tests.adapters.ledger.version_4 import WRITTEN as BEFORE
from tradebot.adapters.state.state_folder import StateFolder

WRITTEN = Path(__file__).with_name("version_5_state")


def make(path: Path) -> StateFolder:
    """Lay the state down in a folder."""
    return lay_state(path, BEFORE, "journal.jsonl", "state.id", ledger=WRITTEN)


def told() -> Any:
    """Return what version 5 said."""
    return json.loads((WRITTEN / "told.json").read_text())
