"""What was known at an earlier time is what had arrived by then, however often and in whatever order it is asked."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, NOW, alert
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.signals.kinds.flow_alerts import KIND
from tradebot.signals.known import SessionFacts

minutes = st.integers(0, 6)


@given(st.lists(st.tuples(minutes, st.integers(1, 5), minutes), min_size=1, max_size=12))
def test_what_was_known_is_all_that_had_arrived_by_then(steps: list[tuple[int, int, int]]) -> None:
    facts, arrived = SessionFacts(DAY), dict[int, list[tuple[int, FlowAlert]]]()
    for at, number, asked in sorted(steps):
        fact = alert(number + at, Right.CALL)
        facts.add(KIND, "AAPL", str(number), NOW + timedelta(minutes=at), fact)
        arrived.setdefault(number, []).append((at, KIND.lean(fact)))
        facts.add(KIND, "MSFT", "1", NOW + timedelta(minutes=9), alert(1, Right.CALL))
        for _ in range(2):
            newest = [[fact for when, fact in each if when <= asked] for each in arrived.values()]
            expected = KIND.condense([each[-1] for each in newest if each])
            assert facts.symbol_facts("AAPL", NOW + timedelta(minutes=asked)).alerts == expected
