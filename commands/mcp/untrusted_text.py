"""Mark what an assistant reads: texts are data, cut to a length; only numbers, times and short names stay as they are.

A note, a headline, a symbol's name or a broker's refusal may be written by anyone, and our own sentences quote them. So
there is no list of dangerous fields that could lack one: every text is marked unless its schema names the word.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from commands.shared.light_helpers import clean

OPEN, CLOSE = "⟦", "⟧"
MOST = 400
"""How many characters of one text are kept."""
_PLAIN = re.compile(r"[0-9T:.Z-]+|[A-Za-z0-9_./:-]{1,24}")
"""Numbers and times of any length, and names that are too short to tell an assistant what to do."""
_MARKS = str.maketrans({OPEN: "[", CLOSE: "]"})


def mark_untrusted(value: Any, fixed: frozenset[str]) -> Any:
    """Return JSON data with each text marked as data and cut, names of mappings too; `fixed` are our own words."""
    if isinstance(value, str):
        return value if value in fixed or not value or _PLAIN.fullmatch(value) else _as_data(value)
    if isinstance(value, Mapping):
        return {mark_untrusted(name, fixed): mark_untrusted(item, fixed) for name, item in value.items()}
    return [mark_untrusted(item, fixed) for item in value] if isinstance(value, list) else value


def fixed_words(schema: Any) -> frozenset[str]:
    """Return the words that a schema itself names: fields, and what is one of a few."""
    return frozenset(_words(schema))


def _as_data(text: str) -> str:
    shown = clean(text.translate(_MARKS))
    cut = f"{shown[:MOST]}… ({len(shown) - MOST} more characters)" if len(shown) > MOST else shown
    return f"{OPEN}{cut}{CLOSE}"


def _words(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for one in schema:
            yield from _words(one)
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        named = [*schema.get("enum", ()), schema.get("const")]
        yield from (word for word in named if isinstance(word, str))
        for part in schema.values():
            yield from _words(part)
