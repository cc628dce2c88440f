"""The rule for futures: three votes on joined prices, and a target on the side that they agree on."""

from array import array
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.kit.values import NOW
from tradebot.app.settings import load
from tradebot.desk.want_validation import validate_wants
from tradebot.errors import ConfigurationError
from tradebot.model.series import Series
from tradebot.model.view import StrategyView, Target
from tradebot.strategies.futures import FuturesStrategy, band_of, reversal
from tradebot.strategies.futures_settings import FuturesSettings

RISING = [100 + number * 0.01 for number in range(300)]
FALLING = [100 - number * 0.01 for number in range(300)]
FLAT = [100.0] * 300


def view(closes: Mapping[str, Sequence[float]]) -> StrategyView:
    series = dict[object, Series]()
    for symbol, prices in closes.items():
        column = array("d", prices)
        one = Series(symbol, "5Min", True, array("q", range(len(column))), column, column, column, column, column)
        series[one.key] = one
    return StrategyView(NOW, tuple(closes), series=series)  # type: ignore[arg-type]


def quantities(seen: StrategyView, **settings: object) -> dict[str, Decimal | None]:
    wants = validate_wants(seen, FuturesStrategy(settings).propose(seen))
    assert isinstance(wants, tuple), wants
    return {want.symbol: want.quantity for want in wants if isinstance(want, Target)}


def wave(last: Sequence[float]) -> list[float]:
    """Return prices that swing around 100, and then these."""
    return [100 + (number % 2) * 0.5 for number in range(300 - len(last))] + list(last)


@pytest.mark.parametrize(
    ("closes", "side", "why"),
    [
        (FLAT, 0, "nothing has moved"),
        (RISING, -1, "the trend is up, but RSI and band have gone too far: one against two"),
        (FALLING, 1, "the same upside down"),
        (wave([100.6, 100.7, 100.2, 100.4]), 1, "the trend is up, and nothing has gone too far"),
        (wave([99.9, 99.8, 100.3, 100.1]), -1, "the trend is down"),
    ],
)
def test_the_mean_of_the_votes_decides_on_the_side(closes: Sequence[float], side: int, why: str) -> None:
    found = quantities(view({"ESZ6": closes}), contracts=2)
    assert found == {"ESZ6": Decimal(2 * side)}, why


def test_a_mean_vote_has_to_be_beyond_the_setting() -> None:
    seen = view({"ESZ6": wave([100.6, 100.7, 100.2, 100.4])})
    assert quantities(seen, min_mean_vote=1 / 3) == {"ESZ6": Decimal(0)}
    assert quantities(seen, min_mean_vote=0.333) == {"ESZ6": Decimal(1)}


@given(st.lists(st.floats(50, 150), min_size=60, max_size=60))
def test_a_target_is_never_more_than_the_contracts_and_has_the_sign_of_its_mean_vote(closes: list[float]) -> None:
    seen = view({"ESZ6": [*FLAT[:240], *closes]})
    (target,) = FuturesStrategy({"contracts": 2}).propose(seen)
    vote = next(one.observed for one in target.decisions if one.about == "mean_vote")
    assert target.quantity is not None
    assert target.quantity in (-2, 0, 2)
    assert isinstance(vote, float)
    assert (target.quantity != 0) is (abs(vote) > 0.3)
    assert target.quantity * Decimal(vote) >= 0


@given(st.floats(1, 1000), st.lists(st.floats(50, 150), min_size=300, max_size=300))
def test_prices_that_were_joined_by_another_ratio_vote_the_same(ratio: float, closes: list[float]) -> None:
    rounded = [round(close, 2) for close in closes]
    doubled = [close * 2 ** int(ratio % 5) for close in rounded]
    assert quantities(view({"ESZ6": rounded})) == quantities(view({"ESZ6": doubled}))


def test_extremes_vote_against_themselves_and_the_limits_themselves_do_not() -> None:
    assert [reversal(value, 30, 70) for value in (29.9, 30, 50, 70, 70.1)] == [1, 0, 0, 0, -1]
    assert band_of([*FLAT[:20]], FuturesSettings()) == 0.5, "prices that don't move are in the middle"


@pytest.mark.parametrize(
    "wrong",
    [{"fast": 30}, {"rsi_low": 70}, {"band_low": 0.9}, {"timeframe": "1Day"}, {"depth": 50, "slow": 60}, {"colour": 1}],
)
def test_settings_that_contradict_each_other_do_not_load(wrong: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        FuturesSettings.model_validate(wrong)


def test_the_configuration_names_what_is_wrong_with_the_section() -> None:
    with pytest.raises(ConfigurationError, match=r"strategies\.futures.*fast 40 is not below slow 30"):
        load(None, {"TRADEBOT_STRATEGIES__FUTURES__FAST": "40"})
