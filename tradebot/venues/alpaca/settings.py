"""Define the section `alpaca` of the settings."""

from typing import Annotated, Literal

from tradebot.model.limits import Frozen, Tighter, Url


class AlpacaSettings(Frozen):
    """Alpaca's addresses for orders and prices, and the price feed."""

    url: Annotated[Url | None, Tighter.SAME]
    data_url: Annotated[Url | None, Tighter.SAME]
    feed: Annotated[Literal["iex", "sip", "sandbox"] | None, Tighter.SAME]
