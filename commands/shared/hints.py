"""Turn the commands that tradebot suggests into the exact text to type for the same bot.

In source texts, a command is written as `tradebot VERB …`. When it is printed, `tradebot` is replaced with how this
program was started, and the folder is added unless it is the default one. `halt` imports this file, so it has only fast
imports.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import pairwise
from pathlib import Path

from commands.shared.listed_verbs import GROUPS, VERBS
from tradebot.adapters.state import state_folder

PROGRAM = "tradebot"
COMMAND = re.compile(
    rf"(?<![\w./-])tradebot ((?:(?:{'|'.join(GROUPS)}) )?[a-z]+(?:-[a-z]+)*)"
    r"(\.(?=\s|$))?"
)
QUOTED = frozenset({"by", "details", "note", "reason", "who", "why"})
"""Fields of a document that quote a person or the broker, and so stay unchanged."""

_flag: ContextVar[str] = ContextVar("_flag", default="")


def set_hint_folder(arguments: Sequence[str]) -> None:
    """Store the folder that this command line acts on."""
    folder = target_folder(arguments)
    _flag.set("" if folder == state_folder.DEFAULT else f" {state_folder.option(folder)}")


@contextmanager
def hints_aimed_at(folder: Path) -> Iterator[None]:
    """Let commands that are suggested inside the block, in this thread, act on a folder."""
    token = _flag.set(f" {state_folder.option(folder)}")
    try:
        yield
    finally:
        _flag.reset(token)


def target_folder(arguments: Sequence[str]) -> Path:
    """Return the state folder that this command line acts on."""
    return state_folder.resolve(_folder_named(arguments), os.environ)


def with_bot_options(text: str, written: Callable[[str], str] = str) -> str:
    """Add the options that select this bot to each tradebot command in a text.

    `written` escapes the options for the text's format.
    """
    return COMMAND.sub(partial(_complete_hint, written), text) if f"{PROGRAM} " in text else text


def aimed_all(value: object) -> object:
    """Add the options that select this bot to each command in the texts of JSON data."""
    if isinstance(value, str):
        return with_bot_options(value)
    if isinstance(value, Mapping):
        return {key: item if key in QUOTED else aimed_all(item) for key, item in value.items()}
    return [aimed_all(item) for item in value] if isinstance(value, list) else value


def invoked_as() -> str:
    """Return how this program was started, so that a person can type a suggested command just as it is shown."""
    started = sys.argv[0]
    folder, name = os.path.split(started)
    if name == "__main__.py" and os.path.basename(folder) == PROGRAM:
        return f"python -m {PROGRAM}"
    if name != PROGRAM or not os.path.exists(started):
        return PROGRAM
    paths = (os.path.join(folder, PROGRAM) for folder in os.get_exec_path())
    executable = next((path for path in paths if os.access(path, os.X_OK)), None)
    same = executable is not None and os.path.samefile(executable, started)
    return PROGRAM if same else min(os.path.relpath(started), os.path.abspath(started), key=len)


def _folder_named(arguments: Sequence[str]) -> str | None:
    """Return the folder that a command line names; the last one wins, as usual."""
    named = [
        word.partition("=")[2] or following
        for word, following in pairwise([*arguments, ""])
        if word == "--state-dir" or word.startswith("--state-dir=")
    ]
    return named[-1] if named else None


def _complete_hint(written: Callable[[str], str], match: re.Match[str]) -> str:
    verb, rest = match[1], match.string[match.end() :]
    if verb not in VERBS:
        return match[0]
    own_words = rest.partition(f"{PROGRAM} ")[0]
    names_bots = "--state-dir" in own_words or " --bots " in own_words
    placed = VERBS[verb].elsewhere or names_bots or own_words.startswith(" --help")
    command = f"{invoked_as()} {verb}"
    if placed or not _flag.get():
        return written(command) + (match[2] or "")
    # A period after the command would be copied as part of the folder's name.
    stop = ";" if match[2] and rest else ""
    return written(f"{command}{_flag.get()}") + stop
