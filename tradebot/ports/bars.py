"""Port to bars."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from tradebot.model.series import Series
from tradebot.model.view import BarNeed


class Bars(Protocol):
    """Closed bars, from a local store that fetches what it lacks."""

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last `need.depth` bars of each symbol that were complete at `until`, oldest first.

        A symbol has fewer bars, or is absent, if there are no more. A bar that isn't complete is never returned.
        TemporaryError if the source doesn't answer and the store doesn't have what is needed.
        """
