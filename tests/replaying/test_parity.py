"""A session is compared with its backtest: every difference has a cause, and their costs add up to what was earned."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.recorded import Taken, evaluate_exits, trade_once
from tests.kit.core.scene import Scene, call, wanted
from tests.kit.values import ago
from tradebot.model.decision import Verdict
from tradebot.model.intent import Intent
from tradebot.model.order import Fee, Fill, Reply, WriteOutcome, fee_id
from tradebot.model.parity import ZERO, DifferenceType, ParityCause, ParityDifference
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.replaying.cycle_comparison import PassSeen
from tradebot.replaying.parity import RequestWithFills, SessionSide, compare, costs, no_known_cause, profit_at

CLOSE = {"AAPL": Decimal(101), "MSFT": Decimal(99)}
Change = Callable[[Scene], None]


def seen(taken: Taken, otherwise: str = "") -> PassSeen:
    given = taken.record.given
    return PassSeen(taken.outcome, given.desk, given.proposed, otherwise)


def day(change: Change = lambda scene: None) -> SessionSide:
    """Return a session of two passes, with a change before the first one."""
    scene = Scene()
    change(scene)
    first = trade_once(scene.world(wanted("AAPL"), wanted("MSFT", 0.6)), call())
    second = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "exits"))
    passes = {one.slot: one for one in map(seen, (first, second))}
    slots = {one.cycle.id: one.slot for one in passes.values()}
    intents = (record.intent for record in scene.ledger.intents())
    return SessionSide(passes, {one.client_order_id: RequestWithFills(one, slots[one.cycle_id]) for one in intents})


def differences(live: SessionSide, played: SessionSide) -> Sequence[ParityDifference]:
    return compare(live, played, CLOSE, no_known_cause).differences


def causes(live: SessionSide, played: SessionSide) -> set[ParityCause]:
    return {one.cause for one in differences(live, played)}


def dearer(scene: Scene) -> None:
    """Let the price have moved so far that nothing may be bought."""
    scene.price("AAPL", "120")


def lost_reply(scene: Scene) -> None:
    def submit(intent: Intent) -> Reply:
        return Reply(WriteOutcome.UNKNOWN, message="timed out")

    scene.venue.submit = submit  # type: ignore[method-assign]


def test_session_that_was_played_the_same_has_no_difference() -> None:
    found = compare(day(), day(), CLOSE, no_known_cause)
    assert (found.differences, found.decisions) == ((), 2)
    assert len(day().sent) >= 2


@pytest.mark.parametrize(("change", "cause"), [(dearer, ParityCause.PRICE), (lost_reply, ParityCause.FILL_MODEL)])
def test_what_differs_outside_explains_a_decision_and_its_order(change: Change, cause: ParityCause) -> None:
    assert causes(day(change), day()) == causes(day(), day(change)) == {cause}


def test_decision_that_differs_although_the_pass_was_given_the_same_is_ours() -> None:
    live = day()
    (slot, entries), *others = live.passes.items()
    assert entries.slot[0] is Job.TRADE_ONCE
    first, *rest = entries.cycle.candidates
    changed = replace(entries.cycle, candidates=(replace(first, decisions=first.decisions[1:]), *rest))
    broken = live._replace(passes={slot: replace(entries, cycle=changed), **dict(others)})
    assert causes(broken, day()) == {ParityCause.OURS}
    told = live._replace(passes={slot: replace(entries, otherwise="limit"), **dict(others)})
    assert causes(told, day()) == {ParityCause.OURS}, "this program decides otherwise from the same record"


@pytest.mark.parametrize(("minutes", "cause"), [(0, ParityCause.OURS), (1, ParityCause.MISSED_SLOT)])
def test_order_that_was_sent_before_is_explained_by_a_broken_attempt(minutes: int, cause: ParityCause) -> None:
    live = day()
    (slot, entries), *others = live.passes.items()
    first, *rest = entries.cycle.candidates
    again = replace(first.decisions[-1], verdict=Verdict.FAIL, reason=Reason.DUPLICATE_INTENT)
    refused = replace(first, decisions=(*first.decisions[:-1], again))
    seen = replace(entries, cycle=replace(entries.cycle, candidates=(refused, *rest)))
    sent = {
        name: one._replace(intent=replace(one.intent, at=one.intent.at - timedelta(minutes=minutes)))
        for name, one in live.sent.items()
    }
    assert causes(live._replace(passes={slot: seen, **dict(others)}, sent=sent), day()) == {cause}


def test_pass_that_only_the_backtest_has_was_missed_with_its_orders() -> None:
    live = day()
    missing = SessionSide({slot: one for slot, one in live.passes.items() if slot[0] is not Job.TRADE_ONCE}, {})
    found = differences(missing, day())
    assert {one.cause for one in found} == {ParityCause.MISSED_SLOT}
    assert {one.what for one in found} == {DifferenceType.DECISION, DifferenceType.ORDER}


def test_fill_that_the_books_lack_is_ours() -> None:
    (name, sent), *_ = (live := day()).sent.items()
    played = filled(live, {name: (fill(sent.intent, 100, 10, 0),)})
    assert causes(live, played) == {ParityCause.FILL_MODEL}
    lost = live._replace(sent={**live.sent, name: sent._replace(booked=False)})
    assert causes(lost, played) == {ParityCause.OURS}


def fill(intent: Intent, price: int, shares: int, number: int) -> Fill:
    at, name = ago(0) + timedelta(minutes=number), f"{intent.client_order_id} {number}"
    return Fill(name, name, intent.key.symbol, intent.side, Decimal(shares), Decimal(price), at)


def filled(side: SessionSide, fills: Mapping[str, tuple[Fill, ...]]) -> SessionSide:
    return side._replace(sent={name: one._replace(fills=fills.get(name, ())) for name, one in side.sent.items()})


def drawn(data: st.DataObject) -> SessionSide:
    """Return the session in which each request was sent or not, and filled in up to two parts at some price."""
    numbers = st.tuples(st.integers(90, 110), st.integers(1, 9))
    fills = {
        name: tuple(fill(one.intent, *data.draw(numbers), number) for number in range(data.draw(st.integers(0, 2))))
        for name, one in SESSION.sent.items()
    }
    kept = data.draw(st.sets(st.sampled_from(sorted(SESSION.sent))))
    side = filled(SESSION, fills)
    return side._replace(sent={name: one for name, one in side.sent.items() if name in kept})


def earned(side: SessionSide) -> Decimal:
    return sum((profit_at(one, CLOSE[one.symbol]) for sent in side.sent.values() for one in sent.fills), ZERO)


@given(st.data())
def test_costs_add_up_to_what_the_backtest_earned_more(data: st.DataObject) -> None:
    live, played = drawn(data), drawn(data)
    found = compare(live, played, CLOSE, no_known_cause)
    assert sum((one.cost_usd for one in found.differences), ZERO) == earned(played) - earned(live)
    both = [name for name in live.sent if name in played.sent]
    assert found.fills == sum(bool(live.sent[name].fills and played.sent[name].fills) for name in both)


SESSION = day()


def test_session_costs_its_fees_and_what_is_assumed_beyond_the_quote() -> None:
    one = next(iter(day().sent.values()))
    fees = (None, Fee(Decimal("2.25")), Fee(None))
    made = ((fill(one.intent, 100, 10, number), fee) for number, fee in enumerate(fees))
    fills = tuple(replace(each, fee=fee, multiplier=Decimal(5)) for each, fee in made)
    ran = SessionSide({}, {"a": one._replace(fills=fills[:1]), "b": one._replace(fills=fills[1:])})
    assert costs(ran, Decimal(2), {}) is None, "a fee isn't known yet"
    booked = {fee_id(fills[2].activity_id): Decimal("0.75")}
    # Three fills of 10 x 100.00 x 5, two basis points each.
    assert costs(ran, Decimal(2), booked) == Decimal("2.25") + Decimal("0.75") + 3 * Decimal(1)
    assert costs(SessionSide({}, {}), Decimal(2), {}) == 0
