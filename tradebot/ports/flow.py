"""Port to a source of options flow."""

from datetime import date
from typing import Protocol

from tradebot.model.flow import Endpoint, FlowPage


class FlowSource(Protocol):
    """Options flow, with rows as they came.

    Methods raise TemporaryError if the source doesn't answer or the daily quota is used up, OperatorError on bad keys.
    """

    def fetch(self, endpoint: Endpoint, symbol: str | None, session: date) -> FlowPage:
        """Return one endpoint's reply for one symbol (None for market-wide endpoints) and session."""
