"""Helpers shared by the verbs of the embedded exchange: find its folder, and report when a verb started it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from commands.shared.light_helpers import note
from commands.shared.times import show_venue
from tradebot.adapters.state.state_folder import EXCHANGE
from tradebot.errors import OperatorError

BEARER = "bearer"
MAKE_ONE = "tradebot exchange serve"
ANOTHER = "tradebot exchange serve --state-dir NEW --sessions 250"
"""The command for a new market, because an ended one can't be extended."""


class Api(Struct, frozen=True):
    """An API of the exchange: its identifier, its title, and its port if it has its own.

    `login` says what clients log in with: a key and its `secret`, a key alone (`bearer`), or `none`.
    """

    name: str
    title: str
    login: str
    port: int | None

    @property
    def port_text(self) -> str:
        """Return the API's own port as text, or an empty text if it shares the exchange's address."""
        return f": 127.0.0.1, port {self.port}" if self.port else ""


def apis_of(status: Mapping[str, Any]) -> tuple[Api, ...]:
    """Return the APIs in an exchange's status."""
    ports = status["ports"]
    return tuple(Api(api["name"], api["title"], api["login"], ports.get(api["name"])) for api in status["apis"])


def exchange_of(path: Path) -> Path:
    """Return the folder of the exchange in a state folder, and show all later times in its venue's time zone.

    Raises OperatorError if there is no exchange.
    """
    from tradebot.app import sandbox

    if not sandbox.holds_market(path / EXCHANGE):
        raise OperatorError(f"no exchange in {path / EXCHANGE}", f"create one: {MAKE_ONE}")
    show_venue(sandbox.market_day(path / EXCHANGE))
    return path / EXCHANGE


@contextmanager
def note_if_started(folder: Path) -> Iterator[None]:
    """Print a note on stderr if the exchange in this folder was started inside the block."""
    from tradebot.app import sandbox

    before = sandbox.running_exchange(folder)
    yield
    url = None if before else sandbox.running_exchange(folder)
    if url is not None:
        note(f"note: the exchange wasn't running, so it was started in the background at {url}; it stops when idle")
