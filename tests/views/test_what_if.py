"""What differs between a pass as it was and as it would be, told for the pass and for one symbol."""

from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.values import DAY, NOW, candidate
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.replaying.strategy_replay import Unanswered
from tradebot.views.what_if import WhatIf, WhatIfChange, order_of, what_if

CHANGE = WhatIfChange("limits.min_score", "0.2", "0.1")
WEAK = Decision(Gate.SCORE, Verdict.FAIL, Reason.SCORE_BELOW_MIN, 0.1, 0.2)
FULL = Decision(Gate.OPEN_POSITIONS, Verdict.FAIL, Reason.MAX_OPEN_POSITIONS, 8, 8)
PASS = Decision(Gate.SCORE, Verdict.PASS, None, 0.3, 0.2)


def cycle(**decisions: Decision | None) -> CycleRecord:
    """Return a pass with a candidate for each symbol that ended at a decision, or was sent."""
    records = (
        CandidateRecord(candidate(symbol), (PASS, decision) if decision else (PASS,), None if decision else symbol)
        for symbol, decision in decisions.items()
    )
    return CycleRecord("pass", Job.TRADE_ONCE, DAY, "slot", NOW, "sandbox", tuple(records))


IN_PART = (
    "The effect of this change isn't known: not all of it could be evaluated again, and the evaluated part changes "
    "nothing."
)


def compared(then: CycleRecord, now: CycleRecord, symbol: str | None = None) -> WhatIf:
    return what_if(then, now, ((), ()), (CHANGE,), symbol=symbol, left_out=(Unanswered("a", "b"),), unasked=("flow",))


@pytest.mark.parametrize(
    ("then", "now", "sentence", "through"),
    [
        (cycle(AAPL=WEAK), cycle(AAPL=WEAK), IN_PART, False),
        (cycle(AAPL=WEAK), cycle(AAPL=None), "1 more order would be sent.", True),
        (cycle(AAPL=None), cycle(AAPL=WEAK), "1 order wouldn't be sent.", False),
        (cycle(AAPL=WEAK), cycle(AAPL=FULL), "1 candidate would have a different result.", False),
        (
            cycle(AAPL=WEAK, MSFT=None, JPM=WEAK, XOM=WEAK),
            cycle(AAPL=None, MSFT=FULL, JPM=FULL, XOM=FULL),
            "1 more order would be sent, 1 order wouldn't be sent, and 2 other candidates would have a different "
            "result.",
            True,
        ),
    ],
)
def test_pass_is_summed_up_in_a_sentence(then: CycleRecord, now: CycleRecord, sentence: str, through: bool) -> None:
    found = compared(then, now)
    assert (found.sentence, found.lets_through) == (sentence, through)
    assert len(found.changed) + found.same == len(then.candidates)
    assert (found.orders_then, found.orders_now) == tuple(
        sum(one.terminal is None for one in each.candidates) for each in (then, now)
    )


@pytest.mark.parametrize(
    ("then", "now", "sentence"),
    [
        (WEAK, None, "Its order would be sent."),
        (None, None, "It was sent then, and would be again."),
        (None, FULL, "Its order wouldn't be sent: open_positions would refuse it."),
        (WEAK, FULL, "It would still be refused, by open_positions next."),
        (WEAK, replace(WEAK, limit=0.15), "Nothing changes for it: score refuses it as before."),
    ],
)
def test_symbol_is_told_on_its_own(then: Decision | None, now: Decision | None, sentence: str) -> None:
    found = compared(cycle(AAPL=then, MSFT=WEAK), cycle(AAPL=now, MSFT=None), "AAPL")
    assert found.sentence.startswith(sentence)
    assert found.lets_through is (now is None and then is not None)
    assert [one.symbol for one in found.about] == ["AAPL"]
    assert "MSFT" in {one.symbol for one in found.changed}
    assert bool(found.remedy) is (now is not None)


def test_symbol_that_nobody_proposes_and_a_pass_that_is_refused_as_a_whole_are_said() -> None:
    gone = compared(cycle(AAPL=WEAK), cycle(), "AAPL")
    assert gone.sentence == "With this change no strategy would propose AAPL."
    assert gone.about[0].now.absent
    nobody = compared(cycle(AAPL=WEAK), cycle(AAPL=WEAK), "KO")
    assert nobody.sentence == "No strategy proposed KO in this pass, and with this change none would."
    closed = replace(cycle(), job_decision=Decision(Gate.SESSION, Verdict.FAIL, Reason.MARKET_CLOSED))
    found = compared(cycle(AAPL=None), closed)
    assert found.sentence.startswith("The pass itself would be refused. ")
    assert not found.lets_through


def test_another_size_of_the_same_order_is_a_change() -> None:
    scene = Scene()
    then = trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    (changed,) = what_if(then, then, ((intent,), (replace(intent, quantity=intent.quantity + 1),)), ()).changed
    assert changed.then.order is not None
    assert changed.now.order is not None
    assert changed.now.order.quantity - changed.then.order.quantity == Decimal(1)
    assert changed.purpose is Purpose.OPEN
    assert order_of(intent).notional_usd == intent.quantity * (intent.limit_price or 0)
    assert what_if(then, then, ((intent,), (intent,)), ()).changed == ()
