"""Bars of different prices are different series, and each series says which it is."""

from array import array

import pytest

from tests.kit.values import NOW
from tradebot.model.series import PriceKind, Series, SeriesKey
from tradebot.model.view import BarNeed, StrategyView

PRICES = array("d", [1.0, 2.0, 3.0])
STARTS = array("q", [0, 14_400, 28_800])


def series(price: PriceKind) -> Series:
    return Series("PF_XBTUSD", "4Hour", True, STARTS, PRICES, PRICES, PRICES, PRICES, PRICES, price)


def test_last_bars_of_a_series_are_of_the_same_price() -> None:
    newest = series(PriceKind.SPOT).last(2)
    assert newest.key == SeriesKey("PF_XBTUSD", "4Hour", True, PriceKind.SPOT)
    assert list(newest.starts) == [14_400, 28_800]


def test_key_without_a_price_means_trades() -> None:
    assert series(PriceKind.TRADE).key == SeriesKey("PF_XBTUSD", "4Hour", True)
    assert BarNeed("4Hour", 3, price=PriceKind.SPOT).key_of("PF_XBTUSD") == series(PriceKind.SPOT).key


def test_view_tells_the_spot_price_from_trades() -> None:
    found = series(PriceKind.SPOT)
    view = StrategyView(NOW, ("PF_XBTUSD",), series={found.key: found})
    assert view.bars("PF_XBTUSD", "4Hour", price=PriceKind.SPOT) is found
    assert list(view.frame("close", "4Hour", price=PriceKind.SPOT)["PF_XBTUSD"]) == [1.0, 2.0, 3.0]
    with pytest.raises(KeyError):
        view.bars("PF_XBTUSD", "4Hour")
