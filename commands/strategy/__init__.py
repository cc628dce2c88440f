"""`tradebot strategy new|list|test`: create a strategy package, list the installed ones, and try one."""

from pathlib import Path
from typing import Annotated

import typer

from commands.shared.completion import complete_symbols, installed_strategies
from commands.shared.declaration import VerbPurpose, group, verb
from commands.shared.verb_options import Config, Json, StateDir, finish
from commands.strategy.package import TemplateKind

group("strategy", "Create a strategy, try it, or list the installed ones.")


@verb(
    "strategy new",
    VerbPurpose.DEVELOP,
    10,
    {"strategy-new/1": ("commands.strategy.run:PackageCreated",)},
    elsewhere=True,
    epilog="tradebot strategy new leaning\ntradebot strategy new momentum --kind target --path ../momentum",
)
def _new(
    name: Annotated[str, typer.Argument(help="Name: lowercase letters, digits and _.")],
    kind: Annotated[
        TemplateKind, typer.Option("--kind", help="Its inputs: flow, bars, or target (daily bars, for target weights).")
    ] = TemplateKind.FLOW,
    path: Annotated[Path | None, typer.Option("--path", help="Folder to create [./NAME].")] = None,
    as_json: Json = False,
) -> None:
    """Create a package for a strategy of your own.

    It contains a working strategy to change, its test, and how to install it. `flow` scores options flow. `bars` trades
    5-minute bars, with its own stop and target. `target` holds the strongest symbols, chosen once a month.
    """
    from commands.strategy.run import new

    finish(new(name, path or Path(name), kind), as_json)


@verb(
    "strategy list",
    VerbPurpose.DEVELOP,
    30,
    {"strategy-list/1": ("commands.strategy.run:Strategies",)},
    epilog="tradebot strategy list",
)
def _list(state_dir: StateDir = None, config: Config = None, as_json: Json = False) -> None:
    """List strategies, and check that each one works.

    It also shows what each one needs, and when it runs. Exits with code 10 if any doesn't work.
    """
    from commands.strategy.run import listing_of

    finish(listing_of(state_dir, config), as_json)


@verb(
    "strategy test",
    VerbPurpose.DEVELOP,
    20,
    {"strategy-test/1": ("commands.strategy.trial:TriedMoment",)},
    in_group=1,
    epilog="tradebot strategy test momentum\ntradebot strategy test flow --symbols AAPL,MSFT\n"
    "tradebot strategy test flow --at '2026-11-16 11:30'",
)
def _test(
    name: Annotated[str, typer.Argument(help="An installed strategy.", autocompletion=installed_strategies)],
    symbols: Annotated[
        str | None,
        typer.Option("--symbols", help="Symbols to evaluate, separated by commas.", autocompletion=complete_symbols),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="Evaluate at this past time, in the venue's time zone.")
    ] = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what a strategy wants, and how fast it answers.

    It sees the facts and bars of your bot. Without a bot, or if the bot has no flow yet, they are generated. Quotes,
    positions and equity are always current. Gates are not evaluated. Nothing is sent or recorded, except bars that it
    has to fetch. Exits with code 10 if the answer is refused, or changes when the strategy runs again.
    """
    from commands.strategy.trial import run

    chosen = [symbol.strip().upper() for symbol in (symbols or "").split(",") if symbol.strip()]
    finish(run(name, chosen, at, state_dir, config), as_json)
