"""Writes the screen of the demo into README.md.

Run it from the repository's root: python -m tests.docs demo
"""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"(?<=<!-- demo -->\n```\n).*?(?=\n```\n<!-- /demo -->)", re.DOTALL)
COMMAND = re.compile(r"^  (?:python -m |\S*/)?tradebot ", re.MULTILINE)


def play(folder: Path) -> str:
    """Play the demo's session in an empty folder, which takes a while, and return its screen."""
    command, wide = [sys.executable, "-m", "tradebot", "demo"], {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(command, cwd=folder, env=wide, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shown() -> str:
    """Return the screen that README shows."""
    found = BLOCK.search(PAGE.read_text(encoding="utf-8"))
    assert found, "README.md has no block between <!-- demo --> and <!-- /demo -->"
    return found[0]


def page(screen: str) -> str:
    """Return README with this screen, and its commands as they are typed after `make demo`."""
    text = COMMAND.sub("  .venv/bin/tradebot ", screen.strip("\n"))
    return BLOCK.sub(lambda _: text, PAGE.read_text(encoding="utf-8"))


def same(one: str, other: str) -> bool:
    """Return True if two screens differ only in what differs between runs and machines."""
    return _timeless(one) == _timeless(other)


def _timeless(text: str) -> list[str]:
    return COMMAND.sub("  tradebot ", re.sub(r"played in \d+ s", "played in N s", text)).split()
