"""Every assumption is named with its value, and what is optimistic about it."""

from datetime import date
from decimal import Decimal
from typing import Any

from papervenue.market.futures import futures_venue
from papervenue.market.spec import SPECS, Costs, MarketSpec
from tradebot.app.sandbox import market_spec
from tradebot.app.settings import load
from tradebot.lab.backtest.assumptions import Assumption, assumptions
from tradebot.lab.backtest.run import BacktestPlan
from tradebot.model.struct_tools import replace

SPEC = MarketSpec(symbols=("AAPL",), start=date(2025, 3, 3))
DAILY = replace(SPEC, source="daily", path="days.csv")
PLAN = BacktestPlan(load(None, {}).settings, SPEC)


def said(plan: BacktestPlan, *, with_flow: bool = False) -> dict[str, Assumption]:
    return {one.name: one for one in assumptions(plan, with_flow=with_flow)}


def test_costs_are_listed_with_their_values_and_missing_ones_as_none() -> None:
    free = said(PLAN)
    assert [free[name].value for name in ("commission", "slippage", "margin_interest", "cash_interest")] == ["none"] * 4
    costs = Costs(
        commission_bps=Decimal(10), commission_min_usd=Decimal(1), margin_rate="funds", margin_spread=Decimal("0.015"),
        cash_rate=Decimal("0.02"), borrow_fee_rate=Decimal("0.003"), rates_path="rates.csv",
    )  # fmt: skip
    dear = said(replace(PLAN, spec=replace(SPEC, costs=costs)))
    assert dear["commission"].value == "10 bps and at least 1 USD an order"
    assert dear["margin_interest"].value == "the federal funds rate of each day +1.50 points"
    assert (dear["cash_interest"].value, dear["borrow_fee"].value) == ("2% a year", "0.3% a year")
    assert "interest_posted" not in free
    assert dear["interest_posted"].remark == "the interest of the last night isn't in the result"
    monthly = said(replace(PLAN, spec=replace(SPEC, costs=costs._replace(posted="month"))))
    assert monthly["interest_posted"].value == "before the first session of each month"


def test_kraken_market_of_edge_zero_is_named_as_one_without_trends_and_shocks() -> None:
    def prices(venue: str, edge: float) -> str:
        spec = market_spec(load(None, {}, {"mode": "sandbox", "venue": venue, "sandbox": {"edge": edge}}).settings)
        return said(replace(PLAN, spec=spec))["prices"].value

    assert prices("kraken_futures", 0.1) == prices("alpaca", 0) == "generated"
    assert "without trends or shocks" in prices("kraken_futures", 0)


def test_fees_of_futures_are_listed_by_root_and_they_have_no_funding() -> None:
    venue = futures_venue(date(2026, 12, 7), 3, ("MES", "ES", "MNQ"))
    told = said(replace(PLAN, spec=replace(SPEC, venue=venue, symbols=tuple(one.symbol for one in venue.instruments))))
    assert told["fees"].value == "for each contract that is bought or sold: 0.62 USD (MES, MNQ), 2.25 USD (ES)"
    assert "funding" not in told
    perpetuals = market_spec(load(None, {}, {"mode": "sandbox", "venue": "kraken_futures"}).settings)
    assert "funding" in said(replace(PLAN, spec=perpetuals))


def test_person_who_ends_halts_is_an_assumption() -> None:
    assert said(PLAN)["halts"].remark == "no entries after a halt, because no person ends it"
    settings = load(None, {}, {"backtest": {"unhalt_after_sessions": 5}}).settings
    ended = said(replace(PLAN, settings=settings))["halts"].remark
    assert ended == "optimistic: a person accepts each halt, and ends it 5 sessions later"


def test_halts_by_margin_are_named_if_they_are_on() -> None:
    limits = {"margin_fraction": 0.92, "maintenance_fraction": 0.9}
    halts = said(replace(PLAN, settings=load(None, {}, {"venue": "kraken_futures", "halts": limits}).settings))[
        "halts"
    ].value
    assert halts.endswith("initial margin 92%, maintenance margin 90%")


def test_assumption_that_makes_a_result_unreal_is_marked_and_so_is_what_a_file_lacks() -> None:
    def loud(plan: BacktestPlan, **told: Any) -> list[str]:
        return [one.name for one in assumptions(plan, **{"with_flow": False} | told) if one.is_loud]

    assert loud(PLAN) == ["prices"]
    assert loud(replace(PLAN, spec=replace(SPEC, edge=0.3)), with_flow=True) == ["prices", "flow"]
    assert loud(replace(PLAN, spec=replace(DAILY, fill=SPECS["close"]))) == []
    looking = replace(DAILY, fill=SPECS["close"], prices="adjusted", day_prices="close")
    study = replace(PLAN, spec=looking, equity_at="last_fill", margin="free")
    assert loud(study) == ["prices", "day_prices", "leverage", "equity"]
    assert loud(replace(PLAN, spec=DAILY)) == ["waiting"]
    lacks = {"unused": "3 duplicate", "lacking": "MESZ6 has none"}
    assert {*loud(PLAN, **lacks)} == {"prices", "rows left out", "bars missing"}
    found = {one.name: one.value for one in assumptions(PLAN, with_flow=False, **lacks)}
    assert (found["rows left out"], found["bars missing"]) == ("3 duplicate", "MESZ6 has none")
    assert not {"rows left out", "bars missing"} & said(PLAN).keys()
