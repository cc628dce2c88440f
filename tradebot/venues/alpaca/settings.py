"""The section `alpaca` of the settings."""

from typing import Annotated, Literal

from tradebot.model.limits import Frozen, Tighter, Url


class AlpacaSettings(Frozen):
    """Where orders are sent and prices come from."""

    url: Annotated[Url | None, Tighter.SAME]
    data_url: Annotated[Url | None, Tighter.SAME]
    feed: Annotated[Literal["iex", "sip", "sandbox"] | None, Tighter.SAME]
