"""What the venue refuses, delays, changes or takes back by itself: the bot sends nothing twice and hides nothing."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.faults import verdicts
from tests.faults.listed.conftest import Lies
from tests.kit.bot.trader import UNTIL_FILLED_S, Trader
from tests.kit.judge import pairs
from tradebot.adapters.state import halt_switch
from tradebot.errors import ExitCode
from tradebot.model.finding import FindingKind
from tradebot.model.intent import IntentState
from tradebot.model.trading import TradingState
from tradebot.reconciliation.reconcile import Reconciled, apply_plan, reconcile

NEAR = True

TOO_OLD_S = 660
"""After so long an order that rests is canceled, or priced again."""


@pytest.fixture(autouse=True)
def _ended(trader: Trader) -> Iterator[None]:
    """End what was armed, however a test ends: a halted symbol is halted for all."""
    yield
    trader.calm()


def venue(trader: Trader, path: str, **body: object) -> Any:
    """Let the venue do something to this account unasked."""
    return trader.stage.control(path, account=trader.bot.name, **body)


def rests(trader: Trader) -> Any:
    """Order while nothing fills, and return what the log tells of the order."""
    trader.trouble("halt_symbol", symbol="AAPL")
    assert trader.buys("AAPL").code == 0
    return trader.told().accepted[-1]


def leaves(trader: Trader) -> None:
    """Begin to close all that is held."""
    halt_switch.halt(trader.folder, "test", "a person", datetime.now(UTC), TradingState.FLATTEN)
    assert trader.exits().code == 0


def entries(trader: Trader) -> list[str]:
    """Return how the entries stand, the oldest first."""
    told = trader.told()
    return [told.status[o["order_id"]] for o in told.accepted if verdicts.OPEN in o["client_order_id"]]


def asked(trader: Trader, role: str) -> int:
    """Return how many orders of a role the exchange was ever asked for."""
    return sum(count for name, count in trader.told().posts.items() if role in name)


def status(trader: Trader) -> list[str]:
    """Return how the orders stand, the oldest first."""
    told = trader.told()
    return [told.status[order["order_id"]] for order in told.accepted]


def compared(trader: Trader) -> Reconciled:
    with closing(trader.bot.app()) as app:
        return reconcile(app.reader, app.ledger)


def found(trader: Trader) -> set[FindingKind]:
    """Return the kinds of findings that block entries."""
    return {finding.kind for finding in compared(trader).findings if finding.blocking}


@pytest.mark.parametrize("shown", ["pending_new", "accepted"])
def test_an_order_that_is_acknowledged_late_is_not_sent_again(trader: Trader, shown: str) -> None:
    trader.trouble({"late_acknowledgement": "3m", "status": shown}, request="submit")
    assert trader.buys("AAPL").code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.buys("AAPL", again=True).code == 0
    assert (status(trader), trader.posts()) == ([shown], 1)
    trader.stage.tick(seconds=UNTIL_FILLED_S * 2)
    assert trader.reconciles().code == 0
    assert (status(trader), set(trader.held())) == (["filled"], {"AAPL"})
    trader.is_whole()


@pytest.mark.parametrize(
    ("what", "states"),
    [
        ("refused", [IntentState.REJECTED, IntentState.REJECTED, IntentState.ACKED]),
        ("reject_after_acceptance", [IntentState.ACKED] * 3),
    ],
)
def test_a_cancel_that_the_venue_refuses_is_asked_for_again_and_no_second_entry_goes_out(
    trader: Trader, what: str, states: list[IntentState]
) -> None:
    rests(trader)
    trader.trouble(what, request="cancel", to=2)
    trader.stage.tick(seconds=TOO_OLD_S)
    for _ in range(2):
        assert trader.exits().code == trader.buys("AAPL", again=True).code == 0
        assert status(trader) == ["new"]
        trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.exits().code == 0
    assert status(trader) == ["canceled"]
    assert [record.state for record in trader.intents()][1:] == states
    assert (trader.fired(), trader.posts()) == (2, 1)
    trader.is_whole()


@pytest.mark.parametrize("what", ["refused", "reject_after_acceptance"])
def test_an_exit_whose_new_price_the_venue_refuses_goes_on_and_closes_once(trader: Trader, what: str) -> None:
    trader.holds("AAPL")
    trader.trouble("halt_symbol", symbol="AAPL")
    trader.trouble(what, request=["replace", "cancel"], to=2)
    leaves(trader)
    while trader.fired() < 2:
        trader.stage.tick(seconds=UNTIL_FILLED_S)
        assert trader.exits().code == 0
        assert status(trader)[1] == "new"
    trader.calm()
    # The pair has been there all the time, and the exit that couldn't go through it is sent now.
    assert trader.exits().code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    assert (trader.held(), len(trader.told().fills)) == ({}, 2)
    trader.is_whole()


@pytest.mark.parametrize("road", ["flatten", "pass of exits"])
def test_an_exit_that_the_venue_rejects_after_accepting_it_goes_out_the_next_way_in_the_same_pass(
    trader: Trader, road: str
) -> None:
    trader.holds("AAPL")
    trader.trouble("reject_after_acceptance", request="replace")
    if road == "flatten":
        assert trader.flattens().code == 0
    else:
        leaves(trader)
    # The pair's limit was refused, so the pair was canceled and a plain exit works.
    assert (trader.fired(), status(trader)[-2:]) == (1, ["rejected", "new"])
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    assert (trader.held(), len(trader.told().fills)) == ({}, 2)
    trader.is_whole()


def test_flatten_typed_again_while_nothing_fills_keeps_the_stop(trader: Trader) -> None:
    trader.holds("AAPL")
    trader.trouble("halt_symbol", symbol="AAPL")
    for _ in range(3):
        assert trader.flattens().code == 0
        trader.stage.tick(seconds=60)
    events, groups = trader.stage.log(trader.bot.number), pairs.Groups()
    for event in events:
        groups.add(event)
    assert (len(groups.stopped()), len(groups.leaving())) == (1, 1)
    assert [event["path"] for event in events if event.get("method") == "DELETE"] == []


def test_an_exit_that_is_lost_after_its_pair_was_canceled_is_sent_again_a_minute_later_under_its_own_id(
    trader: Trader,
) -> None:
    trader.holds("AAPL")
    trader.trouble("marketable_exit_refused", request="replace", to=1)
    trader.trouble({"status": 504, "acceptance": "before"}, request="submit", client_order_id="tb1.*CLOSE*", to=1)
    assert trader.flattens().code == 5
    trader.stage.tick(seconds=60)
    assert trader.exits().code == 0
    trader.stage.tick(seconds=60)
    assert trader.reconciles().code == 0
    # It was accepted under the id that was lost, and only then priced again.
    lost = next(record.intent for record in trader.intents() if record.intent.key.role == "close")
    exits = [order for order in trader.told().accepted if "CLOSE" in order["client_order_id"]]
    assert [order["client_order_id"] for order in exits if not order.get("replaces")] == [lost.client_order_id]
    assert (trader.held(), trader.fired(), len(trader.told().fills)) == ({}, 2, 2)
    trader.is_whole()


def test_flatten_ends_with_5_while_the_venue_rejects_every_exit_and_the_stop_rests_again(trader: Trader) -> None:
    trader.holds("AAPL")
    trader.trouble("reject_after_acceptance", request="replace")
    trader.trouble("reject_after_acceptance", request="submit", client_order_id="tb1.*CLOSE*")
    assert trader.flattens().code == 5
    assert list(pairs.bare(trader.stage.log(trader.bot.number))) == []
    trader.calm()
    assert trader.flattens().code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    assert trader.held() == {}


def test_an_exit_goes_through_its_pair_again_where_the_venue_takes_its_cancel_back_and_no_gap_is_told(
    trader: Trader,
) -> None:
    trader.holds("AAPL")
    trader.trouble("reject_after_acceptance", request=["replace", "cancel"])
    assert trader.flattens().code == 5
    trader.calm()
    trader.trouble("reject_after_acceptance", request="cancel")
    assert trader.flattens().code == 0
    # The stop has rested all the time.
    assert told(trader, "protection_gap") == []
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    assert (trader.held(), trader.fired(), len(trader.told().fills)) == ({}, 3, 2)
    trader.is_whole()


def test_flatten_ends_with_5_while_an_entry_works_on_whose_cancel_the_venue_takes_back(trader: Trader) -> None:
    rests(trader)
    trader.trouble("reject_after_acceptance", request="cancel", to=1)
    assert trader.flattens().code == 5
    assert entries(trader) == ["new"]
    trader.stage.tick(seconds=60)
    assert trader.flattens().code == 0
    assert entries(trader) == ["canceled"]
    trader.is_whole()


def test_other_positions_are_closed_while_the_venue_does_not_say_how_a_cancel_ended(trader: Trader) -> None:
    trader.holds("AAPL", "MSFT")
    trader.trouble("marketable_exit_refused", request="replace")
    trader.trouble({"status": 503}, request="order", **{"from": 2})
    assert trader.flattens().code == 5
    # Each had its pair placed, and then its limit moved.
    assert asked(trader, ".PROTE.") == 4
    trader.calm()
    trader.stage.tick(seconds=60)
    assert trader.flattens().code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    assert trader.held() == {}
    trader.is_whole()


def told(trader: Trader, kind: str) -> list[dict[str, str]]:
    """Return the details of the bot's events of one kind."""
    lines = (trader.folder / "system_events.jsonl").read_text().splitlines()
    return [event["details"] for event in map(json.loads, lines) if event["event_type"] == kind]


def stops(trader: Trader) -> list[dict[str, Any]]:
    """Return every line of the exchange's log about a stop of this account."""
    return [event for event in trader.stage.log(trader.bot.number) if event.get("stop_price") and "order_id" in event]


@pytest.mark.parametrize("harm", ["suspended", "canceled"])
def test_a_stop_that_cannot_trigger_anymore_is_told_from_then_on_and_another_one_rests(
    trader: Trader, lies: Lies, harm: str
) -> None:
    trader.holds("AAPL")
    stop = stops(trader)[-1]["order_id"]
    if harm == "suspended":
        venue(trader, "orders", order=stop, do="suspend")
    else:
        for path in ("/orders", f"/orders/{stop}", "/orders:by_client_order_id"):
            lies.tell(path, lambda answer: shown_as(answer, stop, "canceled"))
    trader.stage.tick(seconds=60)
    assert trader.reconciles().code == ExitCode.FINDINGS
    assert trader.exits().code == 0
    assert told(trader, "protection_gap_ended") == [], "the next stop was only sent"
    trader.stage.tick(seconds=60)
    assert trader.exits().code == 0
    (gap,) = told(trader, "protection_gap_ended")
    last = stops(trader)[-1]
    assert (last["status"], last["order_id"] != stop) == ("new", True)
    began = next(event for event in stops(trader) if event["order_id"] == stop and event["status"] in ("new", harm))
    assert datetime.fromisoformat(gap["since"]) <= datetime.fromisoformat(began["at"]) or harm == "suspended"
    assert (gap["why"], gap["ended"], float(gap["lasted_s"]) >= 60) == (harm, "stop", True)
    lies.end()
    assert trader.reconciles().code == 0
    assert list(pairs.bare(trader.stage.log(trader.bot.number))) == []


def shown_as(answer: Any, order: str, status: str) -> Any:
    """Return an answer in which one order has another status."""
    if isinstance(answer, list):
        return [shown_as(one, order, status) for one in answer]
    if not isinstance(answer, dict):
        return answer
    found = {name: shown_as(value, order, status) if name == "legs" else value for name, value in answer.items()}
    return found | {"status": status} if found.get("id") == order else found


def test_an_exit_that_never_arrives_ends_no_gap_and_the_log_shows_no_longer_one_than_is_told(trader: Trader) -> None:
    trader.holds("AAPL")
    stop = stops(trader)[-1]["order_id"]
    trader.trouble("marketable_exit_refused", request="replace")
    trader.trouble({"reset": "before"}, request="submit", client_order_id="tb1.*CLOSE*", at_most=1)
    leaves(trader)
    (began,) = told(trader, "protection_gap")
    assert (told(trader, "protection_gap_ended"), began["why"]) == ([], "exiting")
    for _ in range(10):
        trader.stage.tick(seconds=60)
        assert trader.exits().code == 0
    assert (trader.held(), told(trader, "protection_gap")) == ({}, [began])
    (ended,) = told(trader, "protection_gap_ended")
    bare = next(event for event in stops(trader) if event["order_id"] == stop and event["status"] == "canceled")
    fill = next(event for event in trader.stage.log(trader.bot.number) if event.get("position") == "0")
    lasted = datetime.fromisoformat(fill["at"]) - datetime.fromisoformat(bare["at"])
    assert (trader.fired() >= 2, ended["ended"]) == (True, "closed")
    assert 60 <= lasted.total_seconds() <= float(ended["lasted_s"]) <= lasted.total_seconds() + 1


@pytest.mark.parametrize(
    ("do", "first", "last"),
    [("suspend", "suspended", "canceled"), ("stop", "stopped", "filled"), ("cancel", "canceled", "canceled")],
)
def test_an_entry_that_the_venue_suspends_stops_or_cancels_is_followed(
    trader: Trader, do: str, first: str, last: str
) -> None:
    order = rests(trader)
    venue(trader, "orders", order=order["order_id"], do=do)
    assert trader.buys("AAPL", again=True).code == 0
    assert entries(trader) == [first]
    trader.stage.tick(seconds=TOO_OLD_S)
    assert trader.exits().code == 0
    assert entries(trader) == [last]
    assert trader.reconciles().code == 0
    assert (asked(trader, verdicts.OPEN), bool(trader.held())) == (1, do == "stop")
    trader.is_whole()


@pytest.mark.parametrize("more", [3, -2])
def test_an_entry_that_the_venue_makes_larger_or_smaller_is_booked_as_it_fills(trader: Trader, more: int) -> None:
    order = rests(trader)
    qty = Decimal(order["qty"]) + more
    venue(trader, "orders", order=order["order_id"], do="restate", qty=str(qty))
    trader.calm()
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == trader.buys("AAPL", again=True).code == 0
    assert (trader.held(), trader.posts()) == ({"AAPL": qty}, 1)
    trader.is_whole()


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"do": "bust"}, {FindingKind.PHANTOM, FindingKind.CASH}),
        ({"do": "correct", "qty": 1}, {FindingKind.QUANTITY, FindingKind.CASH}),
        ({"do": "correct", "price": "1.00"}, {FindingKind.CASH}),
    ],
)
@pytest.mark.parametrize("booked", [True, False])
def test_an_execution_that_the_venue_busts_or_corrects_closes_entries_until_a_person_accepts_it(
    trader: Trader, change: dict[str, object], kinds: set[FindingKind], booked: bool
) -> None:
    assert trader.buys("AAPL").code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    if booked:
        assert trader.reconciles().code == 0
    venue(trader, "executions", execution=trader.told().fills[0]["activity_id"], **change)
    assert trader.reconciles().code == ExitCode.FINDINGS
    assert found(trader) == kinds
    assert trader.buys("MSFT", again=True).code == trader.exits().code == 0
    assert asked(trader, verdicts.OPEN) == 1
    with closing(trader.bot.app()) as app:
        plan = compared(trader).plan
        assert plan is not None
        assert apply_plan(app.reader, app.ledger, plan, "ada").findings == ()
    assert trader.reconciles().code == trader.buys("MSFT", again=True).code == 0
    assert asked(trader, verdicts.OPEN) == 2


def test_a_busted_exit_is_no_silent_position(trader: Trader) -> None:
    trader.holds("AAPL")
    leaves(trader)
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    assert trader.held() == {}
    venue(trader, "executions", execution=trader.told().fills[-1]["activity_id"], do="bust")
    assert trader.reconciles().code == ExitCode.FINDINGS
    assert found(trader) == {FindingKind.ORPHAN, FindingKind.CASH}


def test_shares_whose_purchase_was_busted_are_not_sold(trader: Trader) -> None:
    trader.holds("AAPL")
    venue(trader, "executions", execution=trader.told().fills[0]["activity_id"], do="bust")
    halt_switch.halt(trader.folder, "test", "a person", datetime.now(UTC), TradingState.FLATTEN)
    assert trader.exits().code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.exits().code == 0
    assert (asked(trader, verdicts.CLOSE), found(trader)) == (0, {FindingKind.PHANTOM, FindingKind.CASH})
    assert [event for event in trader.told().accepted if "replaces" in event] == []
