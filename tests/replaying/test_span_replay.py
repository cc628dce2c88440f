"""A span with a limit changed is decided as a bot with that limit would have: later passes see what was sent."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.kit.core.recorded import Taken, trade_once
from tests.kit.core.scene import Scene, call, evaluate_exits, wanted
from tests.kit.values import SESSION, exit_rules, quote, there
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk, ExposureRange
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission
from tradebot.ports.world import Rules
from tradebot.replaying.passes import RecordEnvironment, glance, read_record
from tradebot.replaying.record_writer import RecordError
from tradebot.replaying.span_replay import (
    SENT,
    Body,
    CandidateEnd,
    ChangedRecord,
    Ends,
    ExitPassMoment,
    OverSpan,
    ReplayedCycle,
    SpanState,
    by_filters_alone,
    ended_in,
)

STRICT, LOOSE = 0.55, 0.01
ONE_HOUR = exit_rules(time_exit_s=3600)
WANTED = ("AAPL", "MSFT", "JPM", "XOM")


def played(least: float, *, fill_at: str = "100.00", passes: int = 3, **limits: Any) -> list[Taken]:
    """Return passes of a bot with a least score; whatever is sent fills at once."""
    scene, taken = Scene(), list[Taken]()
    scene.limits = scene.limits.model_copy(update={"min_score": least, **limits})
    for number in range(passes):
        candidates = [wanted(symbol, 0.5) for symbol in WANTED[: number + 1]]
        taken.append(trade_once(scene.world(*candidates), call(slot=f"open+{30 + number}m")))
        for name, order in [*scene.venue.book.items()]:
            if order.open_quantity:
                scene.venue.fill(name, fill_at)
        scene.later(60)
    return taken


def body(taken: Taken) -> Body:
    return taken.written.body, [taken.written.contents[one] for one in taken.written.parts]


def with_limits(rules: Rules, **limits: Any) -> Rules:
    return replace(rules, limits=rules.limits.model_copy(update=limits))


def what_if(taken: Sequence[Taken], *, whole: bool = True, **limits: Any) -> list[ReplayedCycle]:
    rules = with_limits(taken[0].rules, **limits)

    def change(one: Body, around: RecordEnvironment) -> ChangedRecord:
        return ChangedRecord(read_record(*one, {}, only_passing=not whole), rules, whole)

    deciding = OverSpan(change, lambda around, ends: True)
    return [deciding.replay_next(body(one)) for one in taken]


def ends(cycle: CycleRecord) -> dict[str, str]:
    return {one.candidate.symbol: one.terminal.gate.value if one.terminal else "" for one in cycle.candidates}


def named(found: ReplayedCycle) -> dict[str, str]:
    return {symbol: end.gate for (_, symbol, _), end in found.now.items()}


def test_span_with_another_limit_ends_as_a_bot_with_that_limit_did() -> None:
    strict, loose = played(STRICT), played(LOOSE)
    assert all(set(ends(one.outcome).values()) == {"score"} for one in strict)
    found = what_if(strict, min_score=LOOSE)
    assert [named(one) for one in found] == [ends(one.outcome) for one in loose]
    assert [[each.symbol for each in one.more] for one in found] == [["AAPL"], ["MSFT"], ["JPM"]]
    assert all(not one.fewer for one in found)


def test_carried_desk_is_that_of_a_bot_that_bought() -> None:
    strict, loose = played(STRICT), played(LOOSE)
    carrying, bought = SpanState(), [one.more[0] for one in what_if(strict, min_score=LOOSE)][:2]
    carrying.after(bought, ())
    desk, real = carrying.onto(strict[2].record.given.desk, strict[2].rules), loose[2].record.given.desk
    assert sheet(desk) == sheet(real)
    back = SpanState()
    back.after((), bought)
    assert sheet(back.onto(real, strict[2].rules)) == sheet(strict[2].record.given.desk)


def sheet(desk: Desk) -> dict[str, Any]:
    """Return what gates read of the book and the positions; what isn't held any more counts as none."""
    book = desk.book
    amounts = {name: dict(getattr(book, name)) for name in ("exposure", "sector_exposure", "spans")}
    return {
        **{
            name: {key: one for key, one in found.items() if one not in (0, ExposureRange())}
            for name, found in amounts.items()
        },
        **{name: getattr(book, name) for name in ("equity", "buying_power", "gross", "held", "working")},
        "entries": sorted((one.strategy, one.symbol, one.at) for one in book.entries),
        "stakes": sorted((one.symbol, one.side, one.usd, one.held) for one in book.stakes),
        "positions": sorted((one.symbol, one.quantity, one.cost) for one in desk.positions),
        "net": {symbol: shares for symbol, shares in desk.net.items() if shares},
        "worth": book.worth and book.worth.total,
    }


def test_tighter_limit_keeps_orders_back_and_later_passes_do_not_hold_them() -> None:
    strict, loose = played(STRICT), played(LOOSE)
    found = what_if(loose, min_score=STRICT)
    assert [named(one) for one in found] == [ends(one.outcome) for one in strict]
    assert [[each.symbol for each in one.fewer] for one in found] == [["AAPL"], ["MSFT"], ["JPM"]]


def test_limit_on_positions_binds_after_what_the_change_sent() -> None:
    found = what_if(played(STRICT), min_score=LOOSE, max_open_positions=1, max_new_entries=1)
    assert [named(one) for one in found] == [
        {"AAPL": ""},
        {"AAPL": "positioned", "MSFT": "open_positions"},
        {"AAPL": "positioned", "JPM": "open_positions", "MSFT": "open_positions"},
    ]


@pytest.mark.parametrize("least", [STRICT, LOOSE])
def test_span_without_a_change_is_the_record(least: float) -> None:
    taken = played(least)
    for one, found in zip(taken, what_if(taken), strict=True):
        assert found.then == found.now == ended_in(one.record.outcome)
        assert (found.more, found.fewer) == ((), ())


def test_position_of_the_change_is_closed_once_its_stop_is_reached() -> None:
    scene, taken = Scene(), list[Taken]()
    scene.limits = scene.limits.model_copy(update={"min_score": STRICT, "cooldown_s": 0})
    for price in ("100", "50", "50"):
        scene.price("AAPL", price)
        taken.append(trade_once(scene.world(wanted("AAPL", 0.5)), call(slot=f"at {len(taken)}")))
        scene.later(60)
    found = what_if(taken, min_score=LOOSE)
    assert [named(one)["AAPL"] != "positioned" for one in found] == [True, True, True]
    held = what_if(taken[:1] + taken[:1], min_score=LOOSE)
    assert named(held[1])["AAPL"] == "positioned"


def test_what_strategies_filters_refused_is_left_out_and_ends_as_it_did() -> None:
    taken = played(STRICT)
    assert what_if(taken, whole=False, min_score=LOOSE) == what_if(taken, min_score=LOOSE)
    key = ("flow", "AAPL", Purpose.OPEN)
    assert by_filters_alone({key: CandidateEnd("strategy", "cluster", "CLUSTER_TOO_SMALL")})
    assert by_filters_alone({})
    assert not by_filters_alone({key: SENT})


@pytest.mark.parametrize("content", [b"\xc1", b"\x90", b"\x93\x01\x01\x01"])
def test_body_that_is_no_record_is_refused(content: bytes) -> None:
    with pytest.raises(RecordError):
        glance(content, ())
    with pytest.raises(RecordError):
        ended_in(content)


def test_pass_that_the_change_cannot_touch_is_not_read() -> None:
    def never(one: Body, around: RecordEnvironment) -> ChangedRecord:
        raise AssertionError("it was read")

    touches: Callable[[Any, Any], bool] = lambda around, ends: False  # noqa: E731
    (found,) = [OverSpan(never, touches).replay_next(body(one)) for one in played(STRICT, passes=1)]
    assert found.then == found.now


def test_order_that_shadow_holds_back_counts_as_sent() -> None:
    scene = Scene()
    taken = trade_once(replace(scene.world(wanted("AAPL")), orders=None, shadow=True), call())
    found = what_if([taken])[0]
    assert found.then == found.now == {("flow", "AAPL", Purpose.OPEN): SENT}
    refused = what_if([taken], min_score=STRICT)[0]
    assert named(refused) == {"AAPL": "score"}


def lived(least: float) -> tuple[list[Taken], list[ExitPassMoment]]:
    """Return the passes of entries, and those of exits, of a bot that closes after an hour and then cools down."""
    scene, taken, looks = Scene(exits=ONE_HOUR), list[Taken](), list[ExitPassMoment]()
    scene.limits = scene.limits.model_copy(update={"min_score": least, "cooldown_s": 780})
    for number, minutes in enumerate((60, 5, 5, 5)):
        aapl = replace(wanted("AAPL"), decisions=(DECLINED,)) if number == 1 else wanted("AAPL", 0.5)
        taken.append(trade_once(scene.world(aapl), call(slot=f"{len(taken)}")))
        fill_all(scene)
        scene.later(60 * minutes)
        looks.append(ExitPassMoment(scene.venue.now, SESSION))
        evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, f"{len(taken)}"))
        fill_all(scene)
        scene.later(300)
    return taken, looks


def fill_all(scene: Scene) -> None:
    for name, order in [*scene.venue.book.items()]:
        if order.open_quantity:
            scene.venue.fill(name, "100.00")


def test_position_of_the_change_is_closed_by_time_in_the_pass_of_exits_in_which_the_bot_would_close_it() -> None:
    (strict, looks), (loose, _) = lived(STRICT), lived(LOOSE)
    assert [ends(one.outcome) for one in loose] == [
        {"AAPL": ""}, {"AAPL": "strategy"}, {"AAPL": ""}, {"AAPL": "positioned"},
    ]  # fmt: skip
    touches: Callable[[Any, Ends], bool] = lambda around, found: not by_filters_alone(found)  # noqa: E731
    rules = with_limits(strict[0].rules, min_score=LOOSE)
    deciding = OverSpan(lambda one, around: ChangedRecord(read_record(*one, {}), rules), touches, looks)
    assert [named(deciding.replay_next(body(one))) for one in strict] == [ends(one.outcome) for one in loose]


def test_position_of_the_change_is_closed_at_a_price_that_only_an_untouched_pass_saw() -> None:
    scene, taken = Scene(), list[Taken]()
    scene.limits = scene.limits.model_copy(update={"min_score": STRICT, "cooldown_s": 0})
    for price in ("100", "90", "100"):
        scene.price("AAPL", price)
        taken.append(trade_once(scene.world(wanted("AAPL", 0.5)), call(slot=f"at {len(taken)}")))
        scene.later(60)
    asked, rules = list[int](), with_limits(taken[0].rules, min_score=LOOSE)

    def touches(around: Any, found: Ends) -> bool:
        asked.append(len(asked))
        return asked[-1] != 1

    deciding = OverSpan(lambda one, around: ChangedRecord(read_record(*one, {}), rules), touches)
    assert [named(deciding.replay_next(body(one)))["AAPL"] for one in taken] == ["", "score", ""]


@pytest.mark.parametrize(("look", "closed", "price"), [(60, 60, "100"), (119, 119, "103"), (121, 120, "103")])
def test_position_closed_between_passes_is_worth_what_the_nearest_pass_saw(look: int, closed: int, price: str) -> None:
    (taken,) = played(STRICT, passes=1)
    bought = what_if([taken], min_score=LOOSE)[0].more[0]
    began, rules = bought.intent.at, replace(taken.rules, exits=ONE_HOUR)
    carrying = SpanState([ExitPassMoment(began + timedelta(minutes=look), SESSION)])
    carrying.after([bought], ())
    for minutes, seen in ((50, "100"), (120, "103")):
        at = began + timedelta(minutes=minutes)
        quotes = {"AAPL": quote(bid=seen, ask=seen, at=at)}
        desk = carrying.onto(replace(taken.record.given.desk, now=at, quotes=quotes), rules)
    (trip,) = desk.book.round_trips
    assert trip.closed_at == began + timedelta(minutes=closed)
    assert trip.profit == (Decimal(price) - bought.price) * bought.intent.quantity
    assert not carrying.holds


def test_order_that_the_change_keeps_back_leaves_what_the_next_one_bought() -> None:
    scene, taken = Scene(exits=ONE_HOUR), list[Taken]()
    scene.limits = scene.limits.model_copy(update={"cooldown_s": 0})
    for minutes in (60, 5):
        taken.append(trade_once(scene.world(wanted("AAPL", 0.5 if minutes == 60 else 0.9)), call(slot=f"{minutes}")))
        fill_all(scene)
        scene.later(60 * minutes)
        evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, f"{minutes}"))
        fill_all(scene)
    taken.append(trade_once(scene.world(wanted("AAPL", 0.9)), call(slot="last")))
    assert [ends(one.outcome)["AAPL"] for one in taken] == ["", "", "positioned"]
    assert [named(one)["AAPL"] for one in what_if(taken, min_score=0.7)] == ["score", "", "positioned"]


def test_order_that_the_change_keeps_back_leaves_no_cooldown() -> None:
    scene, taken = Scene(exits=ONE_HOUR), list[Taken]()
    for score in (0.5, 0.9):
        taken.append(trade_once(scene.world(wanted("AAPL", score)), call(slot=f"{score}")))
        fill_all(scene)
        scene.later(3600)
        evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, f"{score}"))
        fill_all(scene)
        scene.later(10)
    assert [ends(one.outcome)["AAPL"] for one in taken] == ["", "cooldown"]
    assert [named(one)["AAPL"] for one in what_if(taken, min_score=0.7)] == ["score", ""]


DECLINED = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, 1, 2)


@pytest.mark.parametrize("closed", [(), ((Reason.DRY_RUN, "by hand"),)])
@pytest.mark.parametrize("whole", [True, False])
def test_candidate_that_a_filter_refuses_ends_alike_unread(closed: tuple[tuple[Reason, str], ...], whole: bool) -> None:
    scene = Scene(permission=Permission(closed=closed))
    declined = replace(wanted("MSFT"), decisions=(DECLINED,))
    taken = trade_once(scene.world(wanted("AAPL"), declined), call())
    found = what_if([taken], whole=whole)[0]
    assert found.then == found.now == ended_in(taken.record.outcome)
    assert found.now["flow", "MSFT", Purpose.OPEN].gate == ("permission" if closed else "strategy")
    recorded = read_record(*body(taken), {}, only_passing=True)
    assert [one.symbol for one in there(recorded.given.proposed).candidates] == ["AAPL"]
    assert {one.symbol for one in there(recorded.all_proposals).candidates} == {"AAPL", "MSFT"}
