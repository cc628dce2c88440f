"""Define the settings of the fill model, which are part of a market's specification."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

Model = Literal["next-bar", "next-open", "close", "paper"]
MODELS = get_args(Model)
Quotes = Literal["spread", "last"]


class FillSpec(NamedTuple):
    """How orders fill; engine.matching explains the models.

    `spread_bps` is the full spread between bid and ask in basis points of the price. `volume_share` is the part of a
    bar's volume that all orders of a symbol together may take, and `depth_share` the part of the newest bar's volume
    that is available at the quote; None means unlimited. `partial_rate` is the probability in [0, 1] that a fill is
    only partial. `latency_s` is how long cancels and replacements take to arrive.

    `slippage_bps` is what an order that takes liquidity pays beyond the quote, in basis points of the price. With
    `quotes` "last", bid and ask are both the last price; with "spread" they are at least a tick away from it each.
    """

    model: Model = "next-bar"
    spread_bps: int = 2
    volume_share: Decimal | None = Decimal("0.1")
    depth_share: Decimal | None = None
    partial_rate: Decimal = Decimal(0)
    latency_s: int = 0
    slippage_bps: Decimal = Decimal(0)
    quotes: Quotes = "spread"


NEXT_BAR = FillSpec()
"""The strict model: an order sees only bars that begin after it, and shares a tenth of their volume."""
NEXT_OPEN = FillSpec(model="next-open")
"""The strict model, but an order that is marketable when a bar opens fills completely there."""
CLOSE = FillSpec(model="close")
"""The strict model, but an order that is marketable when it arrives fills at once, at the last close."""
PAPER = FillSpec(model="paper", volume_share=None, partial_rate=Decimal("0.1"))
"""The model that behaves like Alpaca's paper accounts: fills are immediate and of any size; one in ten is partial."""
SPECS: Mapping[str, FillSpec] = MappingProxyType({spec.model: spec for spec in (NEXT_BAR, NEXT_OPEN, CLOSE, PAPER)})
"""Each model with its own settings."""
OPTIMISM: Mapping[str, str] = MappingProxyType(
    {
        "next-bar": "your order doesn't move the price, and its share of a bar's volume trades at one price",
        "next-open": "the whole size trades at one print, the open",
        "close": "the price that the decision saw is still there, for the whole size",
        "paper": "any size fills at once at the quote, and doesn't move it",
    }
)
"""What is optimistic about each model."""
