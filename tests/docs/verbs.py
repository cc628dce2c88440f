"""Writes docs/internals/VERBS.md from the help of every verb.

Run it from the repository's root: python -m tests.docs
"""

import inspect
from itertools import groupby
from pathlib import Path
from typing import Any

from commands.app import program
from commands.shared.help import leaves
from commands.shared.listed_verbs import VERBS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "internals" / "VERBS.md"


def page() -> str:
    """Return the page: what it begins with is its own, and the rest is made of the verbs."""
    known = dict(leaves(program()))
    parts = [PAGE.read_text(encoding="utf-8").partition("\n## ")[0]]
    for purpose, verbs in groupby(VERBS, lambda verb: VERBS[verb].purpose):
        parts += [f"## {purpose}", "", "| verb | what it does | for example |", "|---|---|---|"]
        parts += [_row(verb, known[verb]) for verb in verbs]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _row(verb: str, command: Any) -> str:
    examples = "<br>".join(f"`{line.partition('  #')[0]}`" for line in command.epilog.splitlines())
    return f"| `{verb}` | {' '.join(inspect.cleandoc(command.help).split())} | {examples} |"
