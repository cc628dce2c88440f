"""The law of protection sees each gap that was told too late, too short or not at all, and nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from papervenue.market.sessions import build_calendar
from tests.kit.judge.gaps import CHANGING, Gap, Lots
from tests.kit.judge.protection import Law, Pass, Told
from tests.kit.venues import KRAKEN
from tradebot.model.record import Job

Line = dict[str, Any]
OPEN = datetime(2026, 11, 17, 14, 30, tzinfo=UTC)
SESSIONS = build_calendar(OPEN.date(), 2)
WHOSE = ("OWN", "AAPL")


def at(minute: float) -> datetime:
    """Return a time of the session, in minutes after its open."""
    return OPEN + timedelta(minutes=minute)


def line(minute: float, event: str, order: str, status: str = "new", side: str = "sell", **others: str) -> Line:
    """Return a line of the log about an order of 8 shares; an order named in capitals has one of our ids."""
    name = f"tb1.261117.OWN.AAPL.{order}.A" if order.isupper() else f"venue-{order}"
    told = {"at": at(minute).isoformat(), "event": event, "order_id": order, "client_order_id": name, "status": status}
    return {**told, "account": "one", "symbol": "AAPL", "side": side, "qty": "8", "filled_qty": "0", **others}


def bought(minute: float, position: str = "8") -> Line:
    return line(minute, "fill", "OPEN", "filled", "buy", position=position, filled_qty=position)


def stop(minute: float, status: str = "new", event: str = "order_new", order: str = "stop", **others: str) -> Line:
    return line(minute, event, order, status, stop_price="90", parent_id="PROTE", **others)


def asked_to_end(minute: float, order: str) -> Line:
    told = {"at": at(minute).isoformat(), "event": "request", "method": "DELETE", "path": f"/v2/orders/{order}"}
    return {**told, "account": "one"}


def sold(minute: float, order: str = "CLOSE", **others: str) -> Line:
    return line(minute, "fill", order, "filled", position="0", filled_qty="8", **others)


ASKED = line(0, "order_accepted", "PROTE", "pending_new")
PAIR = [ASKED, stop(1, "held", "order_held"), stop(1)]
PROTECTED = [bought(0), *PAIR]
REPLACED = [*PROTECTED, stop(5, "replaced", "order_replaced")]
CANCELED = [asked_to_end(5, "PROTE"), stop(5, "canceled", "order_canceled")]
LEAVING = line(5, "order_accepted", "CLOSE")


def gaps(lines: Sequence[Line]) -> list[tuple[datetime, datetime | None]]:
    """Return when the lots of a log had no stop."""
    return [(gap.began, gap.ended) for gap in folded(lines)]


def folded(lines: Sequence[Line]) -> Sequence[Gap]:
    lots = Lots("one")
    for each in lines:
        lots.add(each)
    return lots.finish()


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (PROTECTED, [(at(0), at(1))]),
        ([ASKED, bought(1), *PAIR[1:]], []),
        ([*PROTECTED, stop(5, "canceled", "order_canceled")], [(at(0), at(1)), (at(5), None)]),
        ([*PROTECTED, stop(5, "suspended", "order_suspended"), stop(7)], [(at(0), at(1)), (at(5), at(7))]),
        ([*PROTECTED, stop(5, "pending_cancel", "order_pending_cancel")], [(at(0), at(1))]),
        ([*REPLACED, stop(5, order="tighter", replaces="stop")], [(at(0), at(1))]),
        ([*REPLACED, stop(6, order="tighter", replaces="stop")], [(at(0), at(1)), (at(5), at(6))]),
        ([*PROTECTED, *CANCELED, LEAVING, sold(7)], [(at(0), at(1)), (at(5), at(7))]),
        ([*PROTECTED, *CANCELED, LEAVING, stop(5, order="again")], [(at(0), at(1))]),
        ([bought(0), ASKED, stop(5), *CANCELED], [(at(0), at(5)), (at(5), None)]),
        ([*PROTECTED, sold(5, "stop", stop_price="90", parent_id="PROTE")], [(at(0), at(1))]),
        ([bought(0), ASKED, stop(1, qty="5")], [(at(0), None)]),
        ([bought(0, "0.7")], []),
        ([bought(0, "8.7"), *PAIR], [(at(0), at(1))]),
        ([line(0, "fill", "hand", "filled", "buy", position="8", filled_qty="8")], []),
        ([bought(0), ASKED, stop(1, side="buy")], [(at(0), None)]),
    ],
)
def test_a_lot_has_a_gap_while_no_stop_of_its_own_can_trigger_for_all_its_whole_shares(
    lines: list[Line], found: list[tuple[datetime, datetime | None]]
) -> None:
    assert gaps(lines) == found


def test_what_a_venue_never_shows_of_a_stop_is_no_gap_that_anybody_could_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    suspended = [*PROTECTED, stop(5, "suspended", "order_suspended")]
    assert gaps(suspended) == [(at(0), at(1)), (at(5), None)]
    monkeypatch.setattr("tests.kit.judge.gaps.CHANGING", CHANGING | KRAKEN.unshown)
    assert gaps(suspended) == [(at(0), at(1))]
    assert gaps([*suspended, stop(7, "canceled", "order_canceled")]) == [(at(0), at(1)), (at(7), None)]


def test_a_split_changes_what_a_stop_has_to_cover() -> None:
    split = {"at": at(5).isoformat(), "event": "corporate_action", "symbol": "AAPL", "new_rate": "2", "old_rate": "1"}
    assert gaps([*PROTECTED, split]) == [(at(0), at(1)), (at(5), None)]
    assert gaps([*PROTECTED, split, stop(5, event="order_restated", qty="16")]) == [(at(0), at(1))]


def test_a_new_name_takes_the_lot_and_its_stop_along() -> None:
    named = {"at": at(5).isoformat(), "event": "corporate_action", "symbol": "AAPL", "new_symbol": "PEAR"}
    canceled = stop(6, "canceled", "order_canceled") | {"symbol": "PEAR"}
    assert gaps([*PROTECTED, named, stop(5, event="order_restated") | {"symbol": "PEAR"}]) == [(at(0), at(1))]
    assert gaps([*PROTECTED, named, canceled]) == [(at(0), at(1)), (at(5), None)]


def broken(lines: Sequence[Line], minutes: Sequence[float], *told: Told, owed: bool = True, **judged: Any) -> list[str]:
    """Return what the law has against a bot with passes of exits at these minutes, and with what it told."""
    lots = Lots("one")
    for each in lines:
        lots.add(each)
    passes = [Pass(at(minute), Job.EVALUATE_EXITS, judged.get("seen", frozenset({"AAPL"}))) for minute in minutes]
    return Law(lots, SESSIONS, told, passes, lambda lot: owed, judged.get("disturbed", ())).judge().problems


def told(minute: float, since: float, until: float | None = None) -> Told:
    return Told(at(minute), "AAPL", at(since), None if until is None else at(until))


LATER = [*PROTECTED, *CANCELED, LEAVING, sold(8), line(9, "order_new", "OTHER")]
BEGUN, OVER = told(5, 5), told(8, 5, 8)


@pytest.mark.parametrize(
    ("told_", "said"),
    [
        ((BEGUN, OVER), ""),
        ((told(5, 4), OVER), ""),
        ((), "left it untold"),
        ((told(6, 5), OVER), f"the pass at {at(5):%d %H:%M:%S} left it untold"),
        ((told(5, 6), OVER), "left it untold"),
        ((told(5, 5, 5),), "left it untold"),
        ((told(5, 5, 7),), "told to have ended before, or never"),
        ((BEGUN,), "told to have ended before, or never"),
    ],
)
def test_a_gap_is_told_by_the_pass_that_begins_it_since_its_beginning_and_until_its_end(
    told_: tuple[Told, ...], said: str
) -> None:
    problems = broken(LATER, [1, 5, 6, 7, 8, 9], *told_)
    assert [said in problem for problem in problems] == ([True] if said else [])


def test_a_gap_that_the_venue_begins_is_told_by_the_next_pass() -> None:
    lines = [*PROTECTED, stop(5, "canceled", "order_canceled"), LEAVING, sold(8), line(9, "order_new", "OTHER")]
    assert broken(lines, [1, 5, 6, 8], told(6, 5), OVER) == []
    assert len(broken(lines, [1, 5, 6, 8], told(7, 5), OVER)) == 1


def test_a_stop_that_the_venue_suspends_after_it_refused_to_cancel_it_is_told_by_the_next_pass() -> None:
    suspended = stop(5, "suspended", "order_suspended")
    lines = [*PROTECTED, *CANCELED[:-1], suspended, stop(8), line(9, "order_new", "OTHER")]
    assert broken(lines, [1, 5, 6, 8.5], told(6, 5), OVER) == []
    assert len(broken(lines, [1, 5, 6, 8.5], told(7, 5), OVER)) == 1


def test_a_pass_that_was_lied_to_leaves_it_to_the_next_one_to_tell() -> None:
    lie = {"at": at(6).isoformat(), "event": "fault_fired", "account": "one", "on": "GET /v2/orders"}
    lines = [*PROTECTED, stop(5, "canceled", "order_canceled"), lie, LEAVING, sold(8), line(9, "order_new", "OTHER")]
    assert broken(lines, [1, 6, 7, 8], told(7, 5), OVER) == []
    assert len(broken(lines, [1, 6, 7, 8], OVER)) == 1


def test_a_pass_that_slept_until_after_the_end_may_tell_it_by_its_own_beginning() -> None:
    early = BEGUN, told(6, 5, 6)
    assert broken(LATER, [1, 5, 6, 9.5], *early, disturbed=[at(9)]) == []
    assert len(broken(LATER, [1, 5, 6, 9.5], *early, disturbed=[at(7)])) == 1, "it was over before the end"
    assert len(broken(LATER, [1, 5, 6, 8.5, 9.5], *early, disturbed=[at(9)])) == 1, "another pass came in between"
    assert len(broken(LATER, [1, 5, 6, 9.5], *early)) == 1


@pytest.mark.parametrize(("minute", "problems"), [(2.5, 0), (3.5, 1)])
def test_a_fill_of_which_a_pass_was_told_late_is_protected_in_time_by_the_next_one(
    minute: float, problems: int
) -> None:
    lie = {"at": at(1).isoformat(), "event": "fault_fired", "account": "one", "on": "GET /v2/account/activities"}
    lines = [bought(0), lie, ASKED | {"at": at(minute).isoformat()}, stop(minute), line(9, "order_new", "OTHER")]
    assert len(broken(lines, [1, minute, 8])) == problems
    assert len(broken([each for each in lines if each is not lie], [1, minute, 8])) == 1


def test_a_gap_that_no_pass_could_see_need_not_be_told() -> None:
    assert broken(PROTECTED, [1]) == []


def test_a_stop_that_is_accepted_and_rests_later_leaves_it_to_the_next_pass_to_tell() -> None:
    late = [bought(0), line(1, "order_accepted", "PROTE", "pending_new"), stop(1, "held", "order_held"), stop(4)]
    assert broken(late, [1, 5]) == []
    assert not [one for one in broken(late, [1, 3, 5], told(3, 0), told(5, 0, 4)) if "told" in one]
    assert [one for one in broken(late, [1, 3, 5]) if "left it untold" in one]
    part = [*late[:2], stop(1, "held", "order_held", qty="5"), stop(4)]
    assert "left it untold" in broken(part, [1, 5])[0]


def test_a_fill_that_its_own_pass_protects_in_time_need_not_be_told() -> None:
    """Such a pass slept between its look and its stop, so the log shows a gap that was there when it began."""
    slow = [bought(0), *[each | {"at": at(2).isoformat()} for each in PAIR]]
    assert broken(slow, [1, 3]) == []
    assert "left it untold" in broken(slow, [1, 1.5, 3])[0]
    asleep = [bought(0), *[each | {"at": at(12).isoformat()} for each in PAIR]]
    assert "left it untold" in broken(asleep, [1, 13])[0]
    lost = [*PROTECTED, stop(5, "canceled", "order_canceled"), stop(6, order="again"), line(9, "order_new", "OTHER")]
    assert "left it untold" in broken(lost, [1, 5.5, 7])[0]


def test_the_second_pass_finds_a_gap_closed_or_an_exit_at_work_unless_there_was_trouble() -> None:
    bare, began = [bought(0), line(9, "order_new", "OTHER")], told(1, 0)
    trouble = {"at": at(2).isoformat(), "event": "fault_fired", "account": "one"}
    (problem,) = broken(bare, [1, 2], began)
    assert problem.endswith("2 passes that nothing troubled left it without an exit too")
    assert broken(bare, [1], began) == []
    assert broken([bought(0), trouble, line(9, "order_new", "OTHER")], [1, 3], began) == []
    exiting = [bought(0), line(1, "order_accepted", "CLOSE"), line(9, "order_new", "OTHER")]
    assert broken(exiting, [1, 2, 3], began) == []


def test_lots_without_a_stop_by_setting_are_looked_at_by_one_of_two_passes() -> None:
    bare = [bought(0), line(9, "order_new", "OTHER")]
    assert broken(bare, [1, 2], owed=False) == []
    assert len(broken(bare, [1, 2], owed=False, seen=frozenset({"MSFT"}))) == 1
    assert broken(bare, [1], owed=False, seen=frozenset({"MSFT"})) == []


def test_a_gap_ends_when_the_position_turns_and_another_one_begins() -> None:
    turned = line(5, "fill", "CLOSE", "filled", position="-2", filled_qty="10")
    assert gaps([bought(0), turned]) == [(at(0), at(5)), (at(5), None)]
