"""What has to stay on one line, and plain text wrapped around it. `halt` goes through this file: cheap imports only."""

import re
from collections.abc import Iterator

from commands.shared.hints import PROGRAM

_VALUE = r"""(?:'[^'\n]*'|"[^"\n]*"|[A-Z0-9/.<][^\s,;)]*|[a-z]+-[0-9a-f]{8}\b)"""
_PATH = r"(?:'[^'\n]*'|[^\s,;)]+)"
_AT = rf"(?: --state-dir {_PATH})?"
_NAMING = (
    rf"(?:restore|config show|exchange tick|strategy new|strategy test){_AT} [\w.:-]+"
    rf"|exchange faults{_AT} (?:ready|list|(?:add|show|clear) [\w.:-]+)"
)
"""Verbs whose next words are names in lowercase letters or digits."""
_VERB = r"(?:(?:exchange|journal|config|strategy|live) )?[a-z]+(?:-[a-z]+)*"
_OPTION = (
    rf" --state-dir {_PATH}| --(?:mode|since|speed) [\w-]+| --[a-z][a-z-]*(?:[ =]{_VALUE})?| [A-Z]{{2,}}[A-Z0-9.]*"
)
_COMMAND = rf"(?:python -m )?\b{PROGRAM} (?:--debug )?(?:{_NAMING}|{_VERB})(?:{_OPTION})*"
_OF_THE_SHELL = r"\b(?:chmod \S+|mv \S+|(?:ls|df) -\w+|touch|kill -\w+) \S+|\btimedatectl set-ntp true\b"
_MEASURED = r"\b\d[\d,.-]*(?: \d\d)?(?::\d\d){0,2} (?:ET|UTC|USD|s|min|h)\b"
WORD = re.compile(rf"(?:{_COMMAND}|{_OF_THE_SHELL}|{_MEASURED}|\S)+\s*")
"""What stays on one line: a word, a number with its unit, a moment with its zone, or a command with its options."""


def wrapped_plain(text: str, width: int) -> str:
    """Return plain text wrapped between words, with further lines indented; what stays on one line may be wider."""
    return "\n".join(part for line in text.split("\n") for part in _parts(line, width))


def _parts(line: str, width: int) -> Iterator[str]:
    indent = len(line) - len(line.lstrip(" "))
    current = line[:indent]
    for word in WORD.findall(line):
        if current.strip() and len(current) + len(word.rstrip()) > width:
            yield current.rstrip()
            current = " " * (indent + 2)
        current += word
    yield current.rstrip()
