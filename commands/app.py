"""The command line: every verb by name, and the boundary around them."""

import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

import typer

from commands import (
    demo,
    evaluate_exits,
    exchange,
    fetch_flow,
    halt,
    init,
    reconcile,
    score,
    status,
    trade_once,
    unhalt,
    why_no_orders,
)
from commands.surface import print_error
from tradebot import __version__
from tradebot.errors import ExitCode, OperatorError, TradebotError

app = typer.Typer(
    name="tradebot",
    help="A trading bot that can be questioned. With no account and no keys it trades on its own embedded exchange.",
    epilog="Begin with: tradebot demo     then: tradebot why-no-orders",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    init, demo, fetch_flow, score, trade_once, evaluate_exits, reconcile, why_no_orders, status, halt, unhalt,
):  # fmt: skip
    module.register(app)
app.add_typer(exchange.app, name="exchange")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tradebot {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", envvar="TRADEBOT_DEBUG", help="Show tracebacks."),
) -> None:
    """Take the options that stand before a verb."""


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every error ends here as a sentence with its next step."""
    signal.signal(signal.SIGTERM, _terminated)
    as_json = "--json" in arguments
    try:
        result = int(app(arguments or ["--help"], standalone_mode=False) or 0)
        if result == ExitCode.INTERRUPTED:
            # Typer has taken the KeyboardInterrupt and left this code.
            print_error(TradebotError("cut short", "what was promised is in the ledger: tradebot status"), as_json)
        sys.stdout.flush()
        return result
    except typer.TyperException as wrong:
        print_error(OperatorError(wrong.format_message(), _usage_hint(wrong)), as_json)
        return ExitCode.USAGE
    except TradebotError as error:
        print_error(error, as_json)
        return error.code
    except BrokenPipeError:
        # The reader went away (| head): not an error, and nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except Exception as error:  # noqa: BLE001 - the boundary of a command: whatever else happens is our own fault
        _report_fault(error, as_json, show="--debug" in arguments or bool(os.environ.get("TRADEBOT_DEBUG")))
        return ExitCode.ERROR


def _usage_hint(wrong: typer.TyperException) -> str:
    context = getattr(wrong, "ctx", None)
    return f"{context.command_path} --help" if context else "tradebot --help"


def _report_fault(error: Exception, as_json: bool, *, show: bool) -> None:
    if show:
        traceback.print_exception(error)
    message = f"this is a fault of tradebot: {type(error).__name__}: {error}"
    print_error(TradebotError(message, "run it again with tradebot --debug VERB, and report what it prints"), as_json)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(int(ExitCode.TERMINATED))
