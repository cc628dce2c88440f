"""What a person wrote about a trade."""

from dataclasses import dataclass
from datetime import datetime

from tradebot.model.position import Key


@dataclass(frozen=True, slots=True)
class TradeNote:
    """The tags and the note of one trade as last written; a trade is named by strategy, symbol and opening time."""

    trade: Key
    tags: tuple[str, ...]
    note: str
    who: str
    at: datetime
