"""What must not stand in a text that a person reads who can't look the rest up."""

import re

from tradebot.model.reasons import Reason

CODES = [str(reason) for reason in Reason if "_" in reason]
FLAWS = {
    "a code": rf"[A-Za-z]_[A-Za-z]|\b(?:{'|'.join(code.replace('_', ' ') for code in CODES)})\b",
    "a value of Python": r"\b(?:None|nan|NaN|inf|True|False|Decimal|datetime)\b|[\[\]{}<>]",
    "a time for programs": r"\d{4}-\d\d-\d\dT|:\d\d\.\d{3}|\+00:00",
    "an empty field": r"  |\( *\)|[:;,] *[:;,]|\(:|^[:;,)]",
    "no end": r"(?:[:;,(+-]|\.\.\.|\b(?:a|and|at|because|by|for|is|of|the|to|with))$",
}


def flaws(text: str) -> list[str]:
    """Return what is wrong with each line of a text."""
    lines = text.split("\n")
    return [f"{what}: {line}" for line in lines for what, found in FLAWS.items() if re.search(found, line.strip())]
