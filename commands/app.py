"""The command line: every verb by name."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import typer
from typer.main import get_command

from commands.shared.declaration import DECLARED
from commands.shared.help import Program, VerbGroup
from commands.shared.light_helpers import clean
from commands.shared.listed_verbs import GROUPS, VERBS
from commands.shared.schema import Verb
from tradebot import __version__
from tradebot.errors import ExitCode, OperatorError


@cache
def program(only: str = "") -> Callable[..., Any]:
    """Return the command tree, built once per process: of one verb, of one group, or of all."""
    app = typer.Typer(
        name="tradebot",
        cls=Program,
        help="A trading bot that explains itself. It needs no account: it can trade on its own embedded exchange.",
        epilog="tradebot demo\ntradebot why-no-orders\ntradebot status --help",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    groups = {name: typer.Typer(help=what, no_args_is_help=True) for name, what in GROUPS.items()}
    for name, listed in sorted(VERBS.items(), key=lambda each: each[1].in_group):
        words, _, word = name.rpartition(" ")
        if only in ("", name, words):
            import_module(listed.module)
            declared = DECLARED[name]
            (groups[words] if words else app).command(word, epilog=declared.epilog, cls=Verb)(declared.act)
    for words, group in groups.items():
        if group.registered_commands:
            app.add_typer(group, name=words, cls=VerbGroup)
    return get_command(app)


def _version(requested: bool) -> None:
    if requested:
        print(f"tradebot {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", envvar="TRADEBOT_DEBUG", help="Show tracebacks."),
) -> None:
    """Read the options before a verb."""


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; raise OperatorError if it can't be parsed."""
    _refuse_empty(arguments)
    typed = (" ".join(arguments[:count]) for count in (3, 2, 1))
    only = next((words for words in typed if words in VERBS or words in GROUPS), "")
    try:
        result = int(program(only)(arguments or ["--help"], prog_name="tradebot", standalone_mode=False) or 0)
    except typer.TyperException as wrong:
        from commands.shared.usage import usage_error

        raise usage_error(wrong, arguments, program()) from wrong
    if result == ExitCode.INTERRUPTED:
        # Typer turned the KeyboardInterrupt into this code.
        raise KeyboardInterrupt
    return result


def _refuse_empty(arguments: list[str]) -> None:
    """Raise OperatorError for an empty or blank argument, which must never mean everything or the default.

    It usually comes from a shell variable that isn't set. Only a reason may be empty.
    """
    for before, word in pairwise(["", *arguments]):
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if not (value if equals or not option else option).strip() and "--reason" not in (before, option):
            where = f"after {clean(option or before)[:40]}" if option or before else "on the command line"
            raise OperatorError(f"there is an empty argument {where}", "is a shell variable unset?")
