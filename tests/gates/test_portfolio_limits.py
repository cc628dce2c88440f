"""The limits on a whole book: one predicate serves the gate and the monitor."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.values import CASH, HALTS, LIMITS, NOW, ask, book, candidate, margined
from tradebot.gates import portfolio_limits as limits_of
from tradebot.gates.evaluation import decide
from tradebot.model.account import AccountValue
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.desk import RiskBook, SessionEntry
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

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
