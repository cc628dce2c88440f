"""Helpers without slow imports: the caller's name, documents, errors, typed confirmation.

`halt` imports this file, so it uses only fast parts of the standard library.
"""

import io
import json
import os
import pwd
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TextIO

from commands.shared.hints import PROGRAM, aimed_all, with_bot_options
from commands.shared.listed_verbs import VERBS
from commands.shared.times import for_reader
from tradebot.adapters.state.marker_text import FIRST_VENUE
from tradebot.adapters.text.redaction import hide_keys
from tradebot.errors import ExitCode, OperatorError, TradebotError

_VALUE = r"""(?:'[^'\n]*'|"[^"\n]*"|[A-Z0-9/.<][^\s,;)]*|[a-z]+-[0-9a-f]{8}\b)"""
_PATH = r"(?:'[^'\n]*'|[^\s,;)]+)"
_AT = rf"(?: --state-dir {_PATH})?"
_NAMING = (
    rf"(?:restore|config show|config set|exchange tick|strategy new|strategy test){_AT} [\w.:-]+"
    rf"|exchange faults{_AT} (?:ready|list|(?:add|show|clear) [\w.:-]+)"
)
"""Verbs whose next words are names in lowercase letters or digits."""
_VERB = r"(?:(?:exchange|journal|config|strategy|live|notify|drill) )?[a-z]+(?:-[a-z]+)*"
_OPTION = (
    rf" --state-dir {_PATH}| --(?:mode|since|speed) [\w-]+| --[a-z][a-z-]*(?:[ =]{_VALUE})?| [A-Z]{{2,}}[A-Z0-9._]*"
)
COMMAND = rf"(?:python -m )?\b{PROGRAM} (?:--debug )?(?:{_NAMING}|{_VERB})(?:{_OPTION})*"
"""A command with its options, as texts suggest it."""
_OF_THE_SHELL = r"\b(?:chmod \S+|mv \S+|(?:ls|df) -\w+|touch|kill -\w+) \S+|\btimedatectl set-ntp true\b"
_MEASURED = r"\b\d[\d,.-]*(?: \d\d)?(?::\d\d){0,2} (?:ET|UTC|USD|s|min|h)\b"
WORD = rf"(?:{COMMAND}|{_OF_THE_SHELL}|{_MEASURED}|\S)+\s*"
"""Text that stays on one line: a word, a number with its unit, a moment with its time zone, or a command with its
options.
"""


def wrapped_plain(text: str, width: int) -> str:
    """Wrap plain text between words and indent all lines but the first; an unbreakable part may be wider."""
    return "\n".join(part for line in text.split("\n") for part in _parts(line, width))


def _parts(line: str, width: int) -> Iterator[str]:
    indent = len(line) - len(line.lstrip(" "))
    current = line[:indent]
    for word in re.findall(WORD, line):
        if current.strip() and len(current) + len(word.rstrip()) > width:
            yield current.rstrip()
            current = " " * (indent + 2)
        current += word
    yield current.rstrip()


VERSIONS = dict(document.split("/") for listed in VERBS.values() for document in listed.prints)
"""The version of each verb's document, by the document's name; documents of errors aren't among them."""

NARROWEST = 40
"""The fewest columns that text is wrapped to."""


class Identity(NamedTuple):
    """The bot that a document is about: its mode, its venue, and its account's tail; None if no bot was found."""

    mode: str | None = None
    venue: str | None = None
    account: str | None = None

    @property
    def venue_and_account(self) -> str:
        """Return venue and account for people. The default embedded exchange is not named."""
        played = (self.mode or "").startswith("sandbox") and self.venue == FIRST_VENUE
        at = "" if self.venue is None or played else f"{self.venue} "
        return f"{at}account …{self.account}"


NOBODY = Identity()
NO_REASON = "no reason given"


class OutputError(TradebotError):
    """The output couldn't be written (the disk is full, for example). The work itself is done."""


def caller() -> str:
    """Return the caller for the records: the user's name and the process."""
    return f"{os.environ.get('USER') or _user_name()}/{os.getpid()}"


def _user_name() -> str:
    """Return the user's name. Cron and systemd set no USER, and a container's user may have no name at all."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def clean(text: str) -> str:
    """Return foreign text without control characters, which could repaint a terminal."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)


def clean_lines(text: str) -> str:
    """Return foreign text without control characters other than line ends."""
    return "\n".join(map(clean, text.split("\n")))


def did_you_mean(typed: str, names: Sequence[str]) -> str:
    """Return "did you mean A or B?" with the names closest to the input; empty if none is close."""
    from tradebot.model.sentences import closest_names

    near = closest_names(typed, names, 3)
    return f"did you mean {' or '.join(near)}?" if near else ""


def document(verb: str, bot_identity: Identity, code: int, data: object) -> dict[str, Any]:
    """Return a verb's versioned JSON document with its data."""
    return {
        "schema": f"tradebot.{verb}/{VERSIONS.get(verb, 1)}",
        "verb": verb,
        **bot_identity._asdict(),
        "exit_code": int(code),
        "data": aimed_all(data),
    }


def error_document(error: TradebotError, bot_identity: Identity) -> dict[str, Any]:
    """Return the document that a verb prints for an error with --json."""
    described = {
        "code": int(error.code),
        "message": error.message,
        "hint": with_bot_options(error.hint),
        "retryable": error.retryable,
    }
    return {"schema": "tradebot.error/1", **bot_identity._asdict(), "error": described}


def document_in(output: str) -> dict[str, Any] | None:
    """Return the document, a result or an error, in a verb's output; None if there is none."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    try:
        document = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return document if isinstance(document, dict) and ("data" in document or "error" in document) else None


def repair_streams() -> None:
    """Redirect closed streams to the null device, and print characters that the encoding lacks as question marks."""
    sys.stdin = sys.stdin or os.fdopen(os.open(os.devnull, os.O_RDONLY), encoding="utf-8")
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.closed:
            stream.reconfigure(errors="replace")


def discard_output(stream: TextIO) -> None:
    """Discard all further output to a stream, because Python would flush it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str) -> bool:
    """Print to stdout at once; return False if the reader has closed the pipe, which isn't an error.

    Raises OutputError the first time that text can't be written; later output is discarded.
    """
    return say_parts([text])


def say_parts(parts: Iterable[str]) -> bool:
    """Print a text part by part, in the same way as `say` prints a whole text."""
    try:
        for part in parts:
            print(hide_keys(part), end="")
        print(flush=True)
    except BrokenPipeError:
        discard_output(sys.stdout)
        return False
    except OSError as error:
        discard_output(sys.stdout)
        raise OutputError(
            f"the output can't be written: {error.strerror}",
            "the work itself is done; send the output somewhere else, and run tradebot status",
        ) from error
    return True


def note(text: str) -> None:
    """Print a note to stderr, separate from the data."""
    print_to_stderr(wrap_for(with_bot_options(text), sys.stderr))


def print_error(error: TradebotError) -> None:
    """Print an error for people: sentences on stderr, wrapped to the width of the terminal."""
    following = f"\n  next: {with_bot_options(error.hint)}" if error.hint else ""
    print_to_stderr(wrap_for(f"error: {for_reader(error.message)}{following}", sys.stderr))


def wrap_for(text: str, stream: TextIO) -> str:
    """Return plain text wrapped to the width of a stream's terminal; unchanged for a file or a pipe."""
    width = _columns(stream)
    return wrapped_plain(text, width) if width else text


def _columns(stream: TextIO) -> int | None:
    """Return the width to wrap at: COLUMNS if it is set, otherwise the terminal's; None for a file or a pipe."""
    columns_setting = os.environ.get("COLUMNS", "")
    if columns_setting.isascii() and columns_setting.isdigit():
        return max(int(columns_setting), NARROWEST)
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None
    return max(columns, NARROWEST) if columns else None


def print_error_document(error: TradebotError, bot_identity: Identity) -> None:
    """Print an error for programs: a document on stdout, or sentences on stderr if stdout fails."""
    if isinstance(error, OutputError):
        print_error(error)
        return
    try:
        say(json.dumps(error_document(error, bot_identity)))
    except OutputError as lost:
        print_error(lost)


def print_to_stderr(text: str) -> None:
    """Print text to stderr without control characters: it may quote a file, a plug-in or a venue."""
    try:
        print(hide_keys(clean_lines(text)), file=sys.stderr, flush=True)
    except OSError:
        # Nobody can read it; the exit code still reports the error.
        discard_output(sys.stderr)


def confirm(word: str, typed: str | None, *, what: str, command: str, by_hand: bool) -> None:
    """Return once a person has confirmed `word`, by --confirm or at a terminal; with `by_hand`, only at a terminal.

    Raises OperatorError: exit 2 if nothing was typed, 3 if it was a different word.
    """
    if by_hand and not sys.stdin.isatty():
        raise OperatorError(f"{what} with real money needs a person at a terminal", command)
    if typed is None or by_hand:
        typed = _read_confirmation(word, what, command)
    if typed != word:
        # If only a terminal can confirm it, the command is simply run again without --confirm.
        raise OperatorError(
            f"{what} was not confirmed: you typed {clean(typed)!r} instead of {word}",
            command if by_hand else f"{command} --confirm {word}",
            code=ExitCode.REFUSED,
        )


def _read_confirmation(word: str, what: str, command: str) -> str:
    if not sys.stdin.isatty():
        raise OperatorError(
            f"{what} needs confirmation, and there is no terminal to ask in", f"{command} --confirm {word}"
        )
    print(f"{what}: type {word} to confirm: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
