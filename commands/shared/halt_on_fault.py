"""Halt the bot if a bug ends a pass."""

from contextlib import suppress
from datetime import datetime

from msgspec import Struct

from tradebot.app.wiring import App
from tradebot.desk.halting import halt_for
from tradebot.errors import TradebotError


class HaltOnFault(Struct, frozen=True):
    """Halt the bot if a bug (in a gate, for example) ends the block; the exception continues.

    Errors raised on purpose, errors of the system and signals don't count as bugs.
    """

    app: "App"
    at: datetime

    def __enter__(self) -> None:
        """Halt nothing yet."""

    def __exit__(self, _kind: object, fault: BaseException | None, _trace: object) -> None:
        """Set the latch for a bug; if the history can't be written, that must not hide the bug."""
        if isinstance(fault, Exception) and not isinstance(fault, TradebotError | OSError):
            with suppress(TradebotError):
                halt_for(self.app.ledger, self.app.events, fault, self.at)
