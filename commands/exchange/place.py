"""What the verbs of the embedded exchange share: the folder that they act on, and a word where they start something."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands.shared.plain import note
from tradebot.errors import OperatorError

MAKE_ONE = "tradebot exchange serve"
ANOTHER = "tradebot exchange serve --state-dir NEW --sessions 250"
"""The command that helps where a market has ended: it cannot be made longer."""


def exchange_of(path: Path) -> Path:
    """Return the folder of the exchange beside a state; OperatorError where there is none."""
    from tradebot.adapters.state.state_folder import EXCHANGE
    from tradebot.app import sandbox

    if not sandbox.holds_market(path / EXCHANGE):
        raise OperatorError(f"no exchange in {path / EXCHANGE}", f"make one: {MAKE_ONE}")
    return path / EXCHANGE


@contextmanager
def start_told(folder: Path) -> Iterator[None]:
    """Say in a line on stderr where the block has started the exchange of a folder."""
    from tradebot.app import sandbox

    before = sandbox.running(folder)
    yield
    url = None if before else sandbox.running(folder)
    if url is not None:
        note(f"note: the exchange was not running: it answers in the background now, at {url}, until it is idle")
