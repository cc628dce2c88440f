"""The rules of the registry as they ship, and coins to judge by them."""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache

from tests.kit.values import NOW
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.settings import shipped
from tradebot.model.bar import Quote
from tradebot.model.registry import Coin, DataState, Figures, Health, Rank, RegistryRules, Tier
from tradebot.model.series import Series


@cache
def rules() -> RegistryRules:
    """Return what a bot at Kraken Futures begins with, switched on."""
    section = load_yaml(shipped("venues") / "kraken_futures.yaml", shipped=True)["registry"]
    assert isinstance(section, dict)
    return RegistryRules.model_validate({**section, "enabled": True})


def figures(volume: int | str | None, spread: str = "0.001", price: str = "1") -> Figures:
    """Return complete figures, or some without a volume."""
    return Figures(None if volume is None else Decimal(volume), Decimal(spread), Decimal(price))


def quoted(bid: str, ask: str, volume: str | None = "1000000", at: datetime = NOW) -> Quote:
    """Return a quote of a coin."""
    of_day = None if volume is None else Decimal(volume)
    return Quote("PF_ADAUSD", at, Decimal(bid), Decimal(ask), Decimal(bid), None, "test", day_volume_usd=of_day)


def candles(count: int, newest: datetime, timeframe: str = "4Hour", hours: int = 4) -> Series:
    """Return candles of which the newest began at a moment."""
    from array import array

    starts = array("q", [int((newest - timedelta(hours=hours) * back).timestamp()) for back in reversed(range(count))])
    ones = array("d", [1.0] * count)
    return Series("PF_ADAUSD", timeframe, True, starts, ones, ones, ones, ones, ones)


def coin(
    symbol: str, tier: Tier | None = Tier.A, health: Health = Health.HEALTHY, at: datetime = NOW, known: bool = True
) -> Coin:
    """Return a coin that was looked at once."""
    return Coin(symbol, Rank(tier, known, figures("6000000"), at, at), DataState(health, at, at))
