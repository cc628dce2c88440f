"""The stories on fakes: what is promised, what is sent, what is recorded, and what no one may do."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.core.scene import NAMES, WITH_UNKNOWN, Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import CASH, NOW, SESSION, ago, best_price, limits
from tradebot.desk.proposals import score
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.intent import Intent, IntentState, Operation
from tradebot.model.order import OrderStatus, OrderType
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trading import Permission, TradingState, TradingStateRecord
from tradebot.model.venue import Settlement
from tradebot.ports.world import World
from tradebot.views.explain import funnel

EXIT_CALL = call(Job.EVALUATE_EXITS, "open+31m")
EVER = datetime.min.replace(tzinfo=UTC)
CLOSED_DOOR = Permission(((Reason.LIVE_NOT_ARMED, "live"),))


def ends(record: CycleRecord) -> dict[str, Reason | None]:
    """Return each candidate's terminal reason by symbol; None where its order was accepted."""
    return {r.candidate.symbol: r.terminal.reason if r.terminal else None for r in record.candidates}


def bought(scene: Scene, symbol: str = "AAPL", price: str = "100") -> str:
    """Let the bot buy a symbol and the venue fill it; return the order's id."""
    record = trade_once(scene.world(wanted(symbol)), call(slot=f"buy {symbol}"))
    (name,) = [r.client_order_id for r in record.candidates if r.client_order_id]
    scene.venue.fill(name, price)
    scene.later(60)
    return name


def halt(scene: Scene, state: TradingState = TradingState.REDUCE_ONLY) -> None:
    scene.ledger.set_trading_state(TradingStateRecord(state, "ada", "lunch", NOW))


def exit_of(record: CycleRecord, source: str = "exit") -> Decision:
    """Return the last decision of the pass's only candidate from one source."""
    (found,) = [r for r in record.candidates if r.candidate.source == source]
    return found.decisions[-1]


def test_exactly_what_passes_is_sent_and_every_candidate_is_recorded() -> None:
    scene = Scene(universe=WITH_UNKNOWN)
    weak, unknown = wanted("MSFT", 0.1), wanted("ZZZZ")
    record = trade_once(scene.world(wanted("AAPL"), weak, unknown, wanted("JPM", 0.9, Side.SELL)), call())
    assert [(i.instrument.symbol, i.side) for i in scene.venue.submitted] == [
        ("JPM", Side.SELL),
        ("AAPL", Side.BUY),
    ]
    assert ends(record) == {
        "JPM": None, "AAPL": None, "MSFT": Reason.SCORE_BELOW_MIN, "ZZZZ": Reason.FLOW_MISSING,
    }  # fmt: skip
    assert scene.facts.cycles(job=Job.TRADE_ONCE) == (record,)


def test_an_order_is_a_limit_day_order_of_the_size_that_the_limits_give() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    assert (intent.order_type, intent.limit_price, intent.quantity) == (
        OrderType.LIMIT,
        Decimal("100.20"),
        Decimal(49),
    )
    assert (intent.purpose, intent.time_in_force, intent.cycle_id) == (
        Purpose.OPEN, "day", "trade-once.2026-11-16.open+30m",
    )  # fmt: skip


def test_the_intent_is_written_before_the_request_leaves() -> None:
    scene, seen = Scene(), list[IntentState]()

    def look(intent: Intent) -> None:
        row = scene.ledger.tables.intents.get(intent.client_order_id)
        assert row is not None, "the request left before its intent was written"
        assert row.content.verdicts, "the intent lacks the verdicts behind it"
        seen.append(row.record.state)

    scene.venue.before_submit = look
    trade_once(scene.world(wanted("AAPL"), wanted("JPM")), call())
    assert seen == [IntentState.SENT, IntentState.SENT]
    assert {record.state for record in scene.ledger.intents()} == {IntentState.ACKED}


def test_the_next_candidate_sees_the_book_as_if_the_last_one_were_filled() -> None:
    scene = Scene(limits=limits(max_new_entries=2))
    record = trade_once(scene.world(*(wanted(name) for name in NAMES)), call())
    assert ends(record) == {
        "AAPL": None, "JPM": None, "MSFT": Reason.MAX_NEW_ENTRIES, "XOM": Reason.MAX_NEW_ENTRIES,
    }  # fmt: skip
    assert len(scene.venue.submitted) == 2


def test_a_pass_that_goes_on_after_the_close_still_records_what_it_had_sent_and_canceled() -> None:
    scene, sent = Scene(), dict[str, CandidateRecord]()
    trade_once(scene.world(wanted("AAPL")), call(), sent=sent)
    assert len(sent) == 1
    scene.venue.now, scene.venue.is_open = scene.venue.session.close, False
    for record in (
        trade_once(scene.world(wanted("AAPL"), wanted("JPM")), call(), sent=sent),
        evaluate_exits(scene.world(), EXIT_CALL, sent),
    ):
        assert record.job_decision
        assert record.job_decision.reason is Reason.MARKET_CLOSED
        assert record.candidates == tuple(sent.values())
        assert scene.facts.cycles(job=record.job)[-1] == record
    assert len(scene.venue.submitted) == 1


def test_a_rejected_order_takes_nothing_from_the_next_candidate() -> None:
    scene = Scene(limits=limits(max_new_entries=1))
    scene.venue.script["AAPL"] = REJECTED
    record = trade_once(scene.world(wanted("AAPL", 0.9), wanted("JPM")), call())
    assert ends(record) == {"AAPL": Reason.VENUE_REJECTED, "JPM": None}
    assert record.candidates[0].decisions[-1].observed == "40310000 insufficient buying power"


def test_a_halt_between_two_candidates_stops_the_second_at_the_door() -> None:
    scene = Scene(limits=limits(max_new_entries=2))
    scene.venue.before_submit = lambda intent: halt(scene)
    record = trade_once(scene.world(*(wanted(name) for name in NAMES)), call())
    assert ends(record) == {"AAPL": None, "JPM": Reason.HALTED, "MSFT": Reason.HALTED, "XOM": Reason.HALTED}
    assert [r.decisions[-1].gate for r in record.candidates] == [Gate.SEND] * 4
    assert len(scene.venue.submitted) == len(scene.ledger.intents()) == 1


def test_a_lost_reply_is_unknown_and_closes_the_symbol_until_its_fate_is_known() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = LOST
    scene.venue.swallows = True
    first = trade_once(scene.world(wanted("AAPL")), call())
    assert first.candidates[0].terminal == Decision(
        Gate.SEND, Verdict.UNKNOWN, Reason.VENUE_UNKNOWN, "504 Gateway Timeout"
    )
    scene.later(300)
    second = trade_once(scene.world(wanted("AAPL"), wanted("JPM")), call(slot="open+35m"))
    assert ends(second) == {"AAPL": Reason.INTENT_UNRESOLVED, "JPM": None}
    assert [i.instrument.symbol for i in scene.venue.submitted] == ["AAPL", "JPM"]


def test_a_lost_order_that_the_venue_knows_is_found_by_its_id_and_never_sent_again() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = LOST
    trade_once(scene.world(wanted("AAPL")), call())
    assert [r.state for r in scene.ledger.intents()] == [IntentState.UNKNOWN]
    scene.later(300)
    record = trade_once(scene.world(wanted("AAPL")), call(slot="open+35m"))
    assert [r.state for r in scene.ledger.intents()] == [IntentState.ACKED]
    assert ends(record) == {"AAPL": Reason.ORDER_WORKING}
    assert len(scene.venue.submitted) == 1


def test_an_unknown_order_takes_its_place_in_the_book_of_the_next_candidate() -> None:
    scene = Scene(limits=limits(max_new_entries=1))
    scene.venue.script["AAPL"] = LOST
    record = trade_once(scene.world(wanted("AAPL", 0.9), wanted("JPM")), call())
    assert ends(record) == {"AAPL": Reason.VENUE_UNKNOWN, "JPM": Reason.MAX_NEW_ENTRIES}


def test_the_same_slot_twice_sends_once() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = REJECTED
    trade_once(scene.world(wanted("AAPL")), call())
    again = trade_once(scene.world(wanted("AAPL")), call())
    assert ends(again) == {"AAPL": Reason.DUPLICATE_INTENT}
    assert len(scene.venue.submitted) == 1


def test_a_position_is_not_entered_again_and_its_symbol_cools_down_after_the_exit() -> None:
    scene = Scene()
    bought(scene)
    held = trade_once(scene.world(wanted("AAPL")), call(slot="open+35m"))
    assert ends(held) == {"AAPL": Reason.ALREADY_POSITIONED}
    scene.price("AAPL", "97")
    (out,) = evaluate_exits(scene.world(), EXIT_CALL).candidates
    assert out.client_order_id is not None
    scene.venue.fill(out.client_order_id, "97")
    scene.later(60)
    scene.venue.prices["AAPL"] = replace(scene.venue.prices["AAPL"], previous_close=Decimal(97))
    after = trade_once(scene.world(wanted("AAPL")), call(slot="open+40m"))
    assert ends(after) == {"AAPL": Reason.COOLDOWN}


def test_a_foreign_position_is_counted_and_never_bought_nor_sold() -> None:
    scene = Scene(limits=limits(max_gross_fraction=Decimal("0.60"), max_open_positions=3))
    scene.venue.held = {"AAPL": Decimal(10), "TSLA": Decimal(-300)}
    record = trade_once(scene.world(wanted("AAPL"), wanted("JPM"), wanted("XOM", 0.4)), call())
    assert ends(record) == {
        "AAPL": Reason.FOREIGN_POSITION, "JPM": None, "XOM": Reason.MAX_OPEN_POSITIONS,
    }  # fmt: skip
    assert evaluate_exits(scene.world(), EXIT_CALL).candidates == ()
    assert [i.instrument.symbol for i in scene.venue.submitted] == ["JPM"]


def written(scene: Scene) -> tuple[object, ...]:
    """Return all that the stores were ever told."""
    facts, tables = scene.facts, {**vars(scene.ledger.tables), "books": None}
    return (
        ([table and list(table.after(0).items()) for table in tables.values()], scene.ledger.trading_states()),
        (list(facts.to_save()), facts.intakes(EVER), tuple(scene.events.emitted)),
    )


def test_a_dry_run_walks_the_same_path_and_leaves_no_trace() -> None:
    scene = Scene(limits=limits(max_new_entries=1))
    bought(scene, "MSFT")
    trade_once(scene.world(), call(slot="apply"))
    scene.price("MSFT", "90")
    before = written(scene)
    sent = (list(scene.venue.submitted), list(scene.venue.cancelled), dict(scene.venue.book))
    world = scene.world(wanted("AAPL", 0.9), wanted("JPM"), dry_run=True)
    record = trade_once(world, call(slot="open+35m"))
    out = evaluate_exits(world, EXIT_CALL)
    score(world, call(Job.SCORE), scene.venue.clock())
    assert record.dry_run
    assert ends(record) == {"AAPL": Reason.DRY_RUN, "JPM": Reason.MAX_NEW_ENTRIES}
    assert exit_of(out).reason is Reason.DRY_RUN
    assert written(scene) == before
    assert (scene.venue.submitted, scene.venue.cancelled, scene.venue.book) == sent


@pytest.mark.parametrize(
    ("story", "is_open", "at", "reason"),
    [
        (trade_once, False, SESSION.close, Reason.MARKET_CLOSED),
        (evaluate_exits, False, SESSION.close, Reason.MARKET_CLOSED),
        (trade_once, False, NOW, Reason.CALENDAR_DISAGREES),
        (evaluate_exits, False, NOW, Reason.CALENDAR_DISAGREES),
        (trade_once, True, SESSION.close, Reason.CALENDAR_DISAGREES),
    ],
)
def test_outside_of_the_session_the_pass_itself_is_refused(
    story: object, is_open: bool, at: object, reason: Reason
) -> None:
    scene = Scene()
    bought(scene)
    scene.price("AAPL", "90")
    scene.venue.is_open, scene.venue.now = is_open, at  # type: ignore[assignment]
    told = len(scene.venue.submitted)
    record = story(scene.world(wanted("JPM")), call(slot="late"))  # type: ignore[operator]
    assert record.candidates == ()
    assert (record.job_decision.gate, record.job_decision.reason) == (Gate.JOB, reason)
    assert len(scene.venue.submitted) == told


@pytest.mark.parametrize("hours", [-3, 0, 3])
def test_a_session_that_the_broker_ends_at_another_time_than_our_calendar_has_exits_and_no_entries(hours: int) -> None:
    """A half day that only one of them knows; beyond the calendar's close, the venue's word is enough to leave."""
    scene = Scene()
    bought(scene)
    scene.price("AAPL", "90")
    scene.venue.session = replace(SESSION, close=SESSION.close + timedelta(hours=hours))
    scene.venue.now = scene.venue.session.close - timedelta(minutes=20)
    entries = trade_once(scene.world(wanted("JPM")), call(slot="late"))
    refused = entries.job_decision.reason if entries.job_decision else None
    assert refused is (Reason.CALENDAR_DISAGREES if hours else None)
    sent = [(i.instrument.symbol, i.purpose) for i in scene.venue.submitted[1:] if i.purpose is Purpose.OPEN]
    assert not (hours and sent)
    evaluate_exits(scene.world(), EXIT_CALL)
    assert [i.purpose for i in scene.venue.submitted if i.instrument.symbol == "AAPL"][-1] is Purpose.CLOSE


@pytest.mark.parametrize("days", range(-7, 8))
def test_a_stop_goes_out_on_whatever_day_the_venue_believes_it_to_be_and_no_entry_does(days: int) -> None:
    """NOW is a Monday: a day or two before it the stored calendar knows no session, and the venue says open."""
    scene, wrong = Scene(), timedelta(days=days)
    bought(scene)
    scene.price("AAPL", "90")
    right, close = scene.venue.now, SESSION.close + wrong
    scene.venue.session = replace(SESSION, date=SESSION.date + wrong, open=SESSION.open + wrong, close=close)
    scene.venue.now += wrong
    world = replace(scene.world(wanted("JPM")), second_clock=lambda: right)
    out = evaluate_exits(world, EXIT_CALL)
    assert ends(out) == {"AAPL": None}
    assert [(i.instrument.symbol, i.purpose) for i in scene.venue.submitted[1:]] == [("AAPL", Purpose.CLOSE)]
    if days:
        trade_once(world, call(slot="late"))
        assert len(scene.venue.submitted) == 2


@pytest.mark.parametrize("story", [trade_once, evaluate_exits])
def test_another_account_than_the_ledgers_is_refused_before_anything_is_written(story: object) -> None:
    scene = Scene()
    scene.venue.number = "OTHER9999"
    with pytest.raises(OperatorError, match=r"…9999, but these books belong to …0001") as refused:
        story(scene.world(wanted("AAPL")), call())  # type: ignore[operator]
    assert refused.value.code is ExitCode.REFUSED
    assert not scene.ledger.intents()
    assert not scene.facts.cycles(job=Job.TRADE_ONCE)


def due_to_leave() -> Scene:
    """Return a world with a position below its stop and an entry that has rested too long."""
    scene = Scene()
    bought(scene)
    trade_once(scene.world(wanted("JPM")), call(slot="rests"))
    scene.later(700)
    scene.price("AAPL", "90")
    return scene


def sent_and_passes(scene: Scene) -> tuple[int, CycleRecord, CycleRecord]:
    """Return how many orders had been sent, a pass of entries and one of exits."""
    sent = len(scene.venue.submitted)
    entries = trade_once(scene.world(wanted("XOM")), call(slot="open+45m"))
    return sent, entries, evaluate_exits(scene.world(), EXIT_CALL)


def test_a_closed_permission_sends_nothing_exits_and_cancels_included() -> None:
    scene = due_to_leave()
    scene.permission = CLOSED_DOOR
    told, entries, out = sent_and_passes(scene)
    assert ends(entries) == {"XOM": Reason.LIVE_NOT_ARMED}
    assert ends(out) == {"AAPL": Reason.LIVE_NOT_ARMED, "JPM": Reason.LIVE_NOT_ARMED}
    assert (len(scene.venue.submitted), scene.venue.cancelled) == (told, [])


def test_an_arming_that_has_ended_closes_entries_and_lets_exits_and_cancels_go() -> None:
    scene = due_to_leave()
    scene.permission = Permission(entries_until=scene.venue.now - timedelta(seconds=1))
    told, entries, out = sent_and_passes(scene)
    assert ends(entries) == {"XOM": Reason.LIVE_ARMING_EXPIRED}
    assert ends(out) == {"AAPL": None, "JPM": None}
    assert (len(scene.venue.submitted), len(scene.venue.cancelled)) == (told + 1, 1)


def test_a_venue_that_blocks_the_account_closes_the_permission() -> None:
    scene = Scene()
    scene.venue.blocked = ("trading_blocked",)
    record = trade_once(scene.world(wanted("AAPL")), call())
    assert ends(record) == {"AAPL": Reason.ACCOUNT_BLOCKED}
    assert record.candidates[0].decisions[0].observed == "trading_blocked"


def test_reduce_only_refuses_entries_cancels_working_ones_and_lets_exits_go() -> None:
    scene = Scene()
    bought(scene)
    trade_once(scene.world(wanted("JPM")), call(slot="rests"))
    scene.later(60)
    scene.price("AAPL", "97")
    halt(scene)
    entries = trade_once(scene.world(wanted("XOM")), call(slot="open+35m"))
    out = evaluate_exits(scene.world(), EXIT_CALL)
    assert ends(entries) == {"XOM": Reason.HALTED}
    assert [i.instrument.symbol for i in scene.venue.cancelled] == ["JPM"]
    assert (scene.venue.submitted[-1].purpose, scene.venue.submitted[-1].quantity) == (
        Purpose.CLOSE,
        Decimal(49),
    )
    assert ends(out) == {"AAPL": None, "JPM": None}
    assert {d.reason for r in out.candidates for d in r.decisions} >= {Reason.STOP_LOSS, Reason.HALTED}


def test_somebody_elses_working_order_shuts_the_symbol_to_entries_and_not_to_our_exit() -> None:
    scene = Scene()
    bought(scene)
    ours = next(iter(scene.venue.book.values()))
    by_hand = replace(ours, venue_id="by-hand", client_order_id="by-hand", status=OrderStatus.NEW)
    scene.venue.book["by-hand"] = by_hand
    halt(scene, TradingState.FLATTEN)
    assert ends(evaluate_exits(scene.world(), EXIT_CALL)) == {"AAPL": None}
    assert scene.venue.cancelled == []


def test_an_exit_that_the_venue_does_not_know_is_sent_again_under_its_own_id_and_never_under_another() -> None:
    scene = Scene()
    bought(scene)
    halt(scene, TradingState.FLATTEN)
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    assert ends(evaluate_exits(scene.world(), EXIT_CALL)) == {"AAPL": Reason.VENUE_UNKNOWN}
    scene.later(20)
    soon = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+33m"))
    assert ends(soon) == {"AAPL": Reason.INTENT_UNRESOLVED}
    scene.later(40)
    again = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+36m"))
    assert ends(again) == {"AAPL": Reason.VENUE_UNKNOWN}
    scene.venue.script, scene.venue.swallows = {}, False
    scene.later(400)
    assert ends(evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+43m"))) == {"AAPL": None}
    exits = [intent for intent in scene.venue.submitted if intent.purpose is Purpose.CLOSE]
    assert len(exits) == 3
    assert len({intent.client_order_id for intent in exits}) == 1


def test_flatten_closes_a_position_that_no_rule_would_close() -> None:
    scene = Scene()
    bought(scene)
    halt(scene, TradingState.FLATTEN)
    out = evaluate_exits(scene.world(), EXIT_CALL)
    assert [d.reason for d in out.candidates[0].decisions if d.gate is Gate.EXIT] == [Reason.FLATTEN]
    assert scene.venue.submitted[-1].side is Side.SELL


def test_an_exit_without_a_quote_is_a_market_order_only_where_no_price_is_needed() -> None:
    scene = Scene()
    bought(scene)
    scene.venue.prices = {}
    assert ends(evaluate_exits(scene.world(), EXIT_CALL)) == {"AAPL": Reason.QUOTE_MISSING}
    halt(scene, TradingState.FLATTEN)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+32m"))
    assert (scene.venue.submitted[-1].order_type, scene.venue.submitted[-1].limit_price) == (
        OrderType.MARKET,
        None,
    )


def test_a_held_position_is_left_alone_and_its_best_price_is_kept() -> None:
    scene = Scene()
    bought(scene)
    for price in ("100.50", "101.50", "101"):
        scene.price("AAPL", price)
        record = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, price))
        assert ends(record) == {"AAPL": Reason.HOLD}
    scene.price("AAPL", "100.20")
    last = evaluate_exits(scene.world(), EXIT_CALL)
    assert [d.reason for d in last.candidates[0].decisions if d.gate is Gate.EXIT] == [Reason.TRAILING_STOP]


def test_a_stale_exit_is_priced_anew_by_a_replace_and_no_pass_is_without_one() -> None:
    scene = Scene()
    bought(scene)
    scene.price("AAPL", "97")
    evaluate_exits(scene.world(), EXIT_CALL)
    scene.later(179)
    waiting = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+34m"))
    assert ends(waiting) == {"AAPL": Reason.ORDER_WORKING}
    scene.later(1)
    scene.price("AAPL", "96")
    stale = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+35m"))
    assert exit_of(stale, "replace").reason is Reason.SENT
    assert [d.reason for d in stale.candidates[-1].decisions if d.gate is Gate.EXIT] == [Reason.STALE_EXIT]
    exits = [i for i in (*scene.venue.submitted, *scene.venue.replaced) if i.purpose is Purpose.CLOSE]
    assert [i.limit_price for i in exits] == [Decimal("96.51"), Decimal("95.52")]
    assert len({i.client_order_id for i in exits}) == 2
    (works,) = scene.venue.view().orders
    assert (works.client_order_id, scene.venue.cancelled) == (exits[-1].client_order_id, [])
    scene.later(60)
    assert ends(evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+36m"))) == {"AAPL": Reason.ORDER_WORKING}
    scene.venue.fill(works.client_order_id, "95.60")
    scene.later(60)
    assert evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+37m")).candidates == ()
    assert {owned.strategy for owned in scene.ledger.fills()} == {"flow"}


def test_what_is_left_of_a_partly_filled_exit_is_closed_by_the_next() -> None:
    scene = Scene()
    bought(scene)
    scene.price("AAPL", "97")
    (out,) = evaluate_exits(scene.world(), EXIT_CALL).candidates
    assert out.client_order_id is not None
    scene.venue.fill(out.client_order_id, "97", Decimal(9))
    scene.later(180)
    scene.price("AAPL", "96")
    scene.venue.script["AAPL"] = REJECTED
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+35m"))
    scene.venue.script = {}
    scene.later(60)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+36m"))
    assert scene.venue.submitted[-1].quantity == 40


def test_an_entry_that_nobody_fills_is_cancelled_and_others_orders_are_left_alone() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("JPM")), call())
    intent = scene.venue.submitted[0]
    scene.venue.rest("typed by hand", "TSLA", replace(intent, quantity=Decimal(1)))
    scene.later(599)
    assert evaluate_exits(scene.world(), EXIT_CALL).candidates == ()
    scene.later(1)
    out = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+41m"))
    assert [d.reason for d in out.candidates[0].decisions] == [None, Reason.STALE_ENTRY, Reason.SENT]
    assert [i.instrument.symbol for i in scene.venue.cancelled] == ["JPM"]
    assert scene.venue.book["typed by hand"].status is OrderStatus.NEW
    assert scene.venue.cancelled[0].operation is Operation.CANCEL


def test_positions_and_cash_folded_from_the_ledger_are_the_venues() -> None:
    scene = Scene()
    for symbol, price in (("AAPL", "100.05"), ("JPM", "99.99")):
        bought(scene, symbol, price)
    scene.price("AAPL", "104")
    (out, _) = evaluate_exits(scene.world(), EXIT_CALL).candidates
    assert out.client_order_id is not None
    scene.venue.fill(out.client_order_id, "103.90")
    trade_once(scene.world(), call(slot="apply"))
    fills = scene.ledger.fills()
    positions = {symbol: p.quantity for (_, symbol), p in Totals.of(fills).positions.items() if p.quantity}
    assert positions == {s: q for s, q in scene.venue.held.items() if q}
    assert Totals.of(fills).cash(CASH, Settlement.PAID) == scene.venue.cash
    assert {owned.strategy for owned in fills} == {"flow"}


symbols = st.sampled_from(WITH_UNKNOWN)


@settings(max_examples=40)
@given(
    rows=st.lists(st.tuples(symbols, st.floats(0, 1), st.sampled_from(Side)), unique_by=lambda row: row[0]),
    script=st.dictionaries(st.sampled_from(NAMES), st.sampled_from([REJECTED, LOST])),
    rules=st.builds(
        lambda entries, order: limits(max_new_entries=entries, max_order_notional_usd=Decimal(order)),
        st.integers(1, 4),
        st.integers(200, 10_000),
    ),
)
def test_whatever_is_proposed_in_is_out_plus_the_sum_of_the_reasons(
    rows: list[tuple[str, float, Side]], script: dict[str, object], rules: object
) -> None:
    scene = Scene(limits=rules, universe=WITH_UNKNOWN)  # type: ignore[arg-type]
    scene.venue.script.update(script)  # type: ignore[arg-type]
    record = trade_once(scene.world(*(wanted(*row) for row in rows)), call())
    seen = funnel([record])
    assert seen.candidates == len(rows)
    assert len(rows) == seen.orders + sum(row.count for row in seen.reasons)
    sent = [i.client_order_id for i in scene.venue.submitted]
    assert len(sent) == len(set(sent)) == len(scene.ledger.intents())
    # A rejected order leaves the book as it was, so only what may still fill counts against the limit.
    may_fill = [i for i in scene.venue.submitted if scene.venue.script.get(i.instrument.symbol) is not REJECTED]
    assert len(may_fill) <= scene.limits.max_new_entries
    assert sum(i.quantity * (i.limit_price or 0) for i in may_fill) <= scene.limits.max_gross_fraction * CASH


def test_flow_asked_for_too_long_ago_closes_entries_and_no_exit() -> None:
    scene = Scene()
    bought(scene)
    scene.venue.now = NOW.replace(hour=16)
    scene.price("AAPL", "97")
    stale = trade_once(scene.world(wanted("JPM")), call(slot="open+90m"))
    reasons = {d.reason for d in stale.candidates[0].decisions}
    assert {Reason.FLOW_STALE, Reason.QUOTE_STALE, Reason.RECONCILE_STALE} <= reasons
    assert exit_of(evaluate_exits(scene.world(), EXIT_CALL)).reason is Reason.SENT
    assert ago(0) == NOW


@pytest.mark.parametrize(("left", "sold"), [(0, None), (-5, None), (20, 20), (49, 49), (80, 49)])
def test_an_exit_never_closes_more_than_the_broker_holds(left: int, sold: int | None) -> None:
    scene = Scene()
    bought(scene)
    scene.price("AAPL", "97")
    scene.venue.held["AAPL"] = Decimal(left)
    record = evaluate_exits(scene.world(), EXIT_CALL)
    exits = [i.quantity for i in scene.venue.submitted if i.purpose is Purpose.CLOSE]
    assert exits == ([] if sold is None else [sold])
    assert ends(record) == {"AAPL": Reason.POSITION_UNPROVEN if sold is None else None}


def test_shares_that_a_person_sold_by_hand_are_not_sold_again() -> None:
    scene = Scene()
    bought(scene)
    by_hand = replace(scene.venue.submitted[0], side=Side.SELL, quantity=Decimal(49))
    scene.venue.rest("typed by hand", "AAPL", by_hand)
    scene.venue.fill("typed by hand", "97")
    scene.price("AAPL", "97")
    record = evaluate_exits(scene.world(), EXIT_CALL)
    assert {p.strategy: p.quantity for p in scene.ledger.totals().positions.values()} == {
        "flow": 49,
        "": -49,
    }
    assert ends(record) == {"AAPL": Reason.POSITION_GONE}


@pytest.mark.parametrize(("price", "cancelled"), [("97", ["AAPL"]), ("100", [])])
def test_the_rest_of_an_entry_is_cancelled_once_its_position_is_to_be_closed(price: str, cancelled: list[str]) -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(60)
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100", Decimal(9))
    scene.price("AAPL", price)
    evaluate_exits(scene.world(), EXIT_CALL)
    assert [i.instrument.symbol for i in scene.venue.cancelled] == cancelled
    assert len(scene.venue.submitted) == 1


def test_a_position_without_a_quote_keeps_the_best_price_that_it_has_seen() -> None:
    scene = Scene()
    bought(scene)
    quoted, scene.venue.prices = scene.venue.prices, {}
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "no quote yet"))
    (position,) = scene.ledger.totals().positions.values()
    assert best_price(scene.ledger, "flow", "AAPL", position.opened_at) == 100
    scene.venue.prices = quoted
    scene.price("AAPL", "101.50")
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "quoted"))
    scene.venue.prices = {}
    evaluate_exits(scene.world(), EXIT_CALL)
    assert best_price(scene.ledger, "flow", "AAPL", position.opened_at) == Decimal("101.50")


def slow(world: World) -> World:
    """Return a world in which every look at the stopwatch finds three more seconds gone."""
    seconds = count(step=3.0)
    return replace(world, stopwatch=lambda: next(seconds))


def test_waiting_for_the_venue_makes_no_later_decision_slow() -> None:
    scene, gone_s = Scene(), [0.0]

    def wait(intent: Intent) -> None:
        gone_s[0] += 1

    scene.venue.before_submit = wait
    world = scene.world(wanted("AAPL", 0.9), wanted("MSFT", 0.8))
    rules = replace(world.rules, limits=world.rules.limits.model_copy(update={"max_decision_ms": 100}))
    record = trade_once(replace(world, rules=rules, stopwatch=lambda: gone_s[0]), call())
    assert ends(record) == {"AAPL": None, "MSFT": None}
    assert gone_s == [2.0]


def test_a_pass_that_slept_sends_no_entry_on_its_old_desk() -> None:
    scene = Scene()

    def sleep(intent: Intent) -> None:
        scene.venue.now += timedelta(minutes=10)

    scene.venue.before_submit = sleep
    record = trade_once(slow(scene.world(wanted("AAPL", 0.9), wanted("MSFT", 0.8))), call())
    assert ends(record) == {"AAPL": None, "MSFT": Reason.DESK_STALE}
    assert [intent.instrument.symbol for intent in scene.venue.submitted] == ["AAPL"]


def test_nothing_goes_out_once_the_session_has_closed_under_a_pass() -> None:
    scene = Scene()

    def close(intent: Intent) -> None:
        scene.venue.is_open = False

    scene.venue.before_submit = close
    record = trade_once(slow(scene.world(wanted("AAPL", 0.9), wanted("MSFT", 0.8))), call())
    assert ends(record) == {"AAPL": None, "MSFT": Reason.MARKET_CLOSED}
    assert len(scene.venue.submitted) == 1


def test_a_halt_that_comes_with_the_promise_keeps_the_order_from_going_out() -> None:
    scene = Scene()
    promise = scene.ledger.record_intent

    def promise_and_halt(intent: Intent, verdicts: Sequence[Decision]) -> bool:
        halt(scene)
        return promise(intent, verdicts)

    world = scene.world(wanted("AAPL"))
    scene.ledger.record_intent = promise_and_halt  # type: ignore[method-assign]
    record = trade_once(world, call())
    assert ends(record) == {"AAPL": Reason.HALTED}
    assert scene.venue.submitted == []
    assert [found.state for found in scene.ledger.intents()] == [IntentState.REJECTED]


def test_a_pass_that_goes_on_after_a_kill_has_opened_what_it_opened() -> None:
    scene = Scene(limits=limits(max_new_entries=1))
    trade_once(scene.world(wanted("AAPL")), call())
    again = trade_once(scene.world(wanted("MSFT")), call())
    assert ends(again) == {"MSFT": Reason.MAX_NEW_ENTRIES}
