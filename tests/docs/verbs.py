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
HEAD = """# Verbs

Every verb of `tradebot`, grouped as in `tradebot --help`. `tradebot VERB --help` also lists the options.

Every verb takes `--json`, which prints one versioned document on stdout and sends everything else to stderr;
`--schema`, which prints the JSON Schema of that document; and `--help`. Verbs that act on a bot take
`--state-dir`, the bot's folder (otherwise `TRADEBOT_STATE`, otherwise `./state`).
"""


def page() -> str:
    known = dict(leaves(program()))
    parts = [HEAD]
    for purpose, verbs in groupby(VERBS, lambda verb: VERBS[verb].purpose):
        parts += [f"## {purpose}", "", "| verb | what it does | for example |", "|---|---|---|"]
        parts += [_row(verb, known[verb]) for verb in verbs]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _row(verb: str, command: Any) -> str:
    examples = "<br>".join(f"`{line.partition('  #')[0]}`" for line in command.epilog.splitlines())
    return f"| `{verb}` | {' '.join(inspect.cleandoc(command.help).split())} | {examples} |"
