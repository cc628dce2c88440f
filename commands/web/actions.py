"""The actions on a page: halt, answer an approval request, annotate a trade. No others are possible there."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from commands.shared.light_helpers import clean, clean_lines
from tradebot.adapters.state.subprocess_runner import OneShots
from tradebot.adapters.text.redaction import hide
from tradebot.errors import OperatorError
from tradebot.model.serving import ChoreEnd

WORD = "halt"
LIMIT_S = 120.0
LONGEST, LONGEST_TEXT = 20_000, 1_000
CALLER = "web"
"""The actor of these actions in the records."""
NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:^=-]{0,99}")

Given = Mapping[str, str]
Run = Callable[[Sequence[str], float, Callable[[], bool]], ChoreEnd]


class CommandResult(NamedTuple):
    """The command that was run, its output, and whether it succeeded."""

    command: str
    printed: str
    is_done: bool


class VerbActions:
    """Runs the verbs of one bot, each in a separate process; `runs` creates the runner for a folder."""

    def __init__(
        self, folder: Path, config: str | None, runs: Callable[[Path, str | None, int, str], Run] = OneShots
    ) -> None:
        self._folder, self._config, self._runs = folder, config, runs

    def act(self, form: Given) -> CommandResult:
        """Run the action of a form, and return the verb's output; raise OperatorError for an invalid form."""
        build_words = FORMS.get(form.get("do", ""))
        if build_words is None:
            raise OperatorError("this form asks for nothing that can be done here", "load the page again")
        words = build_words(form)
        ended = self._runs(self._folder, self._config, LONGEST, CALLER)(words, LIMIT_S, lambda: False)
        why = f"\n{words[0]} was {ended.why}" if ended.why else ""
        return CommandResult(f"tradebot {words[0]}", clean_lines(hide(ended.output + why)).strip(), ended.code == 0)


def _halt(form: Given) -> list[str]:
    typed = form.get("word", "").strip()
    if typed != WORD:
        raise OperatorError(f"nothing is halted: you typed {clean(typed)[:40]!r}", f"type {WORD} to confirm")
    return ["halt", f"--reason={_text(form, 'reason') or 'halted from the web page'}"]


def _approve(form: Given) -> list[str]:
    return ["approve", _name(form, "request")]


def _reject(form: Given) -> list[str]:
    return ["reject", _name(form, "request")]


def _note(form: Given) -> list[str]:
    text, tag = _text(form, "text"), _text(form, "tag")
    if text.startswith("-"):
        raise OperatorError("a note can't begin with a dash here", "begin it with a word")
    return ["trades", "note", _name(form, "trade"), *([text] if text else []), *([f"--tag={tag}"] if tag else [])]


def _name(form: Given, field: str) -> str:
    name = form.get(field, "").strip()
    if not NAMED.fullmatch(name):
        raise OperatorError(f"{clean(name)[:40]!r} names nothing", "load the page again, and take a name from it")
    return name


def _text(form: Given, field: str) -> str:
    return clean(form.get(field, "")).strip()[:LONGEST_TEXT]


FORMS: Mapping[str, Callable[[Given], list[str]]] = {
    "halt": _halt,
    "approve": _approve,
    "reject": _reject,
    "note": _note,
}
"""The actions by the names of their buttons."""
