"""`tradebot exchange page`: print or open the address of the embedded exchange's web page."""

import os
import webbrowser
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.exchange.place import exchange_of, note_if_started
from commands.shared.light_helpers import Identity
from commands.shared.verb_options import Report
from tradebot.app import sandbox
from tradebot.app.plugin_surroundings import without_keys
from tradebot.app.venues import EARLIER
from tradebot.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


class ExchangePage(Struct, frozen=True):
    """The page's address, and whether a browser opened it (null if none was requested)."""

    url: str
    opened: bool | None


def page(path: "Path", browser: bool) -> Report:
    """Return the page's address, starting the exchange if needed, and open a browser on request.

    Raise OperatorError if the folder has no exchange.
    """
    folder = exchange_of(path)
    with note_if_started(folder):
        url = sandbox.start(folder) + "/"
    data = ExchangePage(url, _open(url) if browser else None)
    code = ExitCode.ERROR if data.opened is False else ExitCode.DONE
    return Report("exchange-page", data, _render, code, whose=Identity("sandbox"))


def _open(url: str) -> bool:
    """Open the address in a browser; remove API keys from the environment first, because the browser outlives us."""
    for name in os.environ.keys() - without_keys(os.environ, EARLIER).keys():
        del os.environ[name]
    return webbrowser.open(url)


def _render(out: "Console", data: ExchangePage) -> None:
    out.print(data.url, markup=False)
    if data.opened is False:
        out.print("Couldn't open a browser here. Open the address yourself.", markup=False)
