"""Every verb and group as declared, read from `commands/verbs.json` without importing any verb.

`halt` imports this file, so it has only fast imports.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PLACE = Path(__file__).resolve().parents[1] / "verbs.json"


class Listed(NamedTuple):
    """A verb: its module, its purpose, the first sentence of its help, and the types of each JSON document it prints.

    The types are keyed by the document's name and version. `elsewhere` is True if the verb needs no bot.
    """

    module: str
    purpose: str
    help: str
    prints: Mapping[str, tuple[str, ...]]
    elsewhere: bool = False
    in_group: int = 0


_READ = json.loads(PLACE.read_text(encoding="utf-8"))
VERBS: Mapping[str, Listed] = {name: Listed(**fields) for name, fields in _READ["verbs"].items()}
"""By name as typed, in the order of the program's help."""
GROUPS: Mapping[str, str] = _READ["groups"]
"""The help of each group, by the first word that its verbs share, or the first two if the first is also a verb."""
