"""`tradebot top`: show the bot's state on a screen that can be left open."""

import sys
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import Config, Json, StateDir, finish, opened_to_look
from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError


def require_screen() -> None:
    """Raise OperatorError without a terminal to draw on, or without the library for drawing."""
    if find_spec("textual") is None:
        raise OperatorError("tradebot top needs the extra top", f"{install('top')}; or tradebot status")
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise OperatorError("top needs a terminal to draw on", "tradebot status, or tradebot top --json")


@verb(
    "top",
    VerbPurpose.LOOK,
    20,
    {"top/2": ("commands.top.screen_data:Screens",), "top-bots/1": ("commands.top.screen_data:BotsShown",)},
    epilog="tradebot top\ntradebot top --json  # what its screens show, for programs\n"
    "tradebot top --bots bots/flow bots/rotation",
)
def top(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="FOLDER", help="With --bots: bots' folders, or a folder of them.")
    ] = None,
    bots: Annotated[bool, typer.Option("--bots", help="Show a table of these bots instead.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the bot's state on a screen that updates itself.

    The keys 1 to 4 choose one of four screens: an overview, the positions, why the bot did or didn't trade, and its
    events. `h` halts the bot once you have typed a word, and `q` quits. Reads the bot's own records, without contacting
    the broker. With --bots, one screen shows several bots in a table; with --json, the exit code is then 10 if one of
    them can't be read.
    """
    from commands.top.screen_data import bots_report, named_bots, report

    several = named_bots(folders or (), bots, state_dir, config, "tradebot top")
    with nullcontext() if several else opened_to_look(state_dir, config) as bot:
        if as_json:
            finish(bots_report(several) if bot is None else report(bot), as_json)
            return
        require_screen()
        from commands.top.top_app import Board, BotsBoard, Top

        Top(BotsBoard(several) if bot is None else Board(bot, config)).show()
