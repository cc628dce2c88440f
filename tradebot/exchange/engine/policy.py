"""Define how a venue may treat a request where Alpaca's documents are silent or its users disagree."""

from __future__ import annotations

from typing import NamedTuple


class Policy(NamedTuple):
    """How the venue treats one request; the defaults are what this exchange does by itself.

    - `refuses_class`: a class of orders that the venue doesn't take, such as oco.
    - `refuses_marketable`: a replacement can't move a take-profit to or through the current market.
    - `counts_own_shares`: the replacement of an exit needs shares besides those that the old order claims.
    - `starts_over`: a replacement doesn't take over the fills of the old order, so it can fill its quantity again.
    - `leaves_legs_out`: the answer to an order or a replacement doesn't show the legs.
    - `holds_legs`: the second order of an oco is shown as held although it works.
    - `frees_after_us`: how long the shares of a canceled exit stay unavailable, in microseconds of engine time.
    - `tells_after_us`: how long one exit doesn't know of the other's fills, so that both can fill.
    """

    refuses_class: str = ""
    refuses_marketable: bool = False
    counts_own_shares: bool = False
    starts_over: bool = False
    leaves_legs_out: bool = False
    holds_legs: bool = False
    frees_after_us: int = 0
    tells_after_us: int = 0


USUAL = Policy()
"""What this exchange does by itself."""
