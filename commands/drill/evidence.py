"""The evidence of drills: a page to look at and a document for programs, in the bot's folder."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from commands.drill.stage import DrillCheck
from commands.report.page import render_template
from tradebot.adapters.text.canonical import CodecError, json_text
from tradebot.adapters.text.codec import decode, encode


class PlayedDrill(Struct, frozen=True):
    """One drill that was played: when and by which version, what was done, and what followed."""

    name: str
    what: str
    at: datetime
    version: str
    took_s: float
    steps: tuple[str, ...]
    checks: tuple[DrillCheck, ...]

    @property
    def passed(self) -> bool:
        """Return True if all that must follow did."""
        return bool(self.checks) and all(check.held for check in self.checks)


def keep(folder: Path, played: PlayedDrill) -> Path:
    """Write the evidence of a drill in place of that of an earlier one, and return the page."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / f"{played.name}.json").write_text(json_text(encode(played)), encoding="utf-8")
    page = folder / f"{played.name}.html"
    page.write_text(render_template("drill.html", drill=played), encoding="utf-8")
    return page


def read(folder: Path) -> Mapping[str, PlayedDrill]:
    """Return the drills of which there is evidence, by name; what can't be read counts as none."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = decode(PlayedDrill, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, CodecError):
            continue
    return found
