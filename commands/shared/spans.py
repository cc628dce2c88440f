"""Parse durations, and the options that choose recorded passes."""

import re
from collections.abc import Mapping

from msgspec import Struct

from commands.shared.plain import clean
from tradebot.errors import OperatorError

UNITS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_in(text: str) -> int | None:
    """Return the seconds in a duration such as 90s, 5m or 2h; None if the text is none, or no time at all."""
    found = re.fullmatch(r"(\d{1,7})([smh])", text, re.ASCII)
    return int(found[1]) * UNITS[found[2]] or None if found else None


class Span(Struct, frozen=True):
    """A choice of passes: the last few, or those within `since_s` seconds or the session of the last one."""

    last: int = 1
    since_s: int | None = None
    session: bool = False


def span_of(last: int | None, since: str | None) -> Span:
    """Return the span that the options name; raise OperatorError if they conflict or can't be parsed."""
    if last is not None and since is not None:
        raise OperatorError("--last and --since can't be combined", "tradebot why-no-orders --since session")
    if since is None:
        return Span(last=1 if last is None else last)
    if since == "session":
        return Span(session=True)
    found = re.fullmatch(r"(\d{1,5})([smhd])", since)
    if found is None:
        raise OperatorError(f"can't read {clean(since)[:20]!r} as a time span", "write 90s, 30m, 2h, 1d or session")
    return Span(since_s=int(found[1]) * UNITS[found[2]])
