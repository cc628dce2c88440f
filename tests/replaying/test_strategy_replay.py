"""Strategies answer again with other settings: their filters from the record, all else on what is stored from then."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.kit.core.recorded import Taken, trade_once
from tests.kit.core.scene import Scene, call
from tests.kit.core.venue import NoBars
from tests.kit.values import SESSION, there
from tradebot.model.bar import StrategySlot, WaitingStrategy
from tradebot.model.candidate import Candidate, Side
from tradebot.model.decision import Decision
from tradebot.model.flow import Intake
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.view import Needs, Open, StrategyView
from tradebot.replaying.hypothetical_ports import decide, with_inputs
from tradebot.replaying.passes import read_record
from tradebot.replaying.strategy_replay import PastStores, ReplayedStrategy, StrategyAnswers
from tradebot.strategies.filters import StrategyFilter

STRENGTH = StrategyFilter("strength")
FIRST = ["AAPL", "JPM", "MSFT"]
"""What a pass sends of four equally strong candidates: its limit on new entries allows three."""


class Strength:
    """Wants each symbol that it has facts of, as strong as its settings say, if that is enough."""

    name, times = "flow", ""
    needs = Needs(frozenset({"flow_alerts"}))
    filter_settings: Mapping[str, Sequence[str]] = {STRENGTH.name: ("least",)}

    def __init__(self, least: float, score: float = 0.5) -> None:
        self.least, self.score = least, score

    def propose(self, view: StrategyView) -> Sequence[Open]:
        known = [symbol for symbol in view.universe if symbol in view.facts and view.facts[symbol].alerts_fetched_at]
        return [Open(symbol, Side.BUY, self.score, 1.0, decisions=(self._answer(self.score),)) for symbol in known]

    def filtered(self, candidate: Candidate) -> Candidate:
        return replace(candidate, decisions=(self._answer(candidate.score or 0.0),))

    def _answer(self, score: float) -> Decision:
        return STRENGTH.answer(score >= self.least, Reason.STRATEGY_DECLINED, score, self.least)


def played(strategy: Strength) -> tuple[Taken, PastStores]:
    scene = Scene()
    taken = trade_once(replace(scene.world(), strategies=[strategy]), call())
    return taken, PastStores(scene.facts, NoBars(), scene.ledger)


def sent(taken: Taken, stored: PastStores | None, one: ReplayedStrategy) -> tuple[list[str], frozenset[str]]:
    """Return what is sent with a strategy's other answer, and whose answer nobody knows."""
    answered, unknown = StrategyAnswers(taken.record, taken.rules, stored).to([one], taken.rules)
    found = decide(answered, taken.rules)
    return sorted(each.instrument.symbol for each in found.sent), unknown


def test_filter_answers_from_the_record_without_any_store() -> None:
    taken, _ = played(Strength(0.6))
    one = ReplayedStrategy("flow", Strength(0.6), Strength(0.4), frozenset({"least"}))
    assert sent(taken, None, one) == (FIRST, frozenset())
    stricter = ReplayedStrategy("flow", Strength(0.4), Strength(0.6), frozenset({"least"}))
    assert sent(played(Strength(0.4))[0], None, stricter) == ([], frozenset())


def test_other_setting_is_asked_for_on_what_is_stored() -> None:
    taken, stored = played(Strength(0.6))
    one = ReplayedStrategy("flow", Strength(0.6), Strength(0.6, 0.7), frozenset({"score"}))
    assert sent(taken, stored, one) == (FIRST, frozenset())
    assert sent(taken, None, one) == ([], frozenset({"flow"}))
    seen = ReplayedStrategy("flow", Strength(0.6), Strength(0.6), sees=True)
    assert sent(taken, stored, seen) == ([], frozenset())


def test_strategy_that_is_off_proposes_nothing_and_a_new_one_is_asked() -> None:
    taken, stored = played(Strength(0.4))
    off = ReplayedStrategy("flow", Strength(0.4), None)
    assert sent(taken, stored, off) == ([], frozenset())
    new = ReplayedStrategy("flow", None, Strength(0.4, 0.9))
    assert sent(taken, stored, new) == (FIRST, frozenset())


def test_strategy_that_was_not_due_is_not_asked_again() -> None:
    taken, stored = played(Strength(0.6))
    proposed = there(taken.record.given.proposed)
    slot = StrategySlot("flow", SESSION.date, "open+5m", SESSION.open, SESSION.close)
    own = proposed.own._replace(waiting=(WaitingStrategy("flow", slot),))
    waited = with_inputs(taken.record, proposed=replace(proposed, candidates=(), own=own))
    one = ReplayedStrategy("flow", Strength(0.6), Strength(0.6, 0.7), frozenset({"score"}))
    assert StrategyAnswers(waited, taken.rules, stored).to([one], taken.rules) == (waited, frozenset())


@pytest.mark.parametrize(
    ("one", "unknown"),
    [
        (ReplayedStrategy("flow", Strength(0.6), Strength(0.6, 0.7), frozenset({"score"})), False),
        (ReplayedStrategy("flow", Strength(0.6), None), False),
        (ReplayedStrategy("flow", Strength(0.6, 0.55), Strength(0.6, 0.7), frozenset({"score"})), True),
    ],
)
def test_candidates_that_an_answer_replaces_are_read_only_if_they_stay(one: ReplayedStrategy, unknown: bool) -> None:
    taken, stored = played(Strength(0.6))
    kept = [taken.written.contents[each] for each in taken.written.parts]
    unread = read_record(taken.written.body, kept, {}, replaced={"flow"})
    assert unread.given.proposed is not None
    assert len(unread.given.proposed.candidates) == 1 < len(FIRST)
    found = [StrategyAnswers(each, taken.rules, stored).to([one], taken.rules) for each in (unread, taken.record)]
    assert found[0][0].given == found[1][0].given
    assert [each[1] for each in found] == [{"flow"} if unknown else set()] * 2


def test_what_arrived_later_is_not_seen() -> None:
    scene = Scene()
    taken = trade_once(replace(scene.world(), strategies=[Strength(0.6)]), call())
    scene.later(3600)
    scene.facts.store(Intake("flow_alerts", "AAPL", scene.venue.now, 10, (), 0, 0, ()))
    one = ReplayedStrategy("flow", Strength(0.6), Strength(0.6, 0.7), frozenset({"score"}))
    assert sent(taken, PastStores(scene.facts, None, scene.ledger), one) == (FIRST, frozenset())


class Counting:
    """A ledger that counts how often its calendar and its listings are read."""

    def __init__(self, ledger: Any) -> None:
        self._ledger, self.read = ledger, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        def counted(*asked: Any) -> Any:
            self.read[name] += 1
            return getattr(self._ledger, name)(*asked)

        return counted


def test_calendar_and_listings_are_read_once_for_all_passes() -> None:
    taken, stored = played(Strength(0.6))
    ledger: Any = Counting(stored.ledger)
    once = replace(stored, ledger=ledger)
    one = ReplayedStrategy("flow", Strength(0.6), Strength(0.6, 0.7), frozenset({"score"}))
    for _ in range(3):
        assert sent(taken, once, one) == (FIRST, frozenset())
    assert ledger.read == {"sessions": 1, "listings": 1}


@pytest.mark.parametrize(
    ("one", "refilters"),
    [
        (ReplayedStrategy("flow", Strength(0.6), Strength(0.4), frozenset({"least"})), True),
        (ReplayedStrategy("flow", Strength(0.6), Strength(0.4), frozenset({"least", "score"})), False),
        (ReplayedStrategy("flow", Strength(0.6), Strength(0.4), frozenset({"least"}), sees=True), False),
        (ReplayedStrategy("flow", None, Strength(0.4)), False),
        (ReplayedStrategy("flow", Strength(0.4), None), False),
    ],
)
def test_only_what_filters_compare_with_is_answered_from_the_record(one: ReplayedStrategy, refilters: bool) -> None:
    assert (one.refilters is not None) is refilters


class Asked(Strength):
    """Counts how often it is asked."""

    asked = 0

    def propose(self, view: StrategyView) -> Sequence[Open]:
        self.asked += 1
        return super().propose(view)


def test_strategy_is_asked_as_then_again_only_if_it_sees_something_else_or_the_pass_knew_of_another_reply() -> None:
    taken, stored = played(Strength(0.6))
    then = Asked(0.6)
    one = ReplayedStrategy("flow", then, Strength(0.6, 0.7), frozenset({"score"}))
    for _ in range(3):
        assert sent(taken, stored, one) == (FIRST, frozenset())
    assert then.asked == 1
    scene = Scene()
    scene.facts.store(Intake("flow_alerts", "AAPL", scene.venue.now, 10, (), 0, 0, ()))
    later = trade_once(replace(scene.world(), strategies=[Strength(0.6)]), call())
    assert sent(later, stored, one) == (FIRST, frozenset())
    assert then.asked == 2, "a reply that the pass knew of is no longer stored"
    assert sent(later, PastStores(scene.facts, NoBars(), scene.ledger, stored.verified), one) == (FIRST, frozenset())
    assert then.asked == 3
    other = ReplayedStrategy("flow", Asked(0.6, 0.55), Strength(0.6, 0.7), frozenset({"score"}))
    assert sent(later, stored, other) == ([], frozenset({"flow"}))


def test_answer_that_is_not_as_recorded_is_not_taken_for_verified() -> None:
    taken, stored = played(Strength(0.6))
    lied = Asked(0.6, 0.55)
    for _ in range(2):
        changed = ReplayedStrategy("flow", lied, Strength(0.6, 0.7), frozenset({"score"}))
        assert sent(taken, stored, changed) == ([], frozenset({"flow"}))
    assert lied.asked == 2
