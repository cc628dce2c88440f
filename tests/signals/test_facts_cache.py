"""What was known at an earlier time is what had arrived by then, however often and in whatever order it is asked."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import DAY, NOW, alert
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.signals.facts_cache import SessionFacts
from tradebot.signals.subjects.alerts import FLOW_ALERTS_KIND

minutes = st.integers(0, 6)


@given(st.lists(st.tuples(minutes, minutes), min_size=1, max_size=12))
def test_what_was_known_is_all_that_had_arrived_by_then(steps: list[tuple[int, int]]) -> None:
    facts, arrived = SessionFacts(DAY), list[tuple[int, FlowAlert]]()
    for number, (at, asked) in enumerate(steps):
        fact = alert(number + 1, Right.CALL)
        facts.add(FLOW_ALERTS_KIND, "AAPL", str(number), NOW + timedelta(minutes=at), fact)
        arrived.append((at, FLOW_ALERTS_KIND.lean(fact)))
        for _ in range(2):
            expected = FLOW_ALERTS_KIND.condense([fact for when, fact in arrived if when <= asked])
            assert facts.symbol_facts("AAPL", NOW + timedelta(minutes=asked)).alerts == expected


def test_earlier_version_of_a_fact_is_known_until_the_next_one_arrives() -> None:
    facts, one, other = SessionFacts(DAY), alert(1, Right.CALL), alert(1, Right.PUT)
    facts.add(FLOW_ALERTS_KIND, "AAPL", "id", NOW, one)
    facts.add(FLOW_ALERTS_KIND, "AAPL", "id", NOW + timedelta(minutes=2), other)
    seen = [facts.symbol_facts("AAPL", NOW + timedelta(minutes=minute)).alerts for minute in (-1, 0, 1, 2)]
    assert seen == [(), *(FLOW_ALERTS_KIND.condense([FLOW_ALERTS_KIND.lean(each)]) for each in (one, one, other))]
