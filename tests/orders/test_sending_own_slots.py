"""What identifies an order of a strategy's own slot: the slot, whatever pass sends it."""

from datetime import date, timedelta

from tests.builders import DAY, desk, quote
from tests.worlds import Scene, call, trade_once, wanted
from tradebot.model.candidate import Candidate, WantKind
from tradebot.model.intent import Intent
from tradebot.model.reasons import Reason
from tradebot.model.values import replace
from tradebot.orders.sending import MOST_LEGS, submit_intent, wanted_key
from tradebot.ports.world import Call

TOMORROW = DAY + timedelta(days=1)
OWN = replace(wanted("AAPL"), slot="open+5m", slot_session=DAY)


def intent_of(candidate: Candidate, by: Call, leg: int = 0) -> Intent:
    return submit_intent(by, desk(), candidate, quote().bid, quote().bid, leg)


def in_session(day: date, slot: str = "open+30m") -> Call:
    return replace(call(slot=slot), session=day)


def next_intent(scene: Scene, candidate: Candidate) -> Intent:
    by = in_session(DAY)
    return intent_of(candidate, by, wanted_key(scene.world(), by, desk(), candidate).leg)


def test_the_same_want_has_the_same_id_in_every_pass_of_its_slot() -> None:
    passes = [in_session(DAY), in_session(DAY, "open+35m"), in_session(TOMORROW)]
    assert len({intent_of(OWN, each).client_order_id for each in passes}) == 1
    assert len({intent_of(wanted("AAPL"), each).client_order_id for each in passes}) == 3


def test_another_slot_another_session_and_another_leg_have_other_ids() -> None:
    others = [
        intent_of(OWN, in_session(DAY)),
        intent_of(OWN, in_session(DAY), leg=1),
        intent_of(replace(OWN, slot="open+10m"), in_session(DAY)),
        intent_of(replace(OWN, slot_session=TOMORROW), in_session(TOMORROW)),
        # The slot of a pass may have the same name.
        intent_of(wanted("AAPL"), in_session(DAY, "open+5m")),
    ]
    assert len({each.client_order_id for each in others}) == len(others)


def test_an_order_belongs_to_the_session_in_which_it_is_sent() -> None:
    late = intent_of(OWN, in_session(TOMORROW))
    assert (late.key.session, late.session) == (DAY, TOMORROW)
    scene = Scene()
    scene.ledger.promise(late, ())
    assert [record.intent for record in scene.ledger.intents(session=TOMORROW)] == [late]
    assert scene.ledger.intents(session=DAY) == ()


def test_each_order_of_a_target_in_its_slot_is_the_next_leg() -> None:
    scene, target = Scene(), replace(OWN, want=WantKind.TARGET)
    for leg in range(MOST_LEGS):
        intent = next_intent(scene, target)
        assert intent.key.leg == leg
        assert scene.ledger.promise(intent, ())
    again = next_intent(scene, target)
    assert not scene.ledger.promise(again, ()), "after the last leg, nothing new is promised"


def test_any_other_want_has_one_order_in_its_slot() -> None:
    scene = Scene()
    for _ in range(2):
        intent = next_intent(scene, OWN)
        assert intent.key.leg == 0
        scene.ledger.promise(intent, ())


def test_an_unknown_order_is_not_given_up_while_the_session_of_its_sending_lasts() -> None:
    """Its slot began the day before, so the session in its key is over."""
    scene = Scene()
    late = intent_of(replace(OWN, slot_session=DAY - timedelta(days=3)), in_session(DAY))
    scene.ledger.promise(late, ())
    record = trade_once(scene.world(wanted("AAPL")), call(slot="next"))
    (found,) = scene.ledger.intents(session=DAY)
    assert found.state.unresolved
    assert record.candidates[0].terminal is not None
    assert record.candidates[0].terminal.reason is Reason.INTENT_UNRESOLVED
