"""The knobs of the fill model, which are part of what a market is made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple, get_args

Model = Literal["next-bar", "paper"]
MODELS = get_args(Model)


class FillSpec(NamedTuple):
    """How orders fill; the models are told in engine.matching.

    `spread_bps` is the whole spread between bid and ask in basis points of the price. `volume_share` is the part of
    a bar's volume that all orders of a symbol together may take, and `depth_share` the part of the newest bar's
    volume that stands at the quote; None is without bound. `partial_rate` is the probability in [0, 1] that a fill
    is only a part of what it could be. `latency_s` is how long cancels and replacements are on their way.
    """

    model: Model = "next-bar"
    spread_bps: int = 2
    volume_share: Decimal | None = Decimal("0.1")
    depth_share: Decimal | None = None
    partial_rate: Decimal = Decimal(0)
    latency_s: int = 0


NEXT_BAR = FillSpec()
"""Strict: an order sees only bars that begin after it, and a tenth of their volume."""
PAPER = FillSpec(model="paper", volume_share=None, partial_rate=Decimal("0.1"))
"""After the habits of Alpaca's paper accounts: at once, of any size, one fill in ten in parts."""
