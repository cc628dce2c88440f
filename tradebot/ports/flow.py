"""Port to a source of options flow."""

from datetime import date
from typing import Protocol

from tradebot.model.flow import FlowPage, StreamRows
from tradebot.model.kind import AnyKind


class FlowSource(Protocol):
    """Options flow, with rows as they came.

    Methods raise TemporaryError if the source doesn't answer or the daily quota is used up, OperatorError on bad keys.
    """

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        """Return the source's reply about one kind of facts, symbol (None if the kind is market-wide) and session."""

    def calls_left(self) -> int | None:
        """Return how many calls of today the timetable may still make; None if there is no limit."""


class AlertStream(Protocol):
    """Flow alerts of the whole market as they arrive. It reconnects by itself."""

    def take(self) -> StreamRows:
        """Return what came since the last call, without waiting; raise OperatorError if the source refuses the key."""

    def renew(self) -> None:
        """Connect again, because the connection doesn't bring what it should."""
