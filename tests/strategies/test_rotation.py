"""The rotation strategy: the strongest funds in equal weights, bonds if none rose, and nothing without its data."""

from array import array
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW
from tradebot.desk.want_validation import validate_wants
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.position import Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.series import Series
from tradebot.model.view import StrategyView, Target
from tradebot.strategies.rotation import MarketDirection, RegimeSettings, RotationStrategy, momentum, regime, strongest

RANKED = ("AAA", "BBB", "CCC", "DDD")
SETTINGS: Mapping[str, object] = {"ranked": RANKED, "lookback_sessions": 2, "top": 2}
"""The strategy's own values otherwise: bonds as the refuge, 1.25 of the allotment."""


def bars(symbol: str, closes: Sequence[float]) -> Series:
    column = array("d", closes)
    return Series(symbol, "1Day", True, array("q", range(len(column))), column, column, column, column, column)


def view(closes: Mapping[str, Sequence[float]], *held: str, universe: Sequence[str] = (*RANKED, "TLT")) -> StrategyView:
    series = {one.key: one for one in (bars(symbol, prices) for symbol, prices in closes.items())}
    known = tuple(symbol for symbol in universe if symbol in closes or symbol not in RANKED)
    lots = {symbol: Position("rotation", symbol, (Lot(Decimal(10), Decimal(100), NOW),), Decimal(0)) for symbol in held}
    return StrategyView(NOW, known, series=series, lots=lots)


def weights(seen: StrategyView, **settings: object) -> dict[str, Decimal]:
    wants = validate_wants(seen, RotationStrategy({**SETTINGS, **settings}).propose(seen))
    assert isinstance(wants, tuple), wants
    targets = [want for want in wants if isinstance(want, Target)]
    assert len(targets) == len(wants)
    return {target.symbol: target.weight for target in targets if target.weight is not None}


def rising(*returns: float) -> dict[str, Sequence[float]]:
    """Return three closes of each ranked symbol, which lead to these returns over two sessions."""
    return {symbol: (100, 555, 100 * (1 + each)) for symbol, each in zip(RANKED, returns, strict=True)}


HALF = Decimal("0.625")


@pytest.mark.parametrize(
    ("returns", "chosen"),
    [
        ((0.1, 0.3, 0.2, 0.0), {"BBB": HALF, "CCC": HALF}),
        ((0.1, 0.1, 0.1, 0.1), {"AAA": HALF, "BBB": HALF}),
        ((-0.1, -0.2, 0.0, -0.3), {"CCC": Decimal("1.25")}),
        ((-0.1, -0.2, -0.3, -0.4), {"TLT": Decimal("1.25")}),
    ],
    ids=["the strongest", "ties in the order of the settings", "only what did not fall", "none: bonds"],
)
def test_rotation_holds_equal_weights_of_the_strongest(returns: tuple[float, ...], chosen: dict[str, Decimal]) -> None:
    assert weights(view(rising(*returns))) == {**dict.fromkeys((*RANKED, "TLT"), Decimal(0)), **chosen}


def test_three_funds_get_a_third_each_of_its_leverage() -> None:
    found = weights(view(rising(0.1, 0.3, 0.2, 0.0)), top=3)
    assert [found[symbol] for symbol in ("AAA", "BBB", "CCC")] == [Decimal("1.25") / 3] * 3


def test_momentum_uses_the_first_and_the_last_close_only() -> None:
    strategy = RotationStrategy(SETTINGS)
    assert [(need.timeframe, need.depth, need.adjusted, need.symbols) for need in strategy.needs.bars] == [
        ("1Day", 3, True, RANKED)
    ]
    assert momentum((80, 100, 1, 120), 2) == pytest.approx(0.2)


def test_held_fund_is_sold_if_not_chosen_even_if_no_longer_ranked() -> None:
    found = weights(view(rising(0.1, 0.3, 0.2, 0.0), "AAA", "OLD"))
    assert found["AAA"] == found["OLD"] == 0


def test_rotation_holds_cash_without_a_defensive_fund() -> None:
    found = weights(view(rising(-0.1, -0.2, -0.3, -0.4), "AAA", universe=RANKED), defensive=None)
    assert found == dict.fromkeys(RANKED, Decimal(0))


def test_target_shows_its_momentum_and_the_least_that_qualifies() -> None:
    seen = view(rising(0.1, 0.3, 0.2, 0.0))
    wants = {each.symbol: each for each in validate_wants(seen, RotationStrategy(SETTINGS).propose(seen))}  # type: ignore[union-attr]
    (decision,) = wants["BBB"].decisions  # type: ignore[union-attr]
    assert (decision.gate, decision.verdict, decision.limit) == (Gate.STRATEGY, Verdict.PASS, 0.0)
    assert decision.observed == pytest.approx(0.3)


def refusal(seen: StrategyView, **settings: object) -> tuple[Verdict, Reason | None, object, object]:
    answer = RotationStrategy({**SETTINGS, **settings}).propose(seen)
    assert isinstance(answer, Decision)
    return answer.verdict, answer.reason, answer.observed, answer.limit


def test_rotation_keeps_its_holdings_with_too_few_funds_and_says_how_many_it_takes() -> None:
    three = {symbol: closes for symbol, closes in rising(0.1, 0.3, 0.2, 0.0).items() if symbol != "DDD"}
    assert refusal(view(three, "AAA")) == (Verdict.UNKNOWN, Reason.RANKED_TOO_FEW, 3, 4)
    assert weights(view(three, "AAA"), min_ranked=3)["BBB"] == HALF
    assert refusal(view({}, "AAA"), min_ranked=1)[2:] == ("AAA is held and has no bars", 1)


def test_held_fund_is_not_sold_when_its_bars_are_missing() -> None:
    three = {symbol: closes for symbol, closes in rising(0.1, 0.3, 0.2, 0.0).items() if symbol != "DDD"}
    assert refusal(view(three, "DDD"), min_ranked=3)[2:] == ("DDD is held and has no bars", 3)


BULL = (100.0,) * 199 + (110.0,)
BEAR = (100.0,) * 199 + (90.0,)


@pytest.mark.parametrize(
    ("closes", "found"),
    [
        (BULL, MarketDirection.BULL),
        (BEAR, MarketDirection.BEAR),
        # Within two percent of the average, the return over 126 sessions decides; what is older can't.
        ((100.0,) * 73 + (102.0,) + (100.0,) * 125 + (101.0,), MarketDirection.BEAR),
        ((100.0,) * 73 + (98.0,) + (100.0,) * 125 + (99.0,), MarketDirection.BULL),
    ],
)
def test_regime_follows_the_average_or_near_it_the_last_half_year(
    closes: Sequence[float], found: MarketDirection
) -> None:
    assert len(closes) == 200
    assert regime(closes, RegimeSettings(only=MarketDirection.BULL)) is found


@pytest.mark.parametrize(
    ("closes", "only", "holds"), [(BULL, "bull", True), (BULL, "bear", False), (BEAR, "bear", True)]
)
def test_outside_of_its_regime_it_holds_nothing(closes: Sequence[float], only: str, holds: bool) -> None:
    funds = {symbol: (1.0,) * 197 + tuple(prices) for symbol, prices in rising(0.1, 0.3, 0.2, 0.0).items()}
    seen = view({**funds, "SPY": closes}, "AAA", "TLT")
    found = weights(seen, regime={"only": only})
    assert found["AAA"] == 0
    assert sum(found.values()) == (Decimal("1.25") if holds else 0)
    targets = RotationStrategy({**SETTINGS, "regime": {"only": only}}).propose(seen)
    assert not isinstance(targets, Decision)
    said = {target.symbol: [(each.about, each.verdict) for each in target.decisions] for target in targets}
    asked = [("regime", Verdict.PASS), ("momentum", Verdict.PASS)]
    assert said == {**dict.fromkeys(RANKED, asked), "TLT": asked[:1]}


def test_rotation_keeps_its_holdings_without_bars_of_the_market() -> None:
    seen = view({**rising(0.1, 0.3, 0.2, 0.0), "SPY": (100.0,) * 199}, "AAA")
    reason = (Verdict.UNKNOWN, Reason.RANKED_TOO_FEW, "SPY has too few bars for the regime", 200)
    assert refusal(seen, regime={"only": "bull"}) == reason


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ranked": ("AAA", "AAA")}, "ranked lists AAA twice"),
        ({"defensive": "AAA"}, "defensive AAA is ranked too"),
        ({"top": 5}, "top 5 is more than the 4 symbols of ranked"),
        ({"min_ranked": 5}, "min_ranked 5 is more than the 4 symbols of ranked"),
        ({"lookback": 126}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_no_ranking_can_fulfill_are_refused(settings: Mapping[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RotationStrategy({**SETTINGS, **settings})


PRICES = st.floats(1, 1000)
MARKETS = st.fixed_dictionaries({symbol: st.tuples(PRICES, PRICES, PRICES) for symbol in RANKED})


@given(MARKETS, st.integers(1, 4), st.sampled_from(RANKED))
def test_weights_add_up_whatever_the_market_did_and_prices_have_no_unit(
    closes: dict[str, tuple[float, ...]], top: int, symbol: str
) -> None:
    found = weights(view(closes), top=top)
    held = {name: weight for name, weight in found.items() if weight}
    assert abs(sum(held.values()) - Decimal("1.25")) < Decimal("1e-20")
    assert len(set(held.values())) == 1
    assert len(held) <= top
    returns = {name: momentum(closes[name], 2) for name in RANKED}
    assert set(held) == set(strongest(returns, top, 0.0) or ("TLT",))
    scaled = weights(view({**closes, symbol: tuple(price * 2.0 for price in closes[symbol])}), top=top)
    assert scaled == found, "a price's unit doesn't matter; a factor of two loses no digit"


@given(MARKETS, st.sampled_from(RANKED), st.floats(1, 3))
def test_fund_that_rose_more_is_never_dropped(closes: dict[str, tuple[float, ...]], symbol: str, factor: float) -> None:
    first, between, last = closes[symbol]
    before, after = weights(view(closes)), weights(view({**closes, symbol: (first, between, last * factor)}))
    assert not before[symbol] or after[symbol]


@given(MARKETS, PRICES)
def test_closes_before_the_lookback_change_nothing(closes: dict[str, tuple[float, ...]], earlier: float) -> None:
    deeper = {symbol: (earlier, *prices) for symbol, prices in closes.items()}
    assert weights(view(deeper)) == weights(view(closes))
