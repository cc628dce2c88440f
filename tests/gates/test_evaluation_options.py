"""The limits that may be off: each refuses with its numbers, passes at its edge, and isn't asked while it is off."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gates.test_entry import OF_MARGIN as OF_MARGIN_GATES
from tests.gates.test_entry import OF_OPTIONS, D, Row, sized, staked
from tests.kit.values import (
    BETAS,
    CASH,
    HALTS,
    LIMITS,
    LISTED,
    NOW,
    OPTIONS,
    SECTORS,
    THEMES,
    ago,
    ask,
    book,
    candidate,
    desk,
    limits,
    quote,
    size_of,
)
from tradebot.exits.rules import parse
from tradebot.gates import portfolio_limits as limits_of
from tradebot.gates.ask import Ask, EntryPlan
from tradebot.gates.evaluation import decide
from tradebot.gates.sizing import stop_distance
from tradebot.model.candidate import Side
from tradebot.model.costs import Costs
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import ExposureRange, RiskBook, SessionEntry, Shocks
from tradebot.model.limits import OF_MARGIN, OF_SHOCKS, Limits, StrategyRules
from tradebot.model.position import RoundTrip
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

ALL = LIMITS.model_copy(update=OPTIONS)
"""The shipped limits with none of them off."""
FAIL, UNKNOWN = Verdict.FAIL, Verdict.UNKNOWN
ON_BOOK = (Gate.THEME_NOTIONAL, Gate.NET_NOTIONAL, Gate.BETA_NOTIONAL, Gate.CONCENTRATION)


def only(*names: str) -> Limits:
    return LIMITS.model_copy(update={name: OPTIONS[name] for name in names})


def holding(**usd: int) -> RiskBook:
    return book(
        exposure={symbol: Decimal(abs(value)) for symbol, value in usd.items()},
        spans={symbol: ExposureRange(Decimal(value), Decimal(value)) for symbol, value in usd.items()},
        held=frozenset(usd),
        gross=Decimal(sum(map(abs, usd.values()))),
        themes=THEMES,
        betas=BETAS,
    )


def on(seen: RiskBook, *names: str, quantity: int = 50, side: Side = Side.BUY) -> Ask:
    """Ask about an entry of 100 USD a share under these options."""
    return ask(book=seen, limits=only(*names), candidate=candidate(side=side), size=sized(quantity))


def on_own(seen: RiskBook, *names: str) -> Ask:
    """Ask under own options of a strategy that has a quarter of the account, of which the book is its own."""
    stakes = (staked(int(usd), symbol) for symbol, usd in seen.exposure.items())
    whole = replace(seen, stakes=tuple(stakes))
    return ask(book=whole, own=StrategyRules((), only(*names), D("0.25")), size=sized(10))


def trip(profit: int, age_s: float = 60, symbol: str = "MSFT", strategy: str = "flow") -> RoundTrip:
    return RoundTrip(strategy, symbol, ago(age_s), Decimal(profit), Decimal(1000), ago(age_s + 600))


def after(*profits: int, age_s: float = 60, **changes: object) -> RiskBook:
    return book(round_trips=tuple(trip(profit, age_s) for profit in profits), **changes)


def lost(age_s: float, strategy: str = "flow") -> RiskBook:
    return book(lost_at={(strategy, "AAPL"): ago(age_s), (strategy, "MSFT"): ago(1)})


def own_day(result: int | None, **changes: object) -> Ask:
    """Ask under an own limit of a hundredth of a quarter of the account, after a session with this result in USD."""
    own = StrategyRules((), LIMITS.model_copy(update={"max_daily_loss_fraction": D("0.01")}), D("0.25"))
    known = None if result is None else Decimal(result)
    return ask(book=book(day_results={"flow": known, "other": Decimal(-99_999)}, **changes), own=own, size=sized(1))


def risking(losses: tuple[str | None, ...], own: str = "1") -> Ask:
    """Ask about an entry that loses 100 USD at its stop, besides positions that lose so much at theirs."""
    stakes = tuple(replace(staked(1000), risk_usd=None if loss is None else Decimal(loss)) for loss in losses)
    rules = StrategyRules((), only("max_open_risk_fraction"), Decimal(own))
    size = replace(sized(50), risk_usd=D("100"))
    whole = only("max_open_risk_fraction") if own == "1" else LIMITS
    return ask(book=book(stakes=stakes), limits=whole, own=rules, size=size)


def marked(mark: str | None, index: str | None) -> Ask:
    """Ask about an entry whose quote has a mark and an index."""
    known = [None if price is None else Decimal(price) for price in (mark, index)]
    return ask(quote=replace(quote(), mark=known[0], index=known[1]), limits=only("max_basis_fraction"))


def shocked(
    ages: dict[str, float] | None, *, everywhere: float | None = None, mark: str | None = "100",
    known: tuple[str, ...] = ("AAPL", "MSFT"),
) -> Ask:  # fmt: skip
    """Ask about an entry after shocks so many seconds ago."""
    found = None
    if ages is not None:
        last = {symbol: ago(age) for symbol, age in ages.items()}
        found = Shocks(last, frozenset(known), None if everywhere is None else ago(everywhere))
    seen = replace(quote(), mark=None if mark is None else D(mark), index=D("100"))
    return ask(desk=desk(shocks=found), quote=seen, limits=only(*OF_SHOCKS))


def costing(name: str, cost: str | None, *targets: str, stop: str | None = "0.02") -> Ask:
    """Ask about an entry whose costs are all funding, with so far a stop and targets."""
    costs = Costs(D("0"), None if cost is None else D(cost))
    plan = EntryPlan(None if stop is None else D(stop), tuple(map(D, targets)), costs)
    return ask(limits=only(name), plan=plan)


ASKED_LAST = ("max_slippage_fraction", "max_order_contracts", "max_decision_ms", "max_sending_ms")
"""Limits asked only after all others, because that takes a request: tests/orders/test_entry_orders_depth.py."""
STREAK = ("max_loss_streak", "loss_streak_wait_s")
DAY_S = 86_400
REFUSALS: list[Row] = [
    (Gate.THEME_NOTIONAL, Reason.THEME_NOTIONAL_ABOVE_MAX, on(holding(AAPL=26_000), "max_theme_fraction"),
     FAIL, D("0.31"), D("0.30")),
    (Gate.THEME_NOTIONAL, Reason.THEME_UNKNOWN, on(book(), "max_theme_fraction"), UNKNOWN, None, D("0.30")),
    (Gate.NET_NOTIONAL, Reason.NET_NOTIONAL_ABOVE_MAX, on(holding(MSFT=46_000), "max_net_fraction"),
     FAIL, D("0.51"), D("0.50")),
    (Gate.NET_NOTIONAL, Reason.NET_NOTIONAL_ABOVE_MAX, on(holding(MSFT=-46_000), "max_net_fraction", side=Side.SELL),
     FAIL, D("0.51"), D("0.50")),
    (Gate.NET_NOTIONAL, Reason.EQUITY_UNKNOWN, on(book(equity=D("0")), "max_net_fraction"),
     UNKNOWN, D("0"), D("0.50")),
    (Gate.BETA_NOTIONAL, Reason.BETA_NOTIONAL_ABOVE_MAX, on(holding(JPM=46_000), "max_beta_fraction"),
     FAIL, D("0.566"), D("0.55")),
    (Gate.BETA_NOTIONAL, Reason.BETA_UNKNOWN, on(holding(BA=1, GE=1), "max_beta_fraction"),
     UNKNOWN, "BA, GE", D("0.55")),
    (Gate.BETA_NOTIONAL, Reason.BETA_UNKNOWN, on(book(), "max_beta_fraction"), UNKNOWN, "AAPL", D("0.55")),
    (Gate.CONCENTRATION, Reason.CONCENTRATION_ABOVE_MAX, on(holding(MSFT=22_000), "max_concentration"),
     FAIL, D("0.0509"), D("0.05")),
    (Gate.OWN_THEME_NOTIONAL, Reason.OWN_THEME_NOTIONAL_ABOVE_MAX, on_own(holding(AAPL=6600), "max_theme_fraction"),
     FAIL, D("0.304"), D("0.30")),
    (Gate.OWN_NET_NOTIONAL, Reason.OWN_NET_NOTIONAL_ABOVE_MAX, on_own(holding(MSFT=12_000), "max_net_fraction"),
     FAIL, D("0.52"), D("0.50")),
    (Gate.OWN_BETA_NOTIONAL, Reason.OWN_BETA_NOTIONAL_ABOVE_MAX, on_own(holding(JPM=12_000), "max_beta_fraction"),
     FAIL, D("0.576"), D("0.55")),
    (Gate.OWN_CONCENTRATION, Reason.OWN_CONCENTRATION_ABOVE_MAX, on_own(holding(MSFT=6000), "max_concentration"),
     FAIL, D("0.0592"), D("0.05")),
    (Gate.RISK, Reason.RISK_ABOVE_MAX,
     ask(limits=only("max_risk_fraction"), size=replace(sized(50), risk_usd=D("1001"))), FAIL, D("0.01001"), D("0.01")),
    (Gate.RISK, Reason.STOP_UNKNOWN, on(book(), "max_risk_fraction"), UNKNOWN, None, D("0.01")),
    (Gate.BASIS, Reason.BASIS_TOO_WIDE, marked("100.751", "100"), FAIL, D("0.00751"), D("0.0075")),
    (Gate.BASIS, Reason.BASIS_TOO_WIDE, marked("99.249", "100"), FAIL, D("0.00751"), D("0.0075")),
    (Gate.BASIS, Reason.BASIS_UNKNOWN, marked("100", None), UNKNOWN, None, D("0.0075")),
    (Gate.BASIS, Reason.BASIS_UNKNOWN, marked(None, "100"), UNKNOWN, None, D("0.0075")),
    (Gate.SHOCK, Reason.SHOCKED, shocked({"AAPL": 1799.0}), FAIL, 1799.0, 1800),
    (Gate.SHOCK, Reason.SHOCKED_EVERYWHERE, shocked({}, everywhere=1799.0), FAIL, 1799.0, 1800),
    (Gate.SHOCK, Reason.SHOCKS_UNKNOWN, shocked(None), UNKNOWN, None, 1800),
    (Gate.SHOCK, Reason.SHOCKS_UNKNOWN, shocked({}, known=("MSFT",)), UNKNOWN, None, 1800),
    (Gate.SHOCK, Reason.BASIS_UNKNOWN, shocked({}, mark=None), UNKNOWN, None, 1800),
    (Gate.SHOCK, Reason.BASIS_SHOCK, shocked({}, mark="98.5"), FAIL, D("0.015"), D("0.015")),
    (Gate.COST, Reason.COST_ABOVE_MAX, costing("max_cost_fraction", "0.00250001"),
     FAIL, D("0.00250001"), D("0.0025")),
    (Gate.COST, Reason.COST_UNKNOWN, costing("max_cost_fraction", None), UNKNOWN, None, D("0.0025")),
    (Gate.COST_OF_STOP, Reason.COST_ABOVE_SHARE_OF_STOP, costing("max_cost_of_stop_fraction", "0.00301"),
     FAIL, D("0.1505"), D("0.15")),
    (Gate.COST_OF_STOP, Reason.COST_UNKNOWN, costing("max_cost_of_stop_fraction", None), UNKNOWN, None, D("0.15")),
    (Gate.COST_OF_STOP, Reason.STOP_UNKNOWN, costing("max_cost_of_stop_fraction", "0.001", stop=None),
     UNKNOWN, None, D("0.15")),
    (Gate.FUNDING, Reason.FUNDING_ABOVE_MAX, costing("max_funding_fraction", "0.00150001"),
     FAIL, D("0.00150001"), D("0.0015")),
    (Gate.FUNDING, Reason.COST_UNKNOWN, costing("max_funding_fraction", None), UNKNOWN, None, D("0.0015")),
    (Gate.REWARD, Reason.REWARD_BELOW_MIN, costing("min_reward_ratio", None, "0.02", "0.0399"),
     FAIL, D("1.995"), D("2")),
    (Gate.REWARD, Reason.TARGET_UNKNOWN, costing("min_reward_ratio", "0.001"), UNKNOWN, None, D("2")),
    (Gate.REWARD, Reason.STOP_UNKNOWN, costing("min_reward_ratio", "0.001", "0.09", stop=None), UNKNOWN, None, D("2")),
    (Gate.EDGE, Reason.EDGE_BELOW_MIN, costing("min_edge_ratio", "0.001", "0.0059", "0.1"),
     FAIL, D("0.0059"), D("0.006")),
    (Gate.EDGE, Reason.TARGET_UNKNOWN, costing("min_edge_ratio", "0.001"), UNKNOWN, None, D("6")),
    (Gate.EDGE, Reason.COST_UNKNOWN, costing("min_edge_ratio", None, "0.1"), UNKNOWN, None, D("6")),
    (Gate.STOP_LOSS, Reason.STOP_LOSS_ABOVE_MAX,
     ask(limits=only("max_stop_loss_usd"), size=replace(sized(50), risk_usd=D("2000.01"))),
     FAIL, D("2000.01"), D("2000")),
    (Gate.STOP_LOSS, Reason.STOP_UNKNOWN, on(book(), "max_stop_loss_usd"), UNKNOWN, None, D("2000")),
    (Gate.CONTRACTS, Reason.CONTRACTS_ABOVE_MAX, on(book(contracts=D("999")), "max_contracts", quantity=2),
     FAIL, D("1001"), 1000),
    (Gate.CONTRACTS, Reason.QUOTE_MISSING, ask(limits=only("max_contracts"), size=None, quote=None),
     UNKNOWN, None, 1000),
    (Gate.OPEN_RISK, Reason.OPEN_RISK_ABOVE_MAX, risking(("2900.01", "0")), FAIL, D("0.0300001"), D("0.03")),
    (Gate.OPEN_RISK, Reason.STOP_UNKNOWN, risking(("1", None)), UNKNOWN, "MSFT", D("0.03")),
    (Gate.OWN_OPEN_RISK, Reason.OWN_OPEN_RISK_ABOVE_MAX, risking(("650.01", "0"), own="0.25"),
     FAIL, D("0.0300004"), D("0.03")),
    (Gate.OWN_DAILY_LOSS, Reason.OWN_DAILY_LOSS_REACHED, own_day(-250, equity=D("99000")), FAIL, D("0.01"), D("0.01")),
    (Gate.OWN_DAILY_LOSS, Reason.QUOTE_MISSING, own_day(None), UNKNOWN, None, D("0.01")),
    (Gate.OWN_DAILY_LOSS, Reason.EQUITY_UNKNOWN, own_day(0, equity=D("0")), UNKNOWN, D("0"), D("0.01")),
    (Gate.MAX_DRAWDOWN, Reason.DRAWDOWN_STAYS,
     on(book(equity=D("95000"), peak_equity=CASH), "max_drawdown_fraction"), FAIL, D("0.05"), D("0.05")),
    (Gate.MAX_DRAWDOWN, Reason.DRAWDOWN_CLOSES_ENTRIES,
     on(book(held=frozenset({"AAPL"}), equity=D("95000"), peak_equity=CASH), "max_drawdown_fraction"),
     FAIL, D("0.05"), D("0.05")),
    (Gate.MAX_DRAWDOWN, Reason.DRAWDOWN_CLOSES_ENTRIES,
     on(book(foreign=frozenset({"AAPL"}), equity=D("95000"), peak_equity=CASH), "max_drawdown_fraction"),
     FAIL, D("0.05"), D("0.05")),
    (Gate.EQUITY_FLOOR, Reason.EQUITY_BELOW_FLOOR, on(book(equity=D("79999")), "min_equity_usd"),
     FAIL, D("79999"), D("80000")),
    (Gate.EQUITY_FLOOR, Reason.EQUITY_UNKNOWN, on(book(equity=D("0")), "min_equity_usd"),
     UNKNOWN, D("0"), D("80000")),
    (Gate.LOSS_STREAK, Reason.LOSS_STREAK, on(after(5, -1, -1, -1, -1, age_s=7199), *STREAK), FAIL, 4, 4),
    (Gate.OWN_LOSS_STREAK, Reason.OWN_LOSS_STREAK,
     ask(book=after(5, -1, -1, -1, -1), own=StrategyRules((), only(*STREAK))), FAIL, 4, 4),
    (Gate.LOSS_COOLDOWN, Reason.LOSS_COOLDOWN, on(lost(3599), "loss_cooldown_s"), FAIL, 3599.0, 3600),
    (Gate.LOSS_COOLDOWN, Reason.LOSS_COOLDOWN, on(lost(3599, "other"), "loss_cooldown_s"), FAIL, 3599.0, 3600),
    (Gate.LOSS_COOLDOWN, Reason.LOSS_COOLDOWN, ask(book=lost(10), own=StrategyRules((), only("loss_cooldown_s"))),
     FAIL, 10.0, 3600),
    (Gate.LOSS_COOLDOWN, Reason.LOSS_COOLDOWN,
     ask(book=lost(5000), limits=only("loss_cooldown_s"), own=StrategyRules((), limits(loss_cooldown_s=7200))),
     FAIL, 5000.0, 7200),
    (Gate.WASH_SALE, Reason.WASH_SALE, on(lost(30 * DAY_S, "other"), "wash_sale_days"), FAIL, 30, 30),
]  # fmt: skip
PASSES_AT_THE_EDGE: list[tuple[Gate, Ask]] = [
    (Gate.THEME_NOTIONAL, on(holding(AAPL=25_000, JPM=30_000, XOM=30_000), "max_theme_fraction")),
    (Gate.NET_NOTIONAL, on(holding(MSFT=45_000), "max_net_fraction")),
    (Gate.NET_NOTIONAL, on(holding(MSFT=75_000, JPM=-30_000), "max_net_fraction")),
    (Gate.BETA_NOTIONAL, on(holding(XOM=-100_000, JPM=5000), "max_beta_fraction", quantity=75)),
    (Gate.CONCENTRATION, on(holding(MSFT=20_000, JPM=9_000), "max_concentration", quantity=40)),
    (Gate.OWN_NET_NOTIONAL, on_own(holding(MSFT=11_500), "max_net_fraction")),
    (Gate.RISK, ask(limits=only("max_risk_fraction"), size=replace(sized(50), risk_usd=D("1000")))),
    (Gate.BASIS, marked("100.75", "100")),
    (Gate.BASIS, marked("99.25", "100")),
    (Gate.SHOCK, shocked({"AAPL": 1800.0, "MSFT": 1.0}, everywhere=1800.0, mark="101.4")),
    (Gate.COST, costing("max_cost_fraction", "0.0025")),
    (Gate.COST_OF_STOP, costing("max_cost_of_stop_fraction", "0.003")),
    (Gate.FUNDING, costing("max_funding_fraction", "0.0015")),
    (Gate.REWARD, costing("min_reward_ratio", None, "0.01", "0.04")),
    (Gate.EDGE, costing("min_edge_ratio", "0.001", "0.006", "0.01")),
    (Gate.STOP_LOSS, ask(limits=only("max_stop_loss_usd"), size=replace(sized(50), risk_usd=D("2000")))),
    (Gate.CONTRACTS, on(book(contracts=D("999")), "max_contracts", quantity=1)),
    (Gate.OPEN_RISK, risking(("2900", "0"))),
    (Gate.OWN_OPEN_RISK, risking(("650", "0"), own="0.25")),
    (Gate.OWN_DAILY_LOSS, own_day(-249, equity=D("99000"))),
    (Gate.OWN_DAILY_LOSS, own_day(5000)),
    (Gate.LOSS_COOLDOWN, ask(book=lost(3600), limits=only("loss_cooldown_s"), own=StrategyRules((), ALL))),
    (Gate.MAX_DRAWDOWN, on(book(equity=D("95001"), peak_equity=CASH), "max_drawdown_fraction")),
    (Gate.EQUITY_FLOOR, on(book(equity=D("80000")), "min_equity_usd")),
    (Gate.LOSS_STREAK, on(after(-1, 0, -1, -1, -1), *STREAK)),
    (Gate.LOSS_STREAK, on(after(-1, -1, -1, -1, -1, age_s=7200), *STREAK)),
    (Gate.OWN_LOSS_STREAK,
     ask(book=replace(after(), round_trips=9 * (trip(-1, strategy="other"),)), own=StrategyRules((), only(*STREAK)))),
    (Gate.LOSS_COOLDOWN, on(lost(3600), "loss_cooldown_s")),
    (Gate.LOSS_COOLDOWN, ask(book=lost(10, "other"), own=StrategyRules((), only("loss_cooldown_s")))),
    (Gate.WASH_SALE, on(lost(31 * DAY_S), "wash_sale_days")),
]  # fmt: skip


def said(asked: Ask) -> dict[Gate, Decision]:
    return {decision.gate: decision for decision in decide(asked)}


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_an_optional_gate_refuses_with_its_reason_and_its_numbers(row: Row) -> None:
    gate, reason, asked, verdict, observed, limit = row
    found = said(asked)[gate]
    assert (found.verdict, found.reason, found.observed, found.limit) == (verdict, reason, observed, limit)
    assert Unit.NONE not in found.units
    assert [decision.gate for decision in decide(asked)] == sorted(said(asked), key=lambda gate: gate.place)


@pytest.mark.parametrize(("gate", "asked"), PASSES_AT_THE_EDGE, ids=lambda part: str(part)[:20])
def test_an_optional_gate_passes_at_its_limit(gate: Gate, asked: Ask) -> None:
    assert said(asked)[gate].verdict is Verdict.PASS


def test_each_optional_gate_has_a_case_that_it_refuses() -> None:
    assert set(OF_OPTIONS) == {row[0] for row in REFUSALS}


def test_a_limit_that_is_off_is_not_asked_and_one_that_is_set_is() -> None:
    assert not set(said(ask())) & set(OF_OPTIONS)
    every = ask(limits=ALL, book=holding())
    assert set(OF_OPTIONS) - {Gate.OWN_DAILY_LOSS} <= set(said(every))
    for name in OPTIONS:
        alone = set(said(ask(limits=only(name), book=holding()))) & {*OF_OPTIONS, *OF_MARGIN_GATES}
        assert bool(alone) is (name not in (*STREAK, *OF_MARGIN, *OF_SHOCKS[:-1], *ASKED_LAST)), name


def test_without_a_quote_no_optional_limit_on_size_passes() -> None:
    unpriced = said(ask(limits=LIMITS.model_copy(update=OPTIONS), book=holding(), quote=None))
    for gate in (*ON_BOOK, Gate.BASIS, Gate.COST, Gate.EDGE, Gate.RISK, Gate.STOP_LOSS, Gate.OPEN_RISK):
        assert (unpriced[gate].verdict, unpriced[gate].reason) == (UNKNOWN, Reason.QUOTE_MISSING)


@pytest.mark.parametrize("side", Side)
def test_a_stake_that_is_held_counts_either_way_and_an_order_only_on_its_side(side: Side) -> None:
    signed = side.sign * Decimal(100)
    assert staked(100, side=side).on(ExposureRange(Decimal(-1), Decimal(1))) == ExposureRange(signed - 1, signed + 1)
    ordered = staked(100, side=side, held=False).on(ExposureRange())
    assert ordered == ExposureRange(min(signed, Decimal(0)), max(signed, Decimal(0)))


@pytest.mark.parametrize("profits", [(), (5, -1, -1, -1), (-1, -1, -1, -1), (-1, -1, -1, -1, 0)])
def test_a_streak_is_the_same_to_the_gate_and_to_the_monitor(profits: tuple[int, ...]) -> None:
    asked = on(after(*profits), *STREAK)
    *_, (subject, streak) = limits_of.rate_monitors(asked.book, asked.limits, NOW)
    assert (subject, streak) == ("", said(asked)[Gate.LOSS_STREAK])
    assert Gate.LOSS_STREAK not in {found.gate for _, found in limits_of.rate_monitors(asked.book, LIMITS, NOW)}


def test_a_symbol_of_no_theme_counts_by_itself() -> None:
    seen = holding(JPM=29_000, XOM=29_000)
    jpm = ask(book=seen, limits=only("max_theme_fraction"), candidate=candidate("JPM"), size=sized(11))
    assert said(jpm)[Gate.THEME_NOTIONAL].observed == D("0.301")
    stranger = replace(seen, exposure={**seen.exposure, "ZZZ": D("40000")})
    (beyond,) = [found for found in limits_of.exposure_monitors(stranger, jpm.limits) if found[1].gate in ON_BOOK[:1]
                 and not found[1].passed]  # fmt: skip
    assert (beyond[0], beyond[1].observed) == ("", D("0.4"))


values = st.dictionaries(st.sampled_from(sorted(SECTORS)), st.integers(-20_000, 20_000), max_size=4)
orders = st.lists(st.tuples(st.sampled_from(sorted(SECTORS)), st.sampled_from(Side), st.integers(1, 9_000)), max_size=4)


def with_orders(seen: RiskBook, placed: list[tuple[str, Side, int]]) -> RiskBook:
    for symbol, side, usd in placed:
        risk = Decimal(usd) / 50
        seen = seen.with_entry(SessionEntry("flow", symbol, side, NOW), Decimal(usd), SECTORS[symbol], risk_usd=risk)
    return seen


def observed(seen: RiskBook) -> dict[tuple[Gate, str], Decimal]:
    monitors = limits_of.exposure_monitors(seen, ALL)
    return {(d.gate, subject): Decimal(str(d.observed)) for subject, d in monitors}


@given(held=values, placed=orders, symbol=st.sampled_from(sorted(SECTORS)), side=st.sampled_from(Side))
def test_an_order_never_lowers_a_projected_exposure(
    held: dict[str, int], placed: list[tuple[str, Side, int]], symbol: str, side: Side
) -> None:
    before = with_orders(holding(**held), placed)
    fuller = observed(with_orders(before, [(symbol, side, 5000)]))
    assert all(fuller[place] >= value for place, value in observed(before).items())


def mirrored(seen: RiskBook) -> RiskBook:
    return replace(
        seen, spans={symbol: ExposureRange(-span.highest, -span.lowest) for symbol, span in seen.spans.items()}
    )


@given(held=values, placed=orders)
def test_a_book_of_shorts_is_limited_as_its_mirror_image_of_longs(
    held: dict[str, int], placed: list[tuple[str, Side, int]]
) -> None:
    seen = with_orders(holding(**held), placed)
    other = with_orders(
        holding(**{symbol: -usd for symbol, usd in held.items()}),
        [(symbol, Side.SELL if side is Side.BUY else Side.BUY, usd) for symbol, side, usd in placed],
    )
    assert other == replace(mirrored(seen), stakes=other.stakes)
    assert observed(other) == observed(seen)


@given(held=values, placed=orders, filled=st.lists(st.booleans(), min_size=4, max_size=4))
def test_whatever_orders_fill_the_net_exposure_stays_within_what_was_projected(
    held: dict[str, int], placed: list[tuple[str, Side, int]], filled: list[bool]
) -> None:
    net, market = Decimal(sum(held.values())), sum((usd * BETAS[name] for name, usd in held.items()), Decimal(0))
    for (symbol, side, usd), fills in zip(placed, filled, strict=False):
        net += side.sign * usd * fills
        market += side.sign * usd * fills * BETAS[symbol]
    projected = observed(with_orders(holding(**held), placed))
    assert abs(net) / CASH <= projected[Gate.NET_NOTIONAL, ""]
    assert abs(market) / CASH <= projected[Gate.BETA_NOTIONAL, ""]


@settings(max_examples=60)
@given(held=values, placed=orders, side=st.sampled_from(Side))
def test_an_optional_gate_passes_exactly_where_the_monitor_of_the_book_after_it_passes(
    held: dict[str, int], placed: list[tuple[str, Side, int]], side: Side
) -> None:
    before = with_orders(holding(**held), placed)
    asked = ask(book=before, limits=ALL, candidate=candidate("MSFT", side), stop=D("0.02"))
    assert asked.size is not None
    gates = said(asked)
    usd, risk, entered = asked.size.notional_usd, asked.size.risk_usd, SessionEntry("flow", "MSFT", side, NOW)
    book_after = before.with_entry(entered, usd, "technology", risk_usd=risk)
    monitors = {(d.gate, subject): d for subject, d in limits_of.monitors(book_after, ALL, HALTS)}
    for gate in (*ON_BOOK, Gate.OPEN_RISK, Gate.MAX_DRAWDOWN, Gate.EQUITY_FLOOR):
        assert gates[gate] == monitors[gate, "cloud" if gate is Gate.THEME_NOTIONAL else ""]
    *_, (symbol, at_stop) = [(symbol, d) for (gate, symbol), d in monitors.items() if gate is Gate.STOP_LOSS]
    assert (symbol, at_stop) == ("MSFT", gates[Gate.STOP_LOSS]) or "MSFT" in {order[0] for order in placed}


@given(stop=st.decimals("0.001", "0.5", places=3), side=st.sampled_from(Side))
def test_a_size_never_risks_more_than_its_limit_and_is_otherwise_as_large_as_without_one(
    stop: Decimal, side: Side
) -> None:
    asked = ask(candidate=candidate(side=side), limits=only("max_risk_fraction"), stop=stop)
    plain = ask(candidate=candidate(side=side), stop=stop).size
    assert asked.size is not None
    assert plain is not None
    most = ALL.max_risk_fraction
    assert most is not None
    assert asked.size.risk_usd == asked.size.notional_usd * stop <= most * CASH
    share = plain.notional_usd / plain.quantity
    assert asked.size.quantity == min(plain.quantity, most * CASH / stop // share)
    assert asked.size.quantity == 0 or said(asked)[Gate.RISK].passed


def test_the_nearer_of_an_entrys_own_stop_and_its_strategys_counts() -> None:
    own = replace(candidate(), stop_loss_fraction=D("0.01"))
    assert (stop_distance(own, LISTED, None), stop_distance(own, (), None)) == (D("0.01"), D("0.01"))
    far = replace(candidate(), stop_loss_fraction=D("0.5"))
    assert (stop_distance(far, LISTED, None), stop_distance(candidate(), (), None)) == (D("0.02"), None)
    in_ticks = parse([{"stop_ticks": {"ticks": 50}}])
    assert (stop_distance(far, in_ticks, D("100")), stop_distance(candidate(), in_ticks, None)) == (D("0.005"), None)
    assert size_of(candidate(), quote(), book(), LIMITS).risk_usd is None
