"""List every command that an account can send; a package that adds commands adds its entries here."""

from __future__ import annotations

from tradebot.exchange.commands import actions, configurations, orders, positions, venue, watchlists
from tradebot.exchange.commands.command import Entry


def entries() -> list[Entry]:
    rooms = (orders, positions, configurations, watchlists, actions, venue)
    return [entry for room in rooms for entry in room.entries()]
