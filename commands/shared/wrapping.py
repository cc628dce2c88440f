"""Wrap lines between words, but never inside a path or a command, so that these can be copied."""

import re

from rich.cells import cell_len
from rich.text import Text

from commands.shared.hints import PROGRAM

_VALUE = r"(?:'[^'\n]*'|[A-Z0-9/.<][^\s,;)]*|[a-z]+-[0-9a-f]{8}\b)"
_COMMAND = (
    rf"(?:python -m )?\b{PROGRAM} (?:--debug )?(?:(?:exchange|journal|config|strategy|live) )?[a-z]+(?:-[a-z]+)*"
    rf"(?: --state-dir (?:'[^'\n]*'|[^\s,;)]+)| --[a-z][a-z-]*(?:[ =]{_VALUE})?| [A-Z]{{2,}}[A-Z0-9.]*)*"
)
_MEASURED = r"\b\d[\d,.-]*(?: \d\d)?(?::\d\d){0,2} (?:ET|UTC|USD|s|min|h)\b"
WORD = re.compile(rf"(?:{_COMMAND}|{_MEASURED}|\S)+\s*")
"""What stays on one line: a word, a number with its unit, a moment with its zone, or a command with its options."""
LABEL = re.compile(r" *(?:\d+\. |\S+ {2,})?")
"""What the further lines of a sentence stand to the right of: its indent, and a label before two blanks or a number."""
DEEPEST = 16
"""A longer label has further lines begin under it instead of beside it."""


def wrapped(text: Text, width: int) -> list[Text]:
    """Return a text in lines of at most `width` cells; only what stays on one line may be wider."""
    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        breaks, start = [], 0
        for word in WORD.finditer(line.plain):
            if line.plain[start : word.start()].strip() and _wide(line.plain[start : word.end()]) > width:
                breaks.append(start := word.start())
        lines += line.divide(breaks)
    for line in lines:
        line.rstrip()
    return lines


def hanging(text: Text, width: int) -> Text:
    """Return a text wrapped, its further lines indented under the first."""
    shown = [line for whole in text.split("\n", allow_blank=True) for line in _hung(whole, width)]
    return Text("\n").join(shown)


def _hung(line: Text, width: int) -> list[Text]:
    label = LABEL.match(line.plain)
    indent = len(line.plain) - len(line.plain.lstrip())
    labelled = label is not None and indent < label.end() <= DEEPEST
    start, depth = (label.end(), label.end()) if label and labelled else (indent, indent + 2)
    body = line[start:]
    first, *_ = wrapped(body, width - start)
    rest = body[len(first) :]
    further = wrapped(rest[len(rest) - len(rest.plain.lstrip()) :], width - depth) if rest.plain.strip() else []
    return [line[:start] + first, *(Text(" " * depth) + each for each in further)]


def longest_word(text: Text) -> int:
    """Return the width of the widest part of a text that stays on one line."""
    return max((_wide(word[0]) for word in WORD.finditer(text.plain)), default=0)


def _wide(text: str) -> int:
    return cell_len(text.rstrip())
