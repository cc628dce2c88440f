"""README's picture of the demo, and what the demo really prints.

make demo | python -m tests.docs.demo     # pass the screen on; exit 1 if README shows another one
python -m tests.docs demo                 # play the demo and write its screen into README.md
"""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"(?<=<!-- demo -->\n```\n).*?(?=\n```\n<!-- /demo -->)", re.DOTALL)
SCREEN = re.compile(r"^Session \d.*", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^  (?:python -m |\S*/)?tradebot ", re.MULTILINE)
BESIDE = re.compile(r"^Compared with the last run\n.*?(?=^Try next)", re.DOTALL | re.MULTILINE)
PLAYED = re.compile(r"played in \d+ s")
STALE = "README.md shows another screen of the demo. Write it: .venv/bin/python -m tests.docs demo"


def play(folder: Path, *flags: str) -> str:
    """Play the demo's session in an empty folder, which takes a while, and return its screen."""
    command, wide = [sys.executable, "-m", "tradebot", "demo", *flags], {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(command, cwd=folder, env=wide, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shown() -> str:
    found = BLOCK.search(PAGE.read_text(encoding="utf-8"))
    assert found, "README.md has no block between <!-- demo --> and <!-- /demo -->"
    return found[0]


def page(screen: str) -> str:
    """Return README with this screen, the seconds that it shows already, and commands as typed after `make demo`.

    It stays as it is if only the seconds differ, even if they are so many that a line breaks elsewhere.
    """
    if is_shown(screen):
        return PAGE.read_text(encoding="utf-8")
    seconds = PLAYED.search(shown())
    text = COMMAND.sub("  .venv/bin/tradebot ", screen.strip("\n"))
    text = PLAYED.sub(seconds[0], text) if seconds else text
    return BLOCK.sub(lambda _: text, PAGE.read_text(encoding="utf-8"))


def is_shown(printed: str) -> bool:
    """Return True if README shows the screen at the end of what `make demo` printed, at any width of the terminal."""
    screen = SCREEN.search(printed)
    return screen is not None and _timeless(screen[0]) == _timeless(shown())


def _timeless(text: str) -> list[str]:
    """Return the words of a screen without what differs between runs, machines and terminals."""
    # A demo that isn't the first in its folder also says what came of the one before it.
    text = PLAYED.sub("", BESIDE.sub("", text))
    return re.sub(r"[─█]+", "", COMMAND.sub("  tradebot ", text)).split()


if __name__ == "__main__":
    lines = []
    for line in sys.stdin:
        sys.stdout.write(line)
        sys.stdout.flush()
        lines.append(line)
    sys.exit(None if is_shown("".join(lines)) else STALE)
