"""What a person wrote about a trade."""

from datetime import datetime

from msgspec import Struct

from tradebot.model.position import Key


class TradeNote(Struct, frozen=True):
    """The tags and the note of one trade as last written; a trade is named by strategy, symbol and opening time."""

    trade: Key
    tags: tuple[str, ...]
    note: str
    who: str
    at: datetime
