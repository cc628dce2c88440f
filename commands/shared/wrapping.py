"""Wrap lines between words, but never inside a path or a command, so that these can be copied."""

import re

from rich.cells import cell_len
from rich.text import Text

from commands.shared.words import WORD

LABEL = re.compile(r" *(?:\d+\. |\S+ {2,})?")
"""What the further lines of a sentence are indented by: its own indent, and a number or a label with two blanks."""
DEEPEST = 16
"""The longest label that further lines are indented by; a longer one is wrapped like the rest."""


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
    """Return a text wrapped, with further lines indented under the first."""
    shown = [line for each in text.split("\n", allow_blank=True) for line in _hung(each, width)]
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
