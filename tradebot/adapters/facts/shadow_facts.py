"""What a strategy in shadow knows: facts and scores are its bot's, and passes are its own."""

from datetime import datetime
from pathlib import Path

from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.ports.stores import Events

OF_THE_BOT = (
    *("store", "load", "last_answers", "market", "suspicious_replies", "last_fetch", "scores", "stored", "intakes"),
    *("registry", "put_registry", "discovery", "put_discovery"),
)
"""What is asked of the bot's own facts, and written there."""


class SharedFacts(SqliteFacts):
    """The store of a folder for passes, over the facts of another one, which the owner of that closes."""

    def __init__(self, folder: Path, events: Events, at: datetime, of: SqliteFacts) -> None:
        super().__init__(folder, events, at)
        for name in OF_THE_BOT:
            setattr(self, name, getattr(of, name))
