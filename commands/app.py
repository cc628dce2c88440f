"""The command line: every verb by name."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import typer
from typer.main import get_command

from commands import (
    adopt,
    backup,
    completion,
    events,
    exchange,
    fills,
    flatten,
    journal,
    live,
    orders,
    positions,
    restore,
    schedule,
    unhalt,
)
from commands.audit import verb as audit
from commands.config import verb as config
from commands.demo import verb as demo
from commands.doctor import verb as doctor
from commands.evaluate_exits import verb as evaluate_exits
from commands.fetch_flow import verb as fetch_flow
from commands.halt import verb as halt
from commands.init import verb as init
from commands.reconcile import verb as reconcile
from commands.recover import verb as recover
from commands.score import verb as score
from commands.serve import verb as serve
from commands.shared import schema
from commands.shared.help import Program, VerbGroup
from commands.shared.plain import clean
from commands.status import verb as status
from commands.strategy import verb as strategy
from commands.trade_once import verb as trade_once
from commands.why_no_orders import verb as why_no_orders
from tradebot import __version__
from tradebot.errors import ExitCode, OperatorError

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
for module in (
    init, demo, serve, schedule, fetch_flow, score, trade_once, evaluate_exits, reconcile, why_no_orders,
    status, doctor, audit, halt, unhalt, positions, orders, fills, events, adopt, flatten,
    backup, restore, recover, completion,
):  # fmt: skip
    module.register(app)
app.add_typer(config.app, name="config", cls=VerbGroup)
app.add_typer(exchange.app, name="exchange", cls=VerbGroup)
app.add_typer(journal.app, name="journal", cls=VerbGroup)
app.add_typer(strategy.app, name="strategy", cls=VerbGroup)
app.add_typer(live.app, name="live", cls=VerbGroup)
schema.offer(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tradebot {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", envvar="TRADEBOT_DEBUG", help="Show tracebacks."),
) -> None:
    """Read the options before a verb."""


@cache
def _command() -> Callable[..., Any]:
    """Return the tree of all verbs, built once per process."""
    return get_command(app)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; raise OperatorError if it can't be parsed."""
    _refuse_empty(arguments)
    try:
        result = int(_command()(arguments or ["--help"], prog_name="tradebot", standalone_mode=False) or 0)
    except typer.TyperException as wrong:
        from commands.shared.usage import explained

        raise explained(wrong, arguments, _command()) from wrong
    if result == ExitCode.INTERRUPTED:
        # Typer has taken the KeyboardInterrupt and left this code.
        raise KeyboardInterrupt
    return result


def _refuse_empty(arguments: list[str]) -> None:
    """Raise OperatorError for an empty or blank word: it must never mean everything, or the default.

    It is usually a shell variable that wasn't set. Only a reason may be empty.
    """
    for before, word in pairwise(["", *arguments]):
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if not (value if equals or not option else option).strip() and "--reason" not in (before, option):
            where = f"after {clean(option or before)[:40]}" if option or before else "on the command line"
            raise OperatorError(
                f"there is an empty word {where}, which names nothing", "is a variable of the shell unset?"
            )
