"""Words for what the records write as codes, and for amounts, times and lists in sentences."""

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from tradebot.model.reasons import REASONS, Reason
from tradebot.model.text import span

NAMED = 8
"""So many symbols or settings are named in a sentence; others are counted."""
_PLAIN = {
    "ACTIVE": "open",
    "REDUCE_ONLY": "halted (no new positions)",
    "FLATTEN": "halted (closing everything)",
    "BROKEN": "broken",
    "HALTED": "halted",
    "not_placed": "never placed",
}
_CODE = re.compile(rf"\b(?:{'|'.join(_PLAIN)}|[A-Z]+(?:_[A-Z]+)+)\b")

_SECONDS = re.compile(r"\b(\d[\d,]*) s\b")


def in_words(text: str) -> str:
    """Return a text of the records with each code in words: a reason's meaning, a trading state."""
    said = _CODE.sub(lambda found: _PLAIN.get(found[0]) or _meaning(found[0]), text)
    return _SECONDS.sub(lambda found: span(float(found[1].replace(",", ""))), said)


def _meaning(code: str) -> str:
    return inner(REASONS[Reason(code)].meaning).rstrip(".") if code in set(Reason) else code


def inner(sentence: str) -> str:
    """Return a sentence as it stands in the middle of another."""
    return sentence[:1].lower() + sentence[1:]


def utc(at: datetime) -> str:
    """Return a moment as sentences of records write it."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def names(given: Sequence[str]) -> str:
    """Return names as a sentence lists them; of many, the first ones and how many more."""
    shown = list(dict.fromkeys(given))
    *rest, last = shown if len(shown) <= NAMED else (*shown[: NAMED - 1], f"{len(shown) - NAMED + 1} more")
    return f"{', '.join(rest)} and {last}" if rest else last


def signed(amount: Decimal) -> str:
    """Return an amount to the cent with its sign and unit."""
    return f"{round(amount, 2) + 0:+,.2f} USD"


def percent(fraction: float | Decimal) -> str:
    """Return a fraction as a percentage with its sign."""
    return f"{round(100 * float(fraction), 2) + 0.0:+.2f}%"
