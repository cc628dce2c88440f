"""The variants of a backtest: what is doubled, who trades later, and what can't be played."""

from datetime import date
from decimal import Decimal
from typing import Any

from papervenue.market.coins import kraken_venue
from papervenue.market.futures import futures_venue
from papervenue.market.spec import CLOSE, NEXT_BAR, Costs, MarketSpec
from tests.lab.backtest.roads import Stub
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.app.settings import Settings, load, shipped_path
from tradebot.lab.backtest.run import BacktestPlan
from tradebot.lab.backtest.variants import changes_of
from tradebot.model.evidence import VariantKind
from tradebot.model.struct_tools import replace
from tradebot.timetable.strategy_times import SESSIONS_OF_MONTH

SPEC = MarketSpec(symbols=("XLK",), start=date(2025, 3, 3))
FREE = replace(SPEC, fill=CLOSE._replace(quotes="last"))
MONTHLY = "first session of month at open+5m for 3 sessions"


ROTATION = Stub("rotation", MONTHLY)


def settings(**times: str | None) -> Settings:
    changes: dict[str, Any] = {"flow": None} | {name: {"times": text} for name, text in times.items()}
    return load(shipped_path("profiles/rotation.yaml"), {}, {"strategies": changes}).settings


def times_of(plan: BacktestPlan) -> dict[str, str | None]:
    return {name: section.times for name, section in plan.settings.strategies.sections().items()}


PLAN = BacktestPlan(settings(rotation=MONTHLY), SPEC)


def test_costs_are_doubled_and_what_is_earned_is_not() -> None:
    rates = Costs(
        commission_bps=Decimal(10), commission_per_share_usd=Decimal("0.005"), commission_min_usd=Decimal(1),
        margin_rate="funds", margin_spread=Decimal("0.015"), cash_rate="funds", cash_spread=Decimal("-0.005"),
        borrow_fee_rate=Decimal("0.003"), short_rebate_rate=Decimal("0.01"), rates_path="rates.csv",
    )  # fmt: skip
    spec = replace(SPEC, fill=NEXT_BAR._replace(slippage_bps=Decimal(5)), costs=rates)
    (dear, *_) = changes_of(replace(PLAN, spec=spec), [ROTATION]).changes
    assert (dear.kind, dear.name) == (VariantKind.COSTS, "costs x2")
    assert (dear.plan.spec.fill.slippage_bps, dear.plan.spec.fill.spread_bps) == (Decimal(10), 4)
    assert dear.plan.spec.costs == rates._replace(
        commission_bps=Decimal(20), commission_per_share_usd=Decimal("0.01"), commission_min_usd=Decimal(2),
        margin_spread=Decimal("0.03"), cash_spread=Decimal("-0.01"), borrow_fee_rate=Decimal("0.006"),
    )  # fmt: skip
    assert dear.plan.settings == PLAN.settings
    constant = replace(SPEC, costs=Costs(margin_rate=Decimal("0.08"), cash_rate=Decimal("0.03")))
    (dear, *_) = changes_of(replace(PLAN, spec=constant), [ROTATION]).changes
    assert (dear.plan.spec.costs.margin_rate, dear.plan.spec.costs.cash_rate) == (Decimal("0.16"), Decimal("0.03"))


def test_costs_are_not_doubled_if_there_are_none_or_beyond_the_limits() -> None:
    free = changes_of(replace(PLAN, spec=FREE), [ROTATION])
    assert "nothing to double" in free.left_out[0]
    assert VariantKind.COSTS not in {one.kind for one in free.changes}
    dear = replace(FREE, costs=Costs(commission_bps=Decimal(900)))
    assert "must be from 0 to 1000, not 1800" in changes_of(replace(PLAN, spec=dear), [ROTATION]).left_out[0]


def test_monthly_strategy_is_delayed_and_moved_to_each_session_of_the_month() -> None:
    found = changes_of(replace(PLAN, level=RecordLevel.FULL), [ROTATION])
    assert found.left_out == ()
    _, later, *days = found.changes
    assert (later.kind, later.name) == (VariantKind.DELAY, "a session later")
    assert times_of(later.plan) == {"rotation": MONTHLY.replace("first", "2nd")}
    assert [times_of(one.plan)["rotation"] for one in days] == [MONTHLY.replace("first", n) for n in SESSIONS_OF_MONTH]
    assert {one.kind for one in days} == {VariantKind.REBALANCE_DAY}
    assert days[1].plan == later.plan, "it needn't be played twice"
    assert days[0].plan == found.played, "it is the run itself"
    assert {one.plan.level for one in found.changes} == {RecordLevel.NONE}


def test_times_that_only_the_strategy_names_are_moved_but_not_those_of_every_session_or_beside_such_a_one() -> None:
    _, later, first, *_ = changes_of(BacktestPlan(settings(rotation=None), SPEC), [ROTATION]).changes
    assert times_of(later.plan) == {"rotation": MONTHLY.replace("first", "2nd")}
    assert times_of(first.plan) == {"rotation": None}
    found = changes_of(BacktestPlan(settings(rotation="at open+5m"), SPEC), [ROTATION])
    assert [one.kind for one in found.changes] == [VariantKind.COSTS]
    assert "rotation may trade in every session" in found.left_out[0]
    assert "Other sessions of the month aren't played" in found.left_out[1]
    assert [one.kind for one in changes_of(PLAN, [ROTATION, Stub("outsider")]).changes] == [VariantKind.COSTS]
    weekly = changes_of(BacktestPlan(settings(rotation="2nd session of week at open+5m"), SPEC), [ROTATION])
    assert [one.kind for one in weekly.changes] == [VariantKind.COSTS, VariantKind.DELAY]
    assert times_of(weekly.changes[1].plan) == {"rotation": "3rd session of week at open+5m"}


def test_fees_of_a_venue_with_its_own_rules_are_doubled_and_its_funding_is_not() -> None:
    venue = kraken_venue(7, ("PF_XBTUSD",))
    spec = MarketSpec(symbols=("PF_XBTUSD",), start=date(2026, 11, 10), venue=venue)
    (dear, *_) = changes_of(replace(PLAN, spec=spec), [ROTATION]).changes
    rules = dear.plan.spec.venue.rules
    assert (rules.maker_fee, rules.taker_fee) == (2 * venue.rules.maker_fee, 2 * venue.rules.taker_fee)
    assert dear.plan.spec.venue.instruments == venue.instruments
    contracts = futures_venue(date(2026, 11, 10), 5, ("MES",))
    listed = tuple(each.symbol for each in contracts.instruments)
    (dear, *_) = changes_of(replace(PLAN, spec=replace(spec, venue=contracts, symbols=listed)), [ROTATION]).changes
    fees = [each.contract_fee for each in contracts.instruments]
    assert [each.contract_fee for each in dear.plan.spec.venue.instruments] == [2 * fee for fee in fees if fee]
