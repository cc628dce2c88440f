"""Provide the same quotes that the engine fills against."""

from __future__ import annotations

from tradebot.exchange.engine.matching import FillModel
from tradebot.exchange.market.ticks import QuoteAround


def around(model: FillModel) -> QuoteAround:
    """Return the function that computes bid and ask around a price."""
    return lambda price: (model.bid(price), model.ask(price))
