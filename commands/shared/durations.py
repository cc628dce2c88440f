"""Read a duration that a person typed."""

import re
from collections.abc import Mapping

_WRITTEN = re.compile(r"(\d{1,7})([smh])", re.ASCII)
_UNITS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600}


def seconds_in(text: str) -> int | None:
    """Return the seconds in a duration such as 90s, 5m or 2h; None if the text is none, or no time at all."""
    match = _WRITTEN.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] or None if match else None
