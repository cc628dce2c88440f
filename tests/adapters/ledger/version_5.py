"""The state of version 4 after version 5 had upgraded it and made a checkpoint, with what it said that adds up to.

Version 5 stored the best prices of positions alone, and a checkpoint that knew nothing of the time since an entry.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.adapters.ledger.version_3 import lay_ledger
from tests.adapters.ledger.version_4 import WRITTEN as BEFORE
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.state_folder import LEDGER, StateFolder

WRITTEN = Path(__file__).with_name("version_5_state")


def make(path: Path) -> StateFolder:
    """Lay the state down in a folder."""
    state_folder.prepare(path)
    for name in ("journal.jsonl", "state.id"):
        shutil.copyfile(BEFORE / name, path / name)
        (path / name).chmod(0o600)
    lay_ledger(path / LEDGER, WRITTEN / "ledger.sql")
    return state_folder.open_state(path)


def told() -> Any:
    """Return what version 5 said."""
    return json.loads((WRITTEN / "told.json").read_text())
