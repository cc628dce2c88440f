"""The rotation strategy: the strongest funds in equal weights, bonds if none rose, and nothing without its data.

The rotation's own values are those that the configuration's comments and the profile show.

The published figures of the rotation, computed from prices by an independent oracle, and the funds that it held.
"""

import csv
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from math import sqrt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from benchmarks.rotation import STALE
from benchmarks.support.rotation_runs import Data, play
from tests.kit.values import NOW
from tradebot.app.settings import load, shipped_path
from tradebot.desk.want_validation import validate_wants
from tradebot.errors import ConfigurationError
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.position import Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import StrategyView, Target
from tradebot.strategies.rotation import (
    MarketDirection,
    RegimeSettings,
    RotationSettings,
    RotationStrategy,
    momentum,
    regime,
    strongest,
)

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


def test_three_funds_get_a_third_each_what_is_not_chosen_is_sold_and_without_a_defensive_fund_there_is_cash() -> None:
    found = weights(view(rising(0.1, 0.3, 0.2, 0.0)), top=3)
    assert [found[symbol] for symbol in ("AAA", "BBB", "CCC")] == [Decimal("1.25") / 3] * 3
    held = weights(view(rising(0.1, 0.3, 0.2, 0.0), "AAA", "OLD"))
    assert held["AAA"] == held["OLD"] == 0, "even if it is no longer ranked"
    fallen = weights(view(rising(-0.1, -0.2, -0.3, -0.4), "AAA", universe=RANKED), defensive=None)
    assert fallen == dict.fromkeys(RANKED, Decimal(0))


def test_momentum_uses_the_first_and_the_last_close_only() -> None:
    strategy = RotationStrategy(SETTINGS)
    assert [(need.timeframe, need.depth, need.adjusted, need.symbols) for need in strategy.needs.bars] == [
        ("1Day", 3, True, RANKED)
    ]
    assert momentum((80, 100, 1, 120), 2) == pytest.approx(0.2)


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


def test_rotation_keeps_its_holdings_with_too_few_funds_or_without_their_bars_and_says_how_many_it_takes() -> None:
    three = {symbol: closes for symbol, closes in rising(0.1, 0.3, 0.2, 0.0).items() if symbol != "DDD"}
    assert refusal(view(three, "AAA")) == (Verdict.UNKNOWN, Reason.RANKED_TOO_FEW, 3, 4)
    assert weights(view(three, "AAA"), min_ranked=3)["BBB"] == HALF
    assert refusal(view({}, "AAA"), min_ranked=1)[2:] == ("AAA is held and has no bars", 1)
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
def test_regime_follows_the_average_or_near_it_half_a_year(closes: Sequence[float], found: MarketDirection) -> None:
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
def test_weights_add_up_and_prices_have_no_unit(closes: dict[str, tuple[float, ...]], top: int, symbol: str) -> None:
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


SIBLING = {"strategy": "rotation", "exits": []}


def merged(into: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    nested = {key: merged(into.get(key) or {}, value) for key, value in changes.items() if isinstance(value, dict)}
    return {**into, **changes, **nested}


def loads(folder: Path, changes: dict[str, Any]) -> str:
    """Load the profile with changes; return why it is refused, empty if it isn't."""
    profile = yaml.safe_load((shipped_path("profiles") / "rotation.yaml").read_text())
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(merged(profile, changes)))
    try:
        load(file, {})
    except ConfigurationError as refused:
        return refused.message
    return ""


def rotation(**own: object) -> dict[str, Any]:
    return {"strategies": {"rotation": own}}


ADVICE = "raise it, or lower strategies.rotation.leverage"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"limits": {"max_order_fraction": 0.2, "max_symbol_fraction": 0.25}},
            "rotation wants up to 125% in one fund (TLT), but limits.max_symbol_fraction leaves 25% and 75% in 3 funds"
            f": {ADVICE}",
        ),
        (
            {"limits": {"max_order_fraction": 0.4, "max_symbol_fraction": 0.4, "max_sector_fraction": 1.24}},
            f"but limits.max_sector_fraction leaves 124%: {ADVICE}",
        ),
        (
            rotation(limits={"max_gross_fraction": 1}),
            "rotation wants up to 125% of its allotment in one fund (TLT), but "
            f"strategies.rotation.limits.max_gross_fraction leaves 100%: {ADVICE}",
        ),
        (
            rotation(defensive=None, limits={"max_theme_fraction": 0.5, "max_order_fraction": 0.5}),
            "in one fund (XLK), but strategies.rotation.limits.max_theme_fraction leaves 50%",
        ),
        ({"limits": {"max_net_fraction": 1.24, "max_order_fraction": 1}}, "limits.max_net_fraction leaves 124%"),
        ({"limits": {"max_concentration": 1, "max_order_fraction": 1}}, "limits.max_concentration leaves 100%"),
        (
            rotation(limits={"max_open_positions": 2, "max_new_entries": 2}),
            "rotation wants up to 3 funds, but strategies.rotation.limits.max_open_positions leaves 2: raise it",
        ),
        (
            {"strategies": {"rotation": {"allotment_fraction": 0.5}, "bold": {**SIBLING, "leverage": 1.6}}},
            "rotation and bold together want up to 142.5% in one fund (TLT), but limits.max_symbol_fraction leaves 140",
        ),
        (
            {"universe": ["XLK", "XLF"]},
            "strategies.rotation ranks or holds XLE, XLV, XLI, XLP, XLU, which its universe doesn't have: add them",
        ),
        (rotation(universe=["XLK"]), "strategies.rotation ranks or holds XLF, XLE, XLV, XLI, XLP, which its universe"),
        (rotation(lookback=126), "strategies.rotation.lookback: there is no such setting"),
        (rotation(leverage=5), "strategies.rotation.leverage: must be less than or equal to 4"),
        (rotation(top=12), "strategies.rotation: top 12 is more than the 11 symbols of ranked"),
        ({"strategies": {"mine": {"strategy": "flow"}}}, "strategies.mine.strategy: flow can be used once"),
    ],
)
def test_limit_that_the_rule_does_not_fit_says_what_it_leaves(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    assert says in loads(tmp_path, changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"limits": {"max_symbol_fraction": 1.25, "max_order_fraction": 1.25, "max_sector_fraction": 1.25}},
        # Smaller orders only take more passes.
        {"limits": {"max_order_fraction": 0.2}},
        {"strategies": {"rotation": {"allotment_fraction": 0.5}, "bold": {**SIBLING, "leverage": 1.55}}},
        {"strategies": {"rotation": {"leverage": 1}}, "limits": {"max_gross_fraction": 1, "max_order_fraction": 0.5,
                                                                "max_sector_fraction": 1, "max_symbol_fraction": 1}},
    ],
)  # fmt: skip
def test_limits_that_leave_room_for_the_rule_load(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert loads(tmp_path, changes) == ""


def test_comments_of_the_configuration_show_the_strategys_defaults() -> None:
    text = (shipped_path("base.yaml")).read_text(encoding="utf-8")
    block = text.partition("  # rotation: once a month")[2].partition("  # It runs in the first session")[0]
    lines = [line.removeprefix("  #") for line in block.splitlines() if line.startswith("  #   ")]
    shown = yaml.safe_load("\n".join(lines))
    assert shown == RotationSettings().model_dump(mode="json") | {"leverage": 1.25, "min_momentum": 0}
    assert list(shown) == list(RotationSettings.model_fields)


# The published rotation in a few lines of pandas: an independent computation that the backtest is compared with.
#
# It knows nothing of the bot. A rebalance ranks and fills at adjusted prices of one session; sizes are whole shares.

SECTORS = ("XLK", "XLF", "XLE", "XLV", "XLI", "XLP", "XLU", "XLY", "XLC", "XLB", "XLRE")
CASH = 100_000.0
LEVERAGE = 1.25
SLIPPAGE = 0.0005


@dataclass(frozen=True)
class Terms:
    """What is assumed. `stale` values positions at their last fill when sizing, the original's defect.

    `fill`: close, ranked and filled at the first session's close; next, ranked there and filled at the next open; open,
    ranked at the close before and filled at the first session's open. `commission` is a fraction of each trade.
    `margin` is what a loan costs per year above the funds rate, None if borrowing is free and cash earns nothing.
    """

    stale: bool = True
    fill: str = "close"
    commission: float = 0.001
    margin: float | None = None


@dataclass
class Outcome:
    """A finished run: the holdings by session, the net asset value after each session, and the number of trades."""

    holdings: dict[str, list[str]] = field(default_factory=dict)
    values: dict[pd.Timestamp, float] = field(default_factory=dict)
    trades: int = 0

    @property
    def curve(self) -> "pd.Series[float]":
        return pd.Series(self.values)

    @property
    def growth(self) -> tuple[float, float]:
        """Return the compound annual growth rate from the first session's value on, and from the first dollar on."""
        curve = self.curve
        years = (curve.index[-1] - curve.index[0]).days / 365.25
        return float((curve.iloc[-1] / curve.iloc[0]) ** (1 / years) - 1), float(
            (curve.iloc[-1] / CASH) ** (1 / years) - 1
        )

    @property
    def drawdown(self) -> float:
        return float((1 - self.curve / self.curve.cummax()).max())

    def sharpe(self, periods: int) -> float:
        """Return the mean daily return over its standard deviation, annualized by the root of `periods`."""
        returns = self.curve.pct_change().dropna()
        return float(returns.mean() / returns.std() * sqrt(periods))


def run(
    opens: pd.DataFrame, closes: pd.DataFrame, rates: "pd.Series[float]", first: str, last: str, terms: Terms
) -> Outcome:
    """Play the rotation between two dates on adjusted prices, a column per symbol; `rates` are fractions a year."""
    out, cash, held, filled = Outcome(), CASH, dict[str, int](), dict[str, float]()
    sessions = closes.loc[first:last].index
    due: list[str] | None = None
    for place, session in enumerate(sessions):
        before = sessions[place - 1] if place else None
        if before is not None and terms.margin is not None:
            rate = rates.asof(before) + (terms.margin if cash < 0 else 0)
            cash *= 1 + rate * (session - before).days / 360
        begins = before is None or before.month != session.month
        if begins:
            decided = closes.index.get_loc(session) - (terms.fill == "open")
            chosen = choose(closes.iloc[decided], closes.iloc[decided - 126])
            out.holdings[session.date().isoformat()] = chosen
            due = chosen
        if due and (terms.fill != "next" or not begins):
            prices = (closes if terms.fill == "close" else opens).loc[session]
            worth = {symbol: filled[symbol] if terms.stale else prices[symbol] for symbol in held}
            value = cash + sum(shares * worth[symbol] for symbol, shares in held.items())
            for symbol, shares in orders(held, {symbol: LEVERAGE / len(due) * value for symbol in due}, prices):
                price = prices[symbol] * (1 + SLIPPAGE if shares > 0 else 1 - SLIPPAGE)
                cash -= shares * price + abs(shares * price) * terms.commission
                held[symbol], filled[symbol] = held.get(symbol, 0) + shares, price
                out.trades += 1
            held = {symbol: shares for symbol, shares in held.items() if shares}
            due = None
        out.values[session] = cash + sum(shares * closes.at[session, symbol] for symbol, shares in held.items())
    return out


def choose(now: "pd.Series[float]", before: "pd.Series[float]") -> list[str]:
    """Return the three sectors with the largest return, as far as they haven't fallen, or the bond fund."""
    returns = {symbol: now[symbol] / before[symbol] - 1 for symbol in SECTORS}
    return [symbol for symbol in sorted(SECTORS, key=lambda s: -returns[s])[:3] if returns[symbol] >= 0] or ["TLT"]


def orders(held: Mapping[str, int], wanted: Mapping[str, float], prices: "pd.Series[float]") -> list[tuple[str, int]]:
    """Return the signed shares to trade, sales first; what isn't wanted is sold whole."""
    changes = {symbol: int(usd / prices[symbol] - held.get(symbol, 0)) for symbol, usd in wanted.items()}
    changes |= {symbol: -shares for symbol, shares in held.items() if symbol not in wanted}
    return sorted(((s, n) for s, n in changes.items() if n), key=lambda change: change[1] > 0)


ROOT = Path(__file__).resolve().parents[2]
HOLDINGS = ROOT / "docs" / "rotation_holdings.csv"
"""The 60 rebalances of the published run: the session, and the funds held from then on."""
SYMBOLS = (*SECTORS, "TLT", "SPY")
FIRST, LAST = "2020-01-02", "2024-12-30"


class Prices(Struct, frozen=True):
    """Adjusted opens and closes, the funds rate, and the folder that all of it is from."""

    folder: Path
    opens: Any
    closes: Any
    rates: Any

    def run(self, terms: Terms) -> Outcome:
        return run(self.opens, self.closes, self.rates, FIRST, LAST, terms)


@pytest.fixture(scope="module")
def prices() -> Prices:
    places = (folder / "shared" / "data" / "market" / "etf_daily_adj.parquet" for folder in ROOT.parents[:2])
    file = next((place for place in places if place.exists()), None)
    if file is None:
        pytest.skip("shared/data has no etf_daily_adj.parquet")
    duckdb = pytest.importorskip("duckdb", reason="needs the data extra to read ../shared/data")
    import pandas as pd

    names = ", ".join(f"'{symbol}'" for symbol in SYMBOLS)
    rows = duckdb.sql(f"SELECT date, symbol, open, close FROM '{file}' WHERE symbol IN ({names})").df()  # noqa: S608
    opens, closes = (rows.pivot(index="date", columns="symbol", values=column) for column in ("open", "close"))
    rates = pd.read_csv(file.with_name("effr_daily.csv"), parse_dates=["date"]).set_index("date")["effr"] / 100
    return Prices(file.parent, opens, closes, rates)


def committed() -> Mapping[str, list[str]]:
    with HOLDINGS.open(encoding="utf-8", newline="") as file:
        return {row["session"]: row["funds"].split() for row in csv.DictReader(file)}


def test_published_run_is_reproduced_with_the_funds_of_the_table(prices: Prices) -> None:
    found = prices.run(Terms())
    assert {session: sorted(funds) for session, funds in found.holdings.items()} == committed()
    assert found.trades == 227
    assert found.growth == pytest.approx((0.1301, 0.1296), abs=0.0001)
    assert found.drawdown == pytest.approx(0.402, abs=0.001)
    assert (found.sharpe(2190), found.sharpe(252)) == pytest.approx((1.712, 0.581), abs=0.001)


@pytest.mark.parametrize(
    ("terms", "growth", "drawdown"),
    [
        (Terms(stale=False), 0.1263, 0.387),
        (Terms(stale=False, margin=0.0), 0.1193, 0.387),
        (Terms(stale=False, margin=0.015), 0.1151, 0.388),
        (Terms(stale=False, margin=0.015, fill="next"), 0.1115, 0.388),
        (Terms(stale=False, margin=0.015, fill="next", commission=0.0), 0.1238, 0.388),
    ],
    ids=["marked rightly", "interest", "with a spread", "at the next open", "without commission"],
)
def test_each_honest_assumption_lowers_the_growth(prices: Prices, terms: Terms, growth: float, drawdown: float) -> None:
    found = prices.run(terms)
    assert found.growth[0] == pytest.approx(growth, abs=0.0002)
    assert found.drawdown == pytest.approx(drawdown, abs=0.001)


def test_bot_trades_as_the_published_run_did(prices: Prices) -> None:
    expected, last = prices.run(Terms()), date(2020, 4, 30)
    played = play(Data(prices.folder), replace(STALE, last=last))
    values = {moment.date(): value for moment, value in expected.values.items() if moment.date() <= last}
    assert list(played.values) == list(values)
    assert list(played.values.values()) == pytest.approx(list(values.values()), rel=0.0005)
    months = {session: funds for session, funds in committed().items() if session <= last.isoformat()}
    assert {session: list(played.held[date.fromisoformat(session)]) for session in months} == months
    assert (len(months), played.missed, played.halts) == (4, 0, ())


def test_strategy_chooses_the_funds_of_the_table_from_the_same_closes(prices: Prices) -> None:
    strategy, table = RotationStrategy({}), committed()
    (need,) = strategy.needs.bars
    for session, funds in table.items():
        last = prices.closes.index.get_loc(session)
        newest = prices.closes.iloc[last + 1 - need.depth : last + 1]
        columns = {symbol: array("d", newest[symbol]) for symbol in SECTORS}
        series = [Series(s, "1Day", True, array("q", range(need.depth)), c, c, c, c, c) for s, c in columns.items()]
        wants = strategy.propose(StrategyView(NOW, (*SECTORS, "TLT"), series={one.key: one for one in series}))
        assert isinstance(wants, list)
        weights = {want.symbol: want.weight for want in wants if isinstance(want, Target) and want.weight}
        assert sorted(weights) == funds, session
        assert float(sum(weights.values())) == pytest.approx(1.25)
