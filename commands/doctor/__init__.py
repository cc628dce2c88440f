"""`tradebot doctor`: check all requirements of trading; each row shows its evidence and its fix."""

import os
from typing import Annotated

import typer

from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import Config, Json, StateDir, finish
from tradebot.errors import OperatorError


@verb(
    "doctor",
    VerbPurpose.OPERATE,
    80,
    {"doctor/2": ("commands.doctor.run:DoctorHealth",)},
    epilog="tradebot doctor\ntradebot doctor --order  # place one order that can't fill, and cancel it\n"
    "tradebot doctor --policy policy  # also rehearse a learned policy's session",
)
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Don't contact the broker or start the exchange.")] = False,
    order: Annotated[
        bool, typer.Option("--order", help="Also place an order that can't fill and cancel it; not with real money.")
    ] = False,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", metavar="NAME", help="Also check this learned policy: model, features, speed, memory, record."
        ),
    ] = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Check everything that trading needs.

    Each check shows what it found and how to fix it. Exits with code 10 if any fails.
    """
    from commands.doctor.run import run

    if offline and order:
        raise OperatorError(
            "--order contacts the broker, so it can't be used with --offline", "tradebot doctor --order"
        )
    finish(run(state_dir, config, os.environ, offline=offline, order=order, policy=policy), as_json)
