"""Where candidates ended, by question and by symbol: every candidate counts once."""

from tests.kit.values import NOW
from tradebot.model.decision import Gate
from tradebot.model.record import Ended, EndedPasses
from tradebot.views.funnel import GateCount, by_symbol

ENDS = (
    Ended("MSFT", Gate.COOLDOWN, "", 4, None, 1),
    Ended("AAPL", Gate.STRATEGY, "place", 2, None, 2),
    Ended("AAPL", Gate.STRATEGY, "setup", 1, None, 1),
    Ended("AAPL", None, "", 0, None, 1),
    Ended("AAPL", Gate.SEND, "", 9, "one", 1),
)


def test_each_candidate_counts_at_the_first_question_that_refused_it() -> None:
    found = by_symbol(EndedPasses(2, NOW, NOW, ENDS), lambda name: False)
    assert found.gates == (
        GateCount("setup", 6, 1), GateCount("place", 5, 2), GateCount("cooldown", 3, 1), GateCount("send", 2, 1),
    )  # fmt: skip
    assert [(each.symbol, each.candidates, each.orders, each.refused) for each in found.symbols] == [
        ("AAPL", 5, 1, {"place": 2, "send": 1, "setup": 1}),
        ("MSFT", 1, 0, {"cooldown": 1}),
    ]
    assert (found.passes, found.candidates, found.orders) == (2, 6, 1)


def test_order_that_the_venue_was_found_to_have_counts_as_sent() -> None:
    found = by_symbol(EndedPasses(2, NOW, NOW, ENDS), lambda name: name == "one")
    assert (found.orders, [each.gate for each in found.gates]) == (2, ["setup", "place", "cooldown"])


def test_passes_without_candidates_have_no_gates_and_no_symbols() -> None:
    found = by_symbol(EndedPasses(1, NOW, NOW, ()), lambda name: False, "nothing kept")
    assert (found.passes, found.candidates, found.gates, found.symbols) == (1, 0, (), ())
    assert found.left_out == "nothing kept"
