"""Plain text for people: counts in sentences, and descriptions of expected values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

EXPECTED: Mapping[str, str] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "date_from_datetime_inexact": "must be a date, such as 2026-11-16",
    "date_from_datetime_parsing": "must be a date, such as 2026-11-16",
    "date_parsing": "must be a date, such as 2026-11-16",
    "date_type": "must be a date, such as 2026-11-16",
    "datetime_from_date_parsing": "must be a time with its UTC offset, such as 2026-11-16T15:00:00Z",
    "datetime_parsing": "must be a time with its UTC offset, such as 2026-11-16T15:00:00Z",
    "datetime_type": "must be a time with its UTC offset, such as 2026-11-16T15:00:00Z",
    "decimal_parsing": "must be a number",
    "decimal_type": "must be a number",
    "dict_type": "must be a section with its own KEY: VALUE lines",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list, such as [AAPL, MSFT]",
    "missing": "must be set",
    "model_attributes_type": "must be a section with its own KEY: VALUE lines",
    "model_type": "must be a section with its own KEY: VALUE lines",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "timezone_aware": "must be a time with its UTC offset, such as 2026-11-16T15:00:00Z",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}
"""Messages by error type, for the types whose own message talks about Python or parsing."""
SYMBOL_PATTERN = r"^[0-9]?[A-Z][A-Z0-9._]{0,31}$"
NAME_PATTERN = r"^[0-9]?[A-Z][A-Z0-9._]{0,31}(1!)?$"
"""A symbol, or a future's name on common charts, such as ES1!."""
LABEL_PATTERN = r"^[a-z][a-z0-9_]{0,19}$"
URL_PATTERN = r"^https?://[^\s/@]+$"
PATTERNS: Mapping[object, str] = {
    SYMBOL_PATTERN: "must be a symbol in capital letters, such as AAPL, BRK.B or 6EZ6",
    NAME_PATTERN: "must be a symbol in capital letters, such as AAPL, BRK.B or 6EZ6",
    LABEL_PATTERN: "must be at most 20 lowercase letters, digits and _, starting with a letter",
    URL_PATTERN: "must be an http or https address with nothing after the host, such as http://127.0.0.1:8787",
}


def describe_validation_error(error: Mapping[str, object]) -> str:
    """Describe in plain English what a validation error requires; the text usually begins with "must"."""
    if error["type"] == "string_pattern_mismatch":
        context = error.get("ctx")
        pattern = context.get("pattern") if isinstance(context, Mapping) else None
        return PATTERNS.get(pattern, f"must match {pattern}")
    plain = EXPECTED.get(str(error["type"]))
    own = str(error["msg"]).removeprefix("Value error, ")
    # As YAML writes them.
    own = own.replace("True, False", "true, false")
    return plain or own.replace("Input should be", "must be").replace("Input should have", "must have")


ALIKE = 0.6
"""How similar a name must be to what was typed to be proposed; 1 is the same."""


def closest_names(typed: str, names: Iterable[str], most: int = 1) -> list[str]:
    """Return the names most similar to the typed text, closest first.

    Similarity is measured between the whole texts and between their words, and the larger value counts. The typed text
    may lack some of the name's words.
    """
    # Imported here: a name is seldom wrong.
    from difflib import SequenceMatcher

    def similarity(text: str, other: str) -> float:
        return SequenceMatcher(None, text, other).ratio()

    def score(name: str) -> float:
        # Dashes before options are alike in all of them.
        wrong, right = (text.strip("-").lower() for text in (typed, name))
        words, of_name = (re.split(r"[-_. ]", text) for text in (wrong, right))
        by_words = sum(max(similarity(word, other) for other in of_name) for word in words) / len(words)
        return max(similarity(wrong, right), by_words - 0.01 * abs(len(of_name) - len(words)))

    scores = {name: score(name) for name in names}
    return sorted((name for name in scores if scores[name] >= ALIKE), key=lambda name: -scores[name])[:most]


def known_name(name: str, names: Sequence[str], what: str) -> str:
    """Return the name if it is one of `names`; otherwise raise ValueError, which suggests the nearest name or lists
    all.
    """
    if name in names:
        return name
    near = closest_names(name, names)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    raise ValueError(f"there is no {what} {name!r}; {meant}")


def format_yaml_scalar(value: object) -> str:
    """Format a configuration value as YAML on one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(format_yaml_scalar, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {format_yaml_scalar(item)}' for key, item in value.items())}}}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def pluralize(count: int, singular: str, many: str | None = None) -> str:
    """Return a count with its noun in the right number: 1 position, 2 positions, 1,204 entries.

    The plural is `many`, or `singular` with an s.
    """
    return f"{count:,} {noun_for(count, singular, many)}"


def noun_for(count: int, singular: str, many: str | None = None) -> str:
    """Return only the noun, in the number that fits the count, for a sentence that formats the count itself."""
    return singular if count == 1 else many or f"{singular}s"


def counted_kind(count: int, kinds: str) -> str:
    """Return a count with the plural that names the counted things: 2 stored sessions, 1 stored session.

    If the plural names several kinds, such as "slots and claims", a single item is written as "1 of slots and claims".
    """
    if count != 1 or kinds.startswith("of "):
        return f"{count:,} {kinds}"
    if "," in kinds or " and " in kinds:
        return f"1 of {kinds}"
    named, of, whole = kinds.partition(" of ")
    return f"1 {_singular(named)}{of}{whole}"


def _singular(words: str) -> str:
    if words.endswith("ies"):
        return f"{words[:-3]}y"
    return words.removesuffix("es" if words.endswith("sses") else "s")


def plain(value: object) -> str:
    """Return a number formatted for people, text unchanged, and an empty string for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, Decimal | float | int):
        return str(value)
    if abs(float(value)) >= 1000:
        return f"{value:,.0f}"
    short = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


SMALL = Decimal("0.001")
"""Below this price, a price needs more than four decimals."""


def price_text(price: Decimal, tick: Decimal | None = None) -> str:
    """Format a price with the decimals of its tick, but at least two, or four below one dollar.

    Without a tick, a very small price gets four significant digits.
    """
    if tick is None and 0 < abs(price) < SMALL:
        return f"{Decimal(f'{price:.3e}'):f}"
    places = 4 if 0 < abs(price) < 1 else 2
    return f"{price:,.{max(places, -int(tick.normalize().as_tuple().exponent)) if tick else places}f}"


def span(seconds: float) -> str:
    """Return a duration as people write it, such as 45 s, 12 min, 3.5 h or 2 days."""
    minutes = seconds / 60
    if minutes < 1.5:
        return f"{seconds:z.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 2880 else f"{minutes / 1440:.0f} days"
