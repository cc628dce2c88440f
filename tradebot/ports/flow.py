"""What we ask of a source of options flow."""

from datetime import date
from typing import Protocol

from tradebot.model.flow import Endpoint, FlowPage


class FlowSource(Protocol):
    """Options flow, rows as they came. Raises TemporaryError (a spent day too), OperatorError on bad keys."""

    def fetch(self, endpoint: Endpoint, symbol: str | None, session: date) -> FlowPage:
        """Return one endpoint's answer for one symbol (None for market-wide endpoints) and session."""
