"""`tradebot status`: show the bot's positions and permissions, from its own records, without contacting the broker."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import Config, Explain, Json, Report, StateDir, finish, identity, opened_to_look
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from tradebot.app.wiring import App


def run(app: "App") -> Report:
    """Report on the ledger, the recorded passes and the halt switch.

    Exit 10 if the books are known to differ from the broker's.
    """
    from commands.status.report import show, status_of

    data, bot_identity = status_of(app), identity(app)
    code = ExitCode.FINDINGS if data.notes else ExitCode.DONE
    return Report("status", data, lambda console, _: show(console, data, bot_identity), code, bot_identity=bot_identity)


def run_stores(app: "App") -> Report:
    """Report what each store in the state folder contains, how long it is kept, and its size; always exit 0."""
    from commands.status.stores import pace_of, show, stores_of

    return Report("status", stores_of(app.folder.path, pace_of(app)), show, bot_identity=identity(app))


@verb(
    "status",
    VerbPurpose.LOOK,
    70,
    {"status/2": ("tradebot.views.status:Status", "commands.status.stores:Stores")},
    epilog="tradebot status\ntradebot status --watch\ntradebot status --stores",
)
def status(
    stores: Annotated[
        bool, typer.Option("--stores", help="Show what is stored, for how long, and how large it is.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every five seconds, until q.")] = False,
    explain: Explain = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show trading state, positions, orders and recent passes.

    Reads the bot's own books, without contacting the broker.
    """
    if watch and (as_json or stores):
        raise OperatorError("--watch can't be combined with --json or --stores", "tradebot status --json")
    with opened_to_look(state_dir, config) as bot:
        if watch:
            from commands.status.report import follow

            follow(bot)
            return
        report = run_stores(bot) if stores else run(bot)
    finish(report, as_json, explain)
