"""Follow a guide as its reader does: write its files, type its commands in order, and compare what they print.

A block of `console` has commands, which begin with `$ `, and below each of them what it prints at a width of 100. `…`
stands for any text within a line, and alone on a line for any lines. A block after "Write this to `PATH`" is a file.
Whatever isn't `tradebot`, or needs a person or another terminal, is done by the test of the guide.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from commands.shared import hints
from tests.kit.bot.folder import Said, typed
from tests.kit.recipes import ROOT

GUIDES = ROOT / "docs" / "guides"
BLOCK = re.compile(
    r"(?:Write this\s+to\s+`(?P<path>[^`]+)`[^\n]*:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
ANY_LINES, ANY_TEXT = r"(?:[^\n]*\n)*?", r"[^\n]*?"
WELL = (0, 10)
"""The exit codes of a verb that did what it was asked; 10 says that something needs attention."""

NOTHING = Said(0, "", "")
Instead = Callable[[str], Said]
"""Does what a command asks for, and returns what it printed."""


class Written(NamedTuple):
    """A file that the guide lets its reader write."""

    path: str
    text: str


class Typed(NamedTuple):
    """A command of the guide, without its comment, and what the guide shows below it."""

    command: str
    shown: str


def text_of(name: str) -> str:
    return (GUIDES / f"{name}.md").read_text(encoding="utf-8")


def steps(page: str) -> Iterator[Written | Typed]:
    """Yield the files and the commands of a guide, in its order."""
    for block in BLOCK.finditer(page):
        if block["path"]:
            yield Written(block["path"], block["text"])
        elif block["language"] == "console":
            for line, shown in re.findall(r"^\$ ([^\n]+)\n((?:(?!\$ )[^\n]*\n)*)", block["text"], re.MULTILINE):
                yield Typed(re.sub(r"\s+# .*$", "", line), shown)


def follow(
    name: str,
    capsys: pytest.CaptureFixture[str],
    instead: Mapping[str, Instead] | None = None,
    edit: Callable[[str], str] = lambda text: text,
) -> dict[str, Said]:
    """Follow a guide in the current folder, and return what each command said; of a command typed twice, the last.

    `instead` has what is done for commands that begin with its words; the longest counts. `edit` changes the files that
    the guide lets its reader write.
    """
    done = dict[str, Said]()
    with pytest.MonkeyPatch.context() as surroundings:
        surroundings.setenv("COLUMNS", "100")
        for step in steps(text_of(name)):
            if isinstance(step, Written):
                Path(step.path).parent.mkdir(parents=True, exist_ok=True)
                Path(step.path).write_text(edit(step.text), encoding="utf-8")
                continue
            said = _says(step.command, {"export": _exported(surroundings), **(instead or {})}, capsys)
            done[step.command] = said
            # What a refusal says has to be shown.
            assert said.code in WELL or step.shown.strip(), f"{step.command}\n{said.out}{said.err}"
            require_shown(step, said.out + said.err)
    return done


def _exported(surroundings: pytest.MonkeyPatch) -> Instead:
    def set_(command: str) -> Said:
        surroundings.setenv(*shlex.split(command)[1].split("=", 1))
        return NOTHING

    return set_


def _says(command: str, instead: Mapping[str, Instead], capsys: pytest.CaptureFixture[str]) -> Said:
    fitting = [words for words in instead if f"{command} ".startswith(f"{words} ")]
    if fitting:
        return instead[max(fitting, key=len)](command)
    program, *words = shlex.split(command)
    assert program == "tradebot", f"the test of the guide has to say what {program} does"
    # Each command is its reader's own process, which knows nothing of the folder of the one before.
    hints.set_hint_folder(())
    return typed(capsys, *words)


def require_shown(step: Typed, printed: str) -> None:
    """AssertionError with what is printed, if the guide shows anything else below the command."""
    if step.shown.strip():
        assert is_shown(step.shown, printed), f"$ {step.command}\n{printed}\n--- and the guide shows:\n{step.shown}"


def is_shown(shown: str, printed: str) -> bool:
    """Return True if a guide shows what is printed; empty lines and spaces at the end of a line don't count."""
    pattern = "".join(
        ANY_LINES if line == "…" else re.escape(line).replace("…", ANY_TEXT) + "\n" for line in _lines(shown)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(printed))) is not None


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
