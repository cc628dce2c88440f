"""`tradebot replay`: replay recorded passes without sending anything, and compare the decisions."""

from typing import Annotated

import typer

from commands.replay.report import is_file
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import (
    Config,
    Json,
    StateDir,
    finish,
    identity,
    opened_as_found,
)
from tradebot.model.struct_tools import replace


@verb(
    "replay",
    VerbPurpose.LOOK,
    40,
    {"replay/1": ("commands.replay.report:ReplayReport",)},
    epilog="tradebot replay  # the last session\ntradebot replay 2026-11-16\ntradebot replay --from-version 0.1.0\n"
    "tradebot replay incident.txt  # from tradebot incident, without a bot\n"
    "tradebot replay --state-dir state/backtests/RUN  # a backtest",
)
def replay(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[PASS|SESSION|FILE]", help="A pass by its id, a session by its date, or an incident's file."
        ),
    ] = None,
    from_version: Annotated[
        str | None,
        typer.Option("--from-version", help="Only passes of this version, to see what an upgrade would change."),
    ] = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Replay recorded passes and compare the decisions.

    Nothing is sent: prices, books and the broker's replies come from the record. A dry run isn't recorded. In a
    backtest's folder, the backtest is run again from its inputs, and each pass is compared. An incident's file can be
    replayed without a bot's folder, and may come from anyone.
    """
    from commands.replay.run import of_file, run

    if what and is_file(what):
        finish(of_file(what, from_version), as_json)
        return
    with opened_as_found(state_dir, config) as bot:
        report = replace(run(bot, what, from_version), bot_identity=identity(bot))
    finish(report, as_json)
