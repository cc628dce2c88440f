"""Every command that an account may send; a room that adds some puts its entries here."""

from __future__ import annotations

from tradebot.exchange.commands import actions, configurations, orders, positions, venue, watchlists
from tradebot.exchange.commands.command import Entry


def entries() -> list[Entry]:
    """Return the handlers of all commands but those of the exchange's own control."""
    rooms = (orders, positions, configurations, watchlists, actions, venue)
    return [entry for room in rooms for entry in room.entries()]
