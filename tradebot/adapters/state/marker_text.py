"""Format and parse a state folder's marker; a checksum distinguishes a damaged marker from another bot's.

Quick commands import this module, so it imports only small modules of the standard library.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

from tradebot.adapters.state.safe_open import read_plain

SCHEMA = 1
VENUE, FIRST_VENUE = "venue", "alpaca"
"""Markers name the venue unless it is the first one, so that markers of earlier versions stay valid."""
VENUES = "alpaca, kraken_futures, ibkr or a venue from a package"
"""The venues as help names them, without loading any."""
NAMES = ("id", "kind", "mode", "account_number", VENUE)
MARKED = ("schema", *NAMES[:-1], "created_at")
"""The fields of a marker, besides its venue and its checksum."""
SUM = "sum"


def marker_text(content: Mapping[str, Any]) -> str:
    """Format a marker as text."""
    fields = {name: content[name] for name in MARKED}
    if content.get(VENUE, FIRST_VENUE) != FIRST_VENUE:
        fields[VENUE] = content[VENUE]
    return json.dumps({**fields, SUM: _sum(fields)}, indent=2) + "\n"


def marker_content(text: str) -> dict[str, Any]:
    """Parse a marker; raise ValueError or TypeError if it was changed."""
    content = json.loads(text)
    if not isinstance(content, dict) or content.pop(SUM, "") != _sum(content):
        raise ValueError("it was changed after it was written")
    content.setdefault(VENUE, FIRST_VENUE)
    if int(content["schema"]) == SCHEMA and content.keys() != {*MARKED, VENUE}:
        raise ValueError("it doesn't have the fields of a marker")
    return content


def copies_of(marker: Path, backups: Path) -> list[Path]:
    """Return the copies of a marker: the one in its folder, then those of backups, newest first."""
    return [marker.with_name(f"{marker.name}.copy"), *sorted(backups.glob(f"*/{marker.name}"), reverse=True)]


def put_back(marker: Path, backups: Path) -> str:
    """Return advice with the command that restores the first intact copy; empty if there is none."""
    from shlex import quote

    for copy in copies_of(marker, backups):
        with suppress(OSError, ValueError, KeyError, TypeError):
            marker_content(read_plain(copy).decode())
            return f"restore it: cp {quote(str(copy))} {quote(str(marker))}"
    return ""


def _sum(content: Mapping[str, Any]) -> str:
    return f"{crc32(json.dumps(content, sort_keys=True).encode()):08x}"
