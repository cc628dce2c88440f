"""The limits on a whole book: one predicate serves the gate and the monitor.

A day's limits of an account that trades contracts: its loss, its trades, and what it holds and orders.

A strategy's own limits: only ever tighter than the account's, and judged by the same predicates.
"""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.core.venue import FixedStrategy
from tests.kit.values import (
    BETAS,
    CASH,
    HALTS,
    LIMITS,
    NOW,
    OPTIONS,
    SECTORS,
    THEMES,
    ask,
    book,
    candidate,
    limits,
    listing,
    margined,
    quote,
)
from tradebot.gates import portfolio_limits as limits_of
from tradebot.gates.evaluation import decide
from tradebot.gates.gate_declarations import OWN_GATES
from tradebot.gates.sizing import entry_size
from tradebot.model.account import AccountValue
from tradebot.model.candidate import Candidate, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.desk import ExposureRange, RiskBook, SessionEntry, StrategyExposure
from tradebot.model.limits import (
    NESTED,
    OF_EQUITY,
    OF_THE_ACCOUNT,
    OPTIONAL_OF_EQUITY,
    Limits,
    OwnLimits,
    StrategyRules,
    Tighter,
    in_force,
    strategy_limits,
    tightest,
    without_effect,
)
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World

OF_RATES = (Gate.SESSION_ENTRIES, Gate.SYMBOL_ENTRIES, Gate.ORDER_RATE, Gate.DUPLICATE)
ages = st.integers(0, 120).map(lambda s: NOW - timedelta(seconds=s))
entries = st.lists(
    st.builds(
        SessionEntry, st.sampled_from(["flow", "own"]), st.sampled_from(["AAPL", "MSFT"]), st.sampled_from(Side), ages
    ),
    max_size=40,
).map(lambda found: tuple(sorted(found, key=lambda e: e.at)))


def monitored(seen: RiskBook) -> list[tuple[str, Decision]]:
    return list(limits_of.rate_monitors(seen, LIMITS, NOW))


@given(entries=entries)
def test_a_gate_says_of_an_entry_what_the_monitor_says_of_the_entries_after_it(
    entries: tuple[SessionEntry, ...],
) -> None:
    before = book(entries=entries)
    wanted = candidate("AAPL")
    after = monitored(before.with_order(SessionEntry("flow", "AAPL", Side.BUY, NOW)))
    gates = {decision.gate: decision for decision in decide(ask(book=before, candidate=wanted))}
    for gate in OF_RATES:
        said = [decision for _, decision in after if decision.gate is gate]
        assert gates[gate] in said, gate


@given(asked=st.lists(st.tuples(st.sampled_from(["AAPL", "MSFT"]), st.integers(0, 90)), max_size=80))
def test_entries_that_each_pass_their_gates_never_trip_a_monitor(asked: list[tuple[str, int]]) -> None:
    seen, now = book(), NOW
    for symbol, wait_s in asked:
        now += timedelta(seconds=wait_s)
        wanted = SessionEntry("flow", symbol, Side.BUY, now)
        answers = (
            limits_of.session_entries(seen, LIMITS, more=1),
            limits_of.symbol_entries(seen, LIMITS, wanted.strategy, wanted.symbol, wanted.side, more=1),
            limits_of.order_rate(seen, LIMITS, now, more=1),
            limits_of.duplicate_order(seen, LIMITS, symbol, Side.BUY, now),
        )
        seen = seen if first_failure(answers) else seen.with_order(wanted)
    assert [(who, said) for who, said in monitored(seen) if not said.passed] == []


def test_a_session_without_entries_has_one_monitor_that_passes() -> None:
    assert [(who, said.gate, said.passed) for who, said in monitored(book())] == [("", Gate.SESSION_ENTRIES, True)]


SHARED = (
    Gate.GROSS_NOTIONAL, Gate.SYMBOL_NOTIONAL, Gate.SECTOR_NOTIONAL, Gate.OPEN_POSITIONS, Gate.DAILY_LOSS,
    Gate.DRAWDOWN,
)  # fmt: skip


def held(usd: int, loss: int = 0) -> RiskBook:
    value = Decimal(usd)
    return book(
        exposure={"AAPL": value}, sector_exposure={"technology": value}, gross=value, day_loss=Decimal(loss),
        held=frozenset({"AAPL"}),
    )  # fmt: skip


@settings(max_examples=40)
@given(usd=st.integers(0, 90_000), loss=st.integers(0, 5_000))
def test_a_gate_says_of_an_entry_what_the_monitor_says_of_the_book_after_it(usd: int, loss: int) -> None:
    before = held(usd, loss)
    asked = ask(book=before, candidate=candidate("MSFT"))
    assert asked.size is not None
    size = asked.size
    after = before.with_entry(SessionEntry("flow", "MSFT", Side.BUY, NOW), size.notional_usd, "technology")
    gates = {decision.gate: decision for decision in decide(asked)}
    monitors = {(d.gate, subject): d for subject, d in limits_of.monitors(after, LIMITS, HALTS)}
    subjects = {Gate.SYMBOL_NOTIONAL: "MSFT", Gate.SECTOR_NOTIONAL: "technology"}
    for gate in SHARED:
        assert gates[gate] == monitors[gate, subjects.get(gate, "")]


@pytest.mark.parametrize(
    ("usd", "loss", "broken"),
    [
        (9_000, 0, set()),
        (11_000, 0, {Gate.SYMBOL_NOTIONAL}),
        (31_000, 0, {Gate.SYMBOL_NOTIONAL, Gate.SECTOR_NOTIONAL}),
        (61_000, 3_000, {Gate.SYMBOL_NOTIONAL, Gate.SECTOR_NOTIONAL, Gate.GROSS_NOTIONAL, Gate.DAILY_LOSS}),
    ],
)
def test_a_monitor_fails_where_the_book_itself_is_beyond_its_limit(usd: int, loss: int, broken: set[Gate]) -> None:
    answers = limits_of.monitors(held(usd, loss), LIMITS, HALTS)
    assert {decision.gate for _, decision in answers if not decision.passed} == broken


# On margin all of it can be lost.
@pytest.mark.parametrize(
    "bare", [book(equity=Decimal(0)), margined(equity=Decimal(0), worth=AccountValue(Decimal(0), Decimal(0)))]
)
def test_without_equity_no_monitor_of_shares_knows_anything(bare: RiskBook) -> None:
    answers = limits_of.monitors(replace(bare, exposure={"AAPL": Decimal(1)}), LIMITS, HALTS)
    unsure = {decision.gate for _, decision in answers if decision.verdict is Verdict.UNKNOWN}
    assert unsure == {Gate.GROSS_NOTIONAL, Gate.SYMBOL_NOTIONAL, Gate.DAILY_LOSS, Gate.DRAWDOWN}
    assert {d.reason for _, d in limits_of.monitors(bare, LIMITS, HALTS)} == {Reason.EQUITY_UNKNOWN, None}


def stated(equity: int, total: int, at_cost: int = 0) -> RiskBook:
    return book(
        equity=Decimal(equity),
        worth=AccountValue(Decimal(total), Decimal(at_cost)),
        peak_equity=CASH,
        day_loss=Decimal(9_000),
    )


@pytest.mark.parametrize(("equity", "total"), [(74, 100), (100, 74), (10_000, 100), (100, -5)])
def test_equity_that_cash_and_positions_do_not_explain_fails_no_rule_and_passes_none(equity: int, total: int) -> None:
    seen = stated(equity, total)
    answers = [limits_of.daily_loss_halt(seen, HALTS), *(found for _, found in limits_of.monitors(seen, LIMITS, HALTS))]
    judged = [found for found in answers if found.gate is not Gate.OPEN_POSITIONS]
    assert {(found.verdict, found.reason) for found in judged} == {(Verdict.UNKNOWN, Reason.EQUITY_UNEXPLAINED)}
    assert {(found.observed, found.limit) for found in judged} == {(equity, total)}


@pytest.mark.parametrize(("equity", "total", "at_cost"), [(76, 100, 0), (100, 76, 0), (100, 10, 70), (60, 100, 20)])
def test_equity_near_enough_to_cash_and_positions_is_judged(equity: int, total: int, at_cost: int) -> None:
    assert limits_of.check_drawdown(stated(equity, total, at_cost), HALTS).verdict is Verdict.FAIL


@pytest.mark.parametrize(("yesterday", "verdict"), [(100_000, Verdict.FAIL), (100_001, Verdict.UNKNOWN)])
def test_a_day_that_began_far_above_the_highest_equity_halts_nobody(yesterday: int, verdict: Verdict) -> None:
    equity = Decimal(75_000)
    seen = book(equity=equity, peak_equity=equity, day_loss=yesterday - equity)
    assert limits_of.daily_loss_halt(seen, HALTS).verdict is verdict
    assert limits_of.daily_loss_halt(replace(seen, peak_equity=None), HALTS).verdict is Verdict.FAIL


D = Decimal
DAY = limits(
    max_daily_loss_fraction=D("0.02"), max_session_entries=20, max_contracts=3, max_order_contracts=2,
    max_order_notional_usd=D(10_000_000), max_order_fraction=D(10),
)  # fmt: skip
BEGAN = D(100_000)


@pytest.mark.parametrize(("lost", "allowed"), [("1999.99", True), ("2000.00", False), ("2000.01", False)])
def test_a_loss_of_the_limit_itself_closes_entries_and_a_cent_less_does_not(lost: str, allowed: bool) -> None:
    after = book(equity=BEGAN - D(lost), day_loss=D(lost), peak_equity=BEGAN)
    assert limits_of.daily_loss(after, DAY).passed is allowed


@pytest.mark.parametrize(("traded", "allowed"), [(19, True), (20, False)])
def test_nineteen_trades_allow_one_more_and_twenty_none(traded: int, allowed: bool) -> None:
    entered = tuple(SessionEntry("futures", f"S{number}", Side.BUY, NOW) for number in range(traded))
    assert limits_of.session_entries(book(entries=entered), DAY, more=1).passed is allowed


@given(st.integers(0, 6), st.integers(0, 6))
def test_contracts_are_limited_as_a_sum_by_the_gate_and_the_monitor_alike(held: int, more: int) -> None:
    gate = limits_of.contracts(book(contracts=D(held)), DAY, D(more))
    monitor = limits_of.contracts(book(contracts=D(held + more)), DAY)
    assert gate is not None
    assert gate == monitor
    assert gate.passed is (held + more <= 3)
    assert limits_of.contracts(book(contracts=D(held)), limits()) is None


@given(st.integers(1, 9))
def test_an_order_has_no_more_contracts_than_its_limit_and_no_more_than_were_wished_for(wish: int) -> None:
    wanted = replace(candidate(), quantity=D(wish))
    size = entry_size(wanted, listing(), quote(), book(equity=D(10_000_000)), DAY, D(1))
    assert size.quantity == min(wish, 2)


def test_an_entry_counts_for_the_next_one_in_the_same_pass() -> None:
    before = book(contracts=D(2))
    after = before.with_entry(SessionEntry("futures", "AAPL", Side.BUY, NOW), D(100), "technology", D(1), D(100))
    assert after.contracts == 3


ALL = LIMITS.model_copy(update=OPTIONS)
"""The limits with none of them off."""
FACTORS = (Decimal("0.5"), Decimal(1), Decimal(2))
NAMES = sorted(OwnLimits.model_fields)


def scaled(name: str, factor: Decimal) -> object:
    """Return an account limit times a factor, within what the limit may be."""
    value = getattr(ALL, name)
    times = type(value)(Decimal(str(value)) * factor)
    share = name.startswith("min_") and isinstance(value, float)
    return max(times, 1) if isinstance(value, int) else min(times, 1.0) if share else times


owns = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(FACTORS), max_size=8).map(
    lambda factors: OwnLimits.model_validate({name: scaled(name, factor) for name, factor in factors.items()})
)
stakes = st.lists(
    st.builds(
        StrategyExposure,
        st.sampled_from(["flow", "other"]),
        st.sampled_from(sorted(SECTORS)),
        st.sampled_from(Side),
        st.integers(0, 20_000).map(Decimal),
        st.booleans(),
        st.integers(0, 400).map(Decimal),
    ),
    max_size=6,
).map(tuple)


def account_of(parts: tuple[StrategyExposure, ...]) -> RiskBook:
    """Return the account's book in which these are all the stakes."""
    exposure, by_sector, spans = dict[str, Decimal](), dict[str, Decimal](), dict[str, ExposureRange]()
    for part in parts:
        exposure[part.symbol] = exposure.get(part.symbol, Decimal(0)) + part.usd
        spans[part.symbol] = part.on(spans.get(part.symbol, ExposureRange()))
        sector = SECTORS[part.symbol]
        by_sector[sector] = by_sector.get(sector, Decimal(0)) + part.usd
    return book(
        exposure=exposure,
        sector_exposure=by_sector,
        gross=sum(exposure.values(), Decimal(0)),
        held=frozenset(part.symbol for part in parts if part.held),
        working=frozenset(part.symbol for part in parts if not part.held),
        stakes=parts,
        new_entries=tuple(part.strategy for part in parts if not part.held),
        spans=spans,
        themes=THEMES,
        betas=BETAS,
    )


def looser(name: str, one: object, other: object) -> bool:
    higher = Tighter.HIGHER in Limits.model_fields[name].metadata
    return bool(one < other if higher else one > other)  # type: ignore[operator]


STOP = Decimal("0.02")
SHARES = st.decimals("0.05", 1, places=2)


@given(own=owns, share=SHARES)
def test_effective_limits_are_never_looser_than_the_accounts_or_the_strategys(own: OwnLimits, share: Decimal) -> None:
    effective, given_own = in_force(ALL, own, share), strategy_limits(own)
    for name in Limits.model_fields:
        # Of the account's equity, a strategy's fraction is only its allotment's part.
        part = share if name in (*OF_EQUITY, *OPTIONAL_OF_EQUITY) else 1
        wall = getattr(ALL, name)
        assert not looser(name, getattr(effective, name) * part, wall if part == 1 else wall + Decimal("1e-20"))
    for name, value in given_own.items():
        assert not looser(name, getattr(effective, name), value)
        assert (name in set(without_effect(ALL, own, share))) == (getattr(effective, name) != value)
    alone, both = in_force(ALL, own, Decimal(1)), tightest(ALL, own)
    narrowed = {name for name in Limits.model_fields if getattr(alone, name) != getattr(both, name)}
    assert narrowed <= {small for small, _ in NESTED} - set(given_own)


def test_a_fraction_of_an_allotment_may_be_larger_than_the_accounts_fraction_of_equity() -> None:
    whole, quarter = Decimal(1), Decimal("0.25")
    own = OwnLimits.model_validate({"max_symbol_fraction": "0.3"})
    wall = LIMITS.max_symbol_fraction
    assert in_force(LIMITS, own, whole).max_symbol_fraction == wall < Decimal("0.3")
    assert in_force(LIMITS, own, quarter).max_symbol_fraction == Decimal("0.3") < wall / quarter
    assert in_force(LIMITS, OwnLimits(), quarter).max_symbol_fraction == wall


def test_a_strategy_may_have_every_limit_but_those_on_prices_and_orders_whoever_wants_them() -> None:
    assert set(NAMES) == set(Limits.model_fields) - OF_THE_ACCOUNT
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        OwnLimits.model_validate({"exit_life_s": 60})


@settings(max_examples=80)
@given(parts=stakes, own=owns, share=SHARES, score=st.floats(0, 1))
def test_what_passes_a_strategys_own_limits_passes_the_accounts_too(
    parts: tuple[StrategyExposure, ...], own: OwnLimits, share: Decimal, score: float
) -> None:
    wish = candidate("AAPL", score=score)
    seen = account_of(parts)
    asked = ask(
        book=seen, candidate=wish, limits=ALL, own=StrategyRules((), in_force(ALL, own, share), share), stop=STOP
    )
    alone = ask(book=seen, candidate=wish, limits=ALL, size=asked.size)
    if first_failure(decide(asked)) is None:
        assert first_failure(decide(alone)) is None
    assert asked.size is not None
    bare = ask(book=seen, candidate=wish, limits=ALL, stop=STOP).size
    assert bare is not None
    assert asked.size.quantity <= bare.quantity


@given(parts=stakes, share=SHARES)
def test_a_gate_says_of_an_entry_what_the_monitor_says_of_the_strategys_book_after_it(
    parts: tuple[StrategyExposure, ...], share: Decimal
) -> None:
    rules = StrategyRules((), ALL, share)
    before = account_of(parts)
    asked = ask(book=before, candidate=candidate("MSFT"), own=rules, stop=STOP)
    assert asked.size is not None
    entered = SessionEntry("flow", "MSFT", Side.BUY, NOW)
    usd, risk = asked.size.notional_usd, asked.size.risk_usd
    after = before.with_order(entered).with_entry(entered, usd, "technology", risk_usd=risk)
    gates = {decision.gate: decision for decision in decide(asked)}
    part = after.own("flow", share * CASH, SECTORS)
    monitors = {(d.gate, subject): d for subject, d in limits_of.own_monitors(part, ALL, NOW)}
    subjects = {
        Gate.OWN_SYMBOL_NOTIONAL: "MSFT",
        Gate.OWN_SECTOR_NOTIONAL: "technology",
        Gate.OWN_THEME_NOTIONAL: "cloud",
    }
    for gate in set(OWN_GATES.values()) - {Gate.OWN_NEW_ENTRIES, Gate.OWN_DAILY_LOSS}:
        assert gates[gate] == monitors[gate, subjects.get(gate, "")]


@given(parts=stakes)
def test_the_strategies_own_books_add_up_to_the_accounts(parts: tuple[StrategyExposure, ...]) -> None:
    whole = account_of(parts)
    books = [whole.own(name, CASH, SECTORS) for name in ("flow", "other")]
    assert sum((part.gross for part in books), Decimal(0)) == whole.gross
    for symbol in SECTORS:
        assert sum(part.exposure.get(symbol, Decimal(0)) for part in books) == whole.exposure.get(symbol, Decimal(0))
    assert frozenset().union(*(part.open_symbols for part in books)) == whole.open_symbols
    assert sorted(name for part in books for name in part.new_entries) == sorted(whole.new_entries)


@given(parts=stakes.map(lambda parts: tuple(replace(part, strategy="flow") for part in parts)), score=st.floats(0, 1))
def test_a_strategy_that_is_alone_meets_the_same_numbers_at_both_walls(
    parts: tuple[StrategyExposure, ...], score: float
) -> None:
    asked = ask(book=account_of(parts), candidate=candidate("AAPL", score=score), limits=ALL)
    said = {d.gate: d for d in decide(asked)}
    assert len(OWN_GATES) == 14
    for gate in set(OWN_GATES) - {Gate.DAILY_LOSS}:
        own_gate = OWN_GATES[gate]
        assert limits_of.as_strategy_limit(said[gate]) == said[own_gate]


@pytest.mark.parametrize("side", Side)
def test_a_wish_for_a_quantity_makes_the_size_smaller_and_never_larger(side: Side) -> None:
    usual = ask(candidate=candidate(side=side)).size
    assert usual is not None
    for wish, quantity in (("7.9", 7), ("0.5", 0), ("1000000", usual.quantity)):
        size = ask(candidate=replace(candidate(side=side), quantity=Decimal(wish))).size
        assert size is not None
        assert size.quantity == quantity


def test_a_target_needs_no_score_and_may_add_to_the_strategys_own_position() -> None:
    target = replace(candidate(score=None), want=WantKind.TARGET, coverage=None, weight=Decimal("0.04"))
    held = StrategyExposure("flow", "AAPL", Side.BUY, Decimal(1000), held=True)
    said = {d.gate: d for d in decide(ask(candidate=target, book=account_of((held,))))}
    assert all(decision.verdict is Verdict.PASS for decision in said.values())
    assert (said[Gate.SCORE].observed, said[Gate.COVERAGE].observed) == ("not used", "not used")
    assert said[Gate.OPEN_POSITIONS].observed == said[Gate.OWN_OPEN_POSITIONS].observed == 1


def test_only_who_reads_flow_is_asked_for_fresh_flow() -> None:
    bars = ask(candidate=replace(candidate(), reads_flow=False, coverage=None))
    without = replace(bars.account, desk=replace(bars.desk, facts={}))
    unread = replace(bars, strategy=without.of("flow", StrategyRules((), LIMITS)))
    reading = replace(unread, candidate=candidate())
    assert first_failure(decide(unread)) is None
    end = first_failure(decide(reading))
    assert end is not None
    assert end.reason is Reason.FLOW_MISSING


class Named(FixedStrategy):
    def __init__(self, name: str, *candidates: Candidate) -> None:
        super().__init__(*candidates)
        self.name = name


def between(scene: Scene, *strategies: Named, own: dict[str, StrategyRules] | None = None) -> World:
    world = scene.world()
    return replace(world, strategies=strategies, rules=replace(world.rules, own=own or {}))


def ends(record: CycleRecord) -> dict[tuple[str, str], Reason | None]:
    return {
        (one.candidate.strategy, one.candidate.symbol): one.terminal.reason if one.terminal else None
        for one in record.candidates
    }


def held_by(scene: Scene, strategy: str, symbol: str) -> None:
    record = trade_once(between(scene, Named(strategy, wanted(symbol))), call(slot="earlier"))
    name = record.candidates[0].client_order_id
    assert name is not None, record.candidates[0].terminal
    scene.venue.fill(name, "100")
    scene.later(3600)
    trade_once(between(scene), call(slot="applied"))


def test_two_strategies_may_hold_one_symbol_on_the_same_side_and_not_on_opposite_ones() -> None:
    scene = Scene()
    held_by(scene, "flow", "AAPL")
    same = Named("other", wanted("AAPL"))
    opposite = Named("third", wanted("AAPL", side=Side.SELL))
    refused = trade_once(between(scene, opposite, Named("flow", wanted("AAPL"))), call(slot="one"))
    assert ends(refused) == {("third", "AAPL"): Reason.OPPOSITE_SIDE, ("flow", "AAPL"): Reason.ALREADY_POSITIONED}
    (against,) = (d for one in refused.candidates for d in one.decisions if d.reason is Reason.OPPOSITE_SIDE)
    assert (against.gate, against.observed) == (Gate.POSITIONED, "flow")
    assert ends(trade_once(between(scene, same), call(slot="two"))) == {("other", "AAPL"): None}
    assert {i.key.strategy for i in scene.venue.submitted} == {"flow", "other"}


def test_an_order_of_this_pass_on_the_opposite_side_counts_too() -> None:
    scene = Scene()
    record = trade_once(
        between(scene, Named("flow", wanted("AAPL", 0.9)), Named("other", wanted("AAPL", 0.8, Side.SELL))), call()
    )
    assert ends(record) == {("flow", "AAPL"): None, ("other", "AAPL"): Reason.OPPOSITE_SIDE}


def test_each_strategy_counts_its_own_entries_and_trades_its_own_allotment() -> None:
    scene = Scene()
    one_each = LIMITS.model_copy(update={"max_new_entries": 1})
    own = {
        "flow": StrategyRules(scene.universe, one_each, Decimal("0.75")),
        "other": StrategyRules(scene.universe, one_each, Decimal("0.25")),
    }
    flow = Named("flow", wanted("AAPL", 0.9), wanted("MSFT", 0.8))
    other = Named("other", wanted("JPM", 0.7), wanted("XOM", 0.6))
    record = trade_once(between(scene, flow, other, own=own), call())
    assert ends(record) == {
        ("flow", "AAPL"): None,
        ("flow", "MSFT"): Reason.OWN_MAX_NEW_ENTRIES,
        ("other", "JPM"): None,
        ("other", "XOM"): Reason.OWN_MAX_NEW_ENTRIES,
    }
    # One order may be 5% of the allotment, at 100.20 a share.
    assert [(i.key.strategy, int(i.quantity)) for i in scene.venue.submitted] == [("flow", 37), ("other", 12)]


def test_a_pass_that_goes_on_after_a_kill_counts_the_entries_of_each_strategy() -> None:
    scene = Scene()
    own = {"other": StrategyRules(scene.universe, LIMITS.model_copy(update={"max_new_entries": 1}))}
    trade_once(between(scene, Named("flow", wanted("AAPL")), own=own), call())
    again = trade_once(between(scene, Named("other", wanted("MSFT", 0.9), wanted("JPM", 0.8)), own=own), call())
    assert ends(again) == {("other", "MSFT"): None, ("other", "JPM"): Reason.OWN_MAX_NEW_ENTRIES}


def test_a_name_without_rules_has_the_accounts() -> None:
    scene = Scene()
    record = trade_once(between(scene, Named("stranger", wanted("AAPL"))), call())
    assert ends(record) == {("stranger", "AAPL"): None}
    assert scene.venue.submitted[0].quantity == 49
    assert quote().ask == 100
