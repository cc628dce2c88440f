"""A coin is read once per series: what was read before never shows in a later answer."""

from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.strategies import view
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import StrategyView
from tradebot.strategies.smart_money.coin import Readings, atr_of, coin_of
from tradebot.strategies.smart_money.settings import SmartMoneySettings
from tradebot.strategies.smart_money.strategy import SmartMoneyStrategy

RULES = SmartMoneySettings()
SEEDS = (3, 4)


def changed(seen: StrategyView, timeframe: str) -> StrategyView:
    """Return the view with another newest close of a timeframe, in as many bars that start at the same times."""
    series = {key: moved(one) if key.timeframe == timeframe else one for key, one in seen.series.items()}
    return replace(seen, series=series)


def moved(series: Series) -> Series:
    return replace(series, close=series.close[:-1] + array("d", [series.low[-1]]))


@given(st.lists(st.sampled_from(["1Day", "4Hour", "1Hour", "15Min", ""]), min_size=1, max_size=4))
@settings(max_examples=8, deadline=None)
def test_an_answer_does_not_depend_on_what_was_asked_before(changes: list[str]) -> None:
    kept, seen = SmartMoneyStrategy({}), view(SEEDS)
    kept.propose(seen)
    for timeframe in changes:
        seen = changed(seen, timeframe)
        assert kept.propose(seen) == SmartMoneyStrategy({}).propose(seen)


def test_a_series_is_read_once_until_one_of_its_bars_changes() -> None:
    readings, seen, read = Readings(RULES), view(SEEDS), list[str]()

    def counted(series: Series, rules: SmartMoneySettings) -> float | None:
        read.append(series.symbol)
        return atr_of(series, rules)

    bars = [one for one in seen.series.values() if one.timeframe == "4Hour"]
    for one in (*bars, *bars, replace(bars[0]), moved(bars[0]), moved(bars[0])):
        readings.of(one, counted)
    assert read == [bars[0].symbol, bars[1].symbol, bars[0].symbol]
    assert coin_of(seen, seen.universe[0], readings).atr == atr_of(bars[0], RULES)
