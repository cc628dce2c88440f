"""`tradebot top`: the bot's state on a screen to leave open."""

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import Config, Json, Report, StateDir, finish, identity, opened_to_look
from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from tradebot.app.wiring import App


def run(app: "App") -> Report:
    """Report the data of all screens; always exit 0."""
    from commands.top.screen_data import screens

    # For people there is the screen itself.
    return Report("top", screens(app), lambda console, data: None, whose=identity(app))


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
    {"top/2": ("commands.top.screen_data:Screens",)},
    epilog="tradebot top\ntradebot top --json  # what its screens show, for programs",
)
def top(state_dir: StateDir = None, config: Config = None, as_json: Json = False) -> None:
    """Show the bot's state on a screen to leave open.

    Four screens, by the keys 1 to 4: an overview, the positions, why the bot did or didn't trade, and its events. `h`
    halts after a typed word, `q` quits. Reads the bot's own records, without contacting the broker.
    """
    with opened_to_look(state_dir, config) as bot:
        if as_json:
            finish(run(bot), as_json)
            return
        require_screen()
        from commands.top.top_app import Top

        Top(bot, config).show()
