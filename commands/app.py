"""The command line: every verb by name."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import typer
from typer.main import get_command

from commands.shared import schema, verb_options
from commands.shared.help import Program, VerbGroup
from commands.shared.light_helpers import clean
from tradebot import __version__
from tradebot.errors import ExitCode, OperatorError

VERBS: Mapping[str, str] = {
    "init": "commands.init.verb",
    "demo": "commands.demo.verb",
    "backtest": "commands.backtest.verb",
    "search": "commands.search.verb",
    "promote": "commands.promote.verb",
    "demote": "commands.promote.verb",
    "shadow": "commands.shadow.verb",
    "serve": "commands.serve.verb",
    "schedule": "commands.schedule.verb",
    "fetch-flow": "commands.fetch_flow.verb",
    "score": "commands.score.verb",
    "trade-once": "commands.trade_once.verb",
    "evaluate-exits": "commands.evaluate_exits.verb",
    "reconcile": "commands.reconcile.verb",
    "why-no-orders": "commands.why_no_orders.verb",
    "replay": "commands.replay.verb",
    "parity": "commands.parity.verb",
    "incident": "commands.incident.verb",
    "status": "commands.status.verb",
    "health": "commands.health.verb",
    "summary": "commands.summary.verb",
    "top": "commands.top.verb",
    "doctor": "commands.doctor.verb",
    "signals": "commands.signals.verb",
    "registry": "commands.registry",
    "audit": "commands.audit.verb",
    "halt": "commands.halt.halt_command",
    "unhalt": "commands.unhalt",
    "approvals": "commands.approvals",
    "approve": "commands.approvals",
    "reject": "commands.approvals",
    "positions": "commands.positions",
    "orders": "commands.orders",
    "fills": "commands.fills",
    "trades": "commands.trades.verb",
    "pnl": "commands.pnl.verb",
    "events": "commands.events",
    "tail": "commands.tail",
    "export": "commands.export",
    "report": "commands.report.verb",
    "learn": "commands.learn.verb",
    "compare": "commands.compare.verb",
    "adopt": "commands.adopt",
    "flatten": "commands.flatten",
    "backup": "commands.backup",
    "restore": "commands.restore",
    "recover": "commands.recover.verb",
    "upgrade": "commands.upgrade",
    "watchdog": "commands.watchdog.verb",
    "mcp": "commands.mcp.verb",
    "web": "commands.web.verb",
    "completion": "commands.completion",
}
"""The module of each verb. Only the one that was typed is imported; the program's own help imports all."""

GROUPS: Mapping[str, str] = {
    "archive": "commands.archive.verb",
    "bars": "commands.bars",
    "config": "commands.config.verb",
    "deploy": "commands.deploy",
    "exchange": "commands.exchange",
    "journal": "commands.journal",
    "learn policy": "commands.learn.policy.verb",
    "model": "commands.model.verb",
    "notify": "commands.notify.verb",
    "chat": "commands.chat.verb",
    "drill": "commands.drill.verb",
    "strategy": "commands.strategy.verb",
    "live": "commands.live",
}
"""The module of each first word that several verbs share; of the first two where the first is a verb itself."""


@cache
def program(first: str = "") -> Callable[..., Any]:
    """Return the command tree, built once per process: of the verb or group named `first`, or of all of them."""
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
    for verb, module in VERBS.items():
        if first in ("", verb):
            import_module(module)
    named = sorted(verb_options.VERBS.registered_commands, key=lambda verb: list(VERBS).index(str(verb.name)))
    app.registered_commands = [verb for verb in named if first in ("", verb.name)]
    for group, module in GROUPS.items():
        if first in ("", group):
            app.add_typer(import_module(module).app, name=group, cls=VerbGroup)
    schema.offer(app)
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
    words = (" ".join(arguments[:2]), *arguments[:1])
    first = next((word for word in words if word in {*VERBS, *GROUPS}), "")
    try:
        result = int(program(first)(arguments or ["--help"], prog_name="tradebot", standalone_mode=False) or 0)
    except typer.TyperException as wrong:
        from commands.shared.usage import explained

        raise explained(wrong, arguments, program()) from wrong
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
