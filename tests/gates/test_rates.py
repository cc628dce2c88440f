"""The limits on how often: one predicate serves the gate and the monitor, and what reduces risk is not throttled."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import LIMITS, NOW, ask, book, candidate
from tradebot.gates import rates
from tradebot.gates.decide import decide
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, first_failure
from tradebot.model.desk import Book, Entered

SHARED = (Gate.SESSION_ENTRIES, Gate.SYMBOL_ENTRIES, Gate.ORDER_RATE, Gate.DUPLICATE)
ages = st.integers(0, 120).map(lambda s: NOW - timedelta(seconds=s))
entries = st.lists(
    st.builds(
        Entered, st.sampled_from(["flow", "own"]), st.sampled_from(["AAPL", "MSFT"]), st.sampled_from(Side), ages
    ),
    max_size=40,
).map(lambda found: tuple(sorted(found, key=lambda e: e.at)))


def monitored(seen: Book) -> list[tuple[str, Decision]]:
    return list(rates.monitors(seen, LIMITS))


@given(entries=entries)
def test_a_gate_says_of_an_entry_what_the_monitor_says_of_the_entries_after_it(entries: tuple[Entered, ...]) -> None:
    before = book(entries=entries)
    wanted = candidate("AAPL")
    after = monitored(before.with_order(Entered("flow", "AAPL", Side.BUY, NOW)))
    gates = {decision.gate: decision for decision in decide(ask(book=before, candidate=wanted))}
    for gate in SHARED:
        said = [decision for _, decision in after if decision.gate is gate]
        assert gates[gate] in said, gate


@given(asked=st.lists(st.tuples(st.sampled_from(["AAPL", "MSFT"]), st.integers(0, 90)), max_size=80))
def test_entries_that_each_pass_their_gates_never_trip_a_monitor(asked: list[tuple[str, int]]) -> None:
    seen, now = book(), NOW
    for symbol, wait_s in asked:
        now += timedelta(seconds=wait_s)
        wanted = Entered("flow", symbol, Side.BUY, now)
        answers = (
            rates.session_entries(seen, LIMITS, more=1),
            rates.symbol_entries(seen, LIMITS, wanted.strategy, wanted.symbol, wanted.side, more=1),
            rates.order_rate(seen, LIMITS, now, more=1),
            rates.duplicate_order(seen, LIMITS, symbol, Side.BUY, now),
        )
        seen = seen if first_failure(answers) else seen.with_order(wanted)
    assert [(who, said) for who, said in monitored(seen) if not said.passed] == []


def test_a_session_without_entries_has_one_monitor_that_passes() -> None:
    assert [(who, said.gate, said.passed) for who, said in monitored(book())] == [("", Gate.SESSION_ENTRIES, True)]
