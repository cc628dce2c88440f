"""The command line: every verb by name. Only the modules of the current verb are imported."""

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from itertools import dropwhile, pairwise
from typing import Any

import typer
from typer.main import get_command

from commands.shared.declaration import DECLARED
from commands.shared.help import HelpfulCommand, Program, VerbGroup, leaves
from commands.shared.hints import target_folder
from commands.shared.light_helpers import clean
from commands.shared.listed_verbs import GROUPS, VERBS
from commands.shared.schema import Verb
from tradebot import __version__
from tradebot.errors import ExitCode, OperatorError


@cache
def program(read: str | None = None) -> Callable[..., Any]:
    """Return the command tree, built once per process.

    Only the verb or group `read` is loaded with its options, or every verb if `read` is None. The others have just
    their names and summaries.
    """
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
        group = groups[words] if words else app
        if read is None or read in (name, words or name):
            import_module(listed.module)
            declared = DECLARED[name]
            group.command(word, epilog=declared.epilog, cls=Verb)(declared.act)
        else:
            group.command(word, help=listed.help, cls=HelpfulCommand)(_unread)
    for words, group in groups.items():
        app.add_typer(group, name=words, cls=VerbGroup)
    return get_command(app)


def _unread() -> None:
    """Stand in for a verb that wasn't typed, and so never runs."""


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
    if _names_no_more_than_a_bot(arguments) and "_TRADEBOT_COMPLETE" not in os.environ:
        from commands.status.report import show_overview

        show_overview(target_folder(arguments))
        return 0
    tree = program(_verb_named(_words_to_complete() or arguments))
    try:
        result = int(tree(arguments, prog_name="tradebot", standalone_mode=False) or 0)
    except typer.TyperException as wrong:
        from commands.shared.usage import usage_error

        raise usage_error(wrong, arguments, dict(leaves(tree)), _command) from wrong
    if result == ExitCode.INTERRUPTED:
        # Typer turned the KeyboardInterrupt into this code.
        raise KeyboardInterrupt
    return result


def _names_no_more_than_a_bot(arguments: list[str]) -> bool:
    """Return True for `tradebot` alone, or with nothing but --state-dir FOLDER."""
    option = [word.partition("=")[0] for word in arguments[:1]]
    return not arguments or (option == ["--state-dir"] and len(arguments) == 1 + ("=" not in arguments[0]))


def _verb_named(words: list[str]) -> str:
    """Return the verb or group that a command line names, or else an empty text."""
    typed = [*dropwhile(lambda word: word.startswith("-"), words)]
    return next((name for count in (3, 2, 1) if (name := " ".join(typed[:count])) in VERBS or name in GROUPS), "")


def _words_to_complete() -> list[str]:
    """Return the words of the command line that a shell asks to complete; none for any other command."""
    if "_TRADEBOT_COMPLETE" not in os.environ:
        return []
    return (os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")).split()[1:]


def _command(verb: str) -> Any:
    """Return the command of a verb, imported."""
    return dict(leaves(program(verb)))[verb]


def _refuse_empty(arguments: list[str]) -> None:
    """Raise OperatorError for an empty or blank argument, which must never mean everything or the default.

    It usually comes from a shell variable that isn't set. Only a reason may be empty.
    """
    for before, word in pairwise(["", *arguments]):
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if not (value if equals or not option else option).strip() and "--reason" not in (before, option):
            where = f"after {clean(option or before)[:40]}" if option or before else "on the command line"
            raise OperatorError(f"there is an empty argument {where}", "is a shell variable unset?")
