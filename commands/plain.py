"""What a verb needs before anything heavy is imported: who calls, documents, errors, typed confirmation.

`halt` goes through this file alone, so it uses the cheap part of the standard library only.
"""

import json
import os
import pwd
import sys
from typing import Any

from tradebot.errors import ExitCode, OperatorError, TradebotError


def caller() -> str:
    """Return who calls, for the records: the user's name and the process."""
    return f"{os.environ.get('USER') or _user_name()}/{os.getpid()}"


def _user_name() -> str:
    """Cron and systemd set no USER; a container's user may have no name at all."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def clean(text: str) -> str:
    """Return foreign text without control characters, which could repaint a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def document(verb: str, mode: str | None, account: str | None, code: int, data: object) -> dict[str, Any]:
    """Return a verb's versioned JSON document around data that JSON holds; `account` is the number's tail."""
    return {
        "schema": f"tradebot.{verb}/1",
        "verb": verb,
        "mode": mode,
        "account": account,
        "exit_code": int(code),
        "data": data,
    }


def error_document(error: TradebotError) -> dict[str, Any]:
    """Return an error as every verb prints it with --json."""
    described = {
        "code": int(error.code),
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
    }
    return {"schema": "tradebot.error/1", "error": described}


def say(text: str) -> None:
    """Print to stdout at once; a reader who has gone away (| head) changes nothing about what was done."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python flushes stdout once more as it ends: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(error: TradebotError, as_json: bool) -> None:
    """Print an error: a document on stdout for programs, sentences on stderr for people."""
    if as_json:
        say(json.dumps(error_document(error)))
        return
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  next: {error.hint}", file=sys.stderr)


def confirm(word: str, given: str | None, *, what: str, command: str, by_hand: bool) -> None:
    """Return where `word` was typed, as --confirm or at a terminal; `by_hand` takes it from a terminal only.

    Raises OperatorError: exit 2 where it was not said, 3 where another word was.
    """
    if by_hand and not sys.stdin.isatty():
        raise OperatorError(f"{what} with real money behind it needs a person at a terminal", command)
    if given is None or by_hand:
        given = _typed(word, what, command)
    if given != word:
        raise OperatorError(
            f"{what} was not confirmed: {clean(given)!r} is not {word}",
            f"{command} --confirm {word}",
            code=ExitCode.REFUSED,
        )


def _typed(word: str, what: str, command: str) -> str:
    if not sys.stdin.isatty():
        raise OperatorError(
            f"{what} needs confirmation, and there is no terminal to ask at", f"{command} --confirm {word}"
        )
    print(f"{what}: type {word} to go on: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
