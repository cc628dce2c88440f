"""Register `tradebot halt` with the other verbs: its help, its completion, and options that precede it."""

from typing import Annotated

import typer

from commands.halt import run
from commands.halt.report import HaltRequest
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.light_helpers import NO_REASON
from commands.shared.verb_options import Config, Json, StateDir


@verb(
    "halt",
    VerbPurpose.OPERATE,
    10,
    {"halt/1": ("commands.halt.report:Halted",)},
    epilog='tradebot halt --reason "odd fills"\ntradebot halt --flatten',
)
def halt(
    reason: Annotated[str, typer.Option("--reason", help="Reason to record.")] = NO_REASON,
    flatten: Annotated[bool, typer.Option("--flatten", help="Also close every position.")] = False,
    confirm: Annotated[str | None, typer.Option("--confirm", help="Type FLATTEN here if there is no terminal.")] = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Stop opening positions now. Working entries are canceled and no new ones are sent; exits continue."""
    raise typer.Exit(run(HaltRequest(reason, flatten, confirm, state_dir, config, as_json)))
