"""Define the settings of the fill model, which are part of a market's specification."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple, get_args

Model = Literal["next-bar", "paper"]
MODELS = get_args(Model)


class FillSpec(NamedTuple):
    """How orders fill; engine.matching explains the models.

    `spread_bps` is the full spread between bid and ask in basis points of the price. `volume_share` is the part of a
    bar's volume that all orders of a symbol together may take, and `depth_share` the part of the newest bar's volume
    that is available at the quote; None means unlimited. `partial_rate` is the probability in [0, 1] that a fill is
    only partial. `latency_s` is how long cancels and replacements take to arrive.
    """

    model: Model = "next-bar"
    spread_bps: int = 2
    volume_share: Decimal | None = Decimal("0.1")
    depth_share: Decimal | None = None
    partial_rate: Decimal = Decimal(0)
    latency_s: int = 0


NEXT_BAR = FillSpec()
"""The strict model: an order sees only bars that begin after it, and shares a tenth of their volume."""
PAPER = FillSpec(model="paper", volume_share=None, partial_rate=Decimal("0.1"))
"""The model that behaves like Alpaca's paper accounts: fills are immediate and of any size; one in ten is partial."""
