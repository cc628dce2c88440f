"""Each event that a person should hear about comes once for each occurrence, with its numbers."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import REJECTED, FixedStrategy
from tests.kit.values import NOW, SESSION, exit_rules, limits
from tradebot.adapters.state.events import JsonlEvents, last_events
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.event import EventKind, Severity, SystemEvent
from tradebot.model.limits import Protection
from tradebot.model.order import OrderStatus
from tradebot.model.record import Job
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed, Needs
from tradebot.ports.world import World

PROTECTING = exit_rules(protection=Protection.VENUE)


def told(scene: Scene, kind: EventKind, severity: Severity | None = None) -> list[SystemEvent]:
    named = (kind.subsystem, kind.event_type, severity or kind.severity)
    return [one for one in scene.events.emitted if (one.subsystem, one.event_type, one.severity) == named]


def enter(scene: Scene, slot: str, *candidates: Candidate, dry_run: bool = False) -> None:
    now = (replace(one, at=scene.venue.now) for one in candidates)
    trade_once(scene.world(*now, dry_run=dry_run), call(slot=slot))


def exits(scene: Scene, slot: str) -> None:
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, slot))


def holding(scene: Scene) -> None:
    """Let flow buy AAPL, the venue fill it, and the next pass book that."""
    enter(scene, "buy", wanted("AAPL"))
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(3600)
    exits(scene, "book the fill")


def losing() -> Scene:
    scene = Scene()
    holding(scene)
    scene.price("AAPL", "97")
    return scene


def test_a_counter_signal_is_told_once_until_it_is_gone() -> None:
    scene = Scene()
    holding(scene)
    for slot in ("first", "second"):
        enter(scene, slot, wanted("AAPL", 0.7, Side.SELL))
        scene.later(60)
    (event,) = told(scene, EventKind.COUNTER_SIGNAL)
    assert event.symbol == "AAPL"
    assert event.details == {
        "strategy": "flow",
        "cause": "the strategy wants to sell but holds the opposite side",
        "score": "-0.700",
    }
    enter(scene, "gone", wanted("MSFT"))
    scene.later(60)
    enter(scene, "again", wanted("AAPL", 0.7, Side.SELL))
    assert len(told(scene, EventKind.COUNTER_SIGNAL)) == 2


@pytest.mark.parametrize("candidate", [wanted("AAPL", 0.7), wanted("AAPL", 0.01, Side.SELL), wanted("MSFT", 0.7)])
def test_the_same_side_a_weak_signal_and_another_symbol_are_no_counter_signals(candidate: Candidate) -> None:
    scene = Scene()
    holding(scene)
    enter(scene, "next", candidate)
    assert not told(scene, EventKind.COUNTER_SIGNAL)


def test_an_entry_that_the_broker_refuses_is_missed() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = REJECTED
    enter(scene, "open", wanted("AAPL"), wanted("MSFT", 0.01))
    (event,) = told(scene, EventKind.MISSED_CANDIDATE, Severity.WARN)
    assert (event.symbol, event.details["order"]) == ("AAPL", scene.venue.submitted[-1].client_order_id)
    assert "insufficient buying power" in event.details["cause"]


@pytest.mark.parametrize(("filled", "missed"), [(0, 1), (3, 0)])
def test_an_entry_that_ends_without_a_fill_is_missed_once(filled: int, missed: int) -> None:
    scene = Scene()
    enter(scene, "buy", wanted("AAPL"))
    name = scene.venue.submitted[-1].client_order_id
    if filled:
        scene.venue.fill(name, "100", Decimal(filled))
    order = scene.venue.book[name]
    scene.venue.book[name] = replace(order, status=OrderStatus.EXPIRED, updated_at=scene.venue.now)
    for slot in ("first", "second"):
        scene.later(60)
        exits(scene, slot)
    found = told(scene, EventKind.MISSED_CANDIDATE)
    assert [(event.symbol, event.details["cause"]) for event in found] == [("AAPL", "the order ended expired")] * missed
    assert not told(scene, EventKind.CLOSE_FAILED)


def test_refused_entries_are_told_once_a_pass_and_reason_with_their_count() -> None:
    scene = Scene()
    for slot in ("first", "second"):
        enter(scene, slot, wanted("AAPL"), wanted("MSFT", 0.01), wanted("JPM", 0.01), dry_run=slot == "second")
    refused = told(scene, EventKind.GATE_BLOCKED)
    assert [(event.subsystem, event.event_type, event.details) for event in refused] == [
        ("gate", "blocked", {"reason": "SCORE_BELOW_MIN", "gate": "score", "count": "2"})
    ]


def test_a_day_of_refusals_rotates_no_alarm_away(tmp_path: Path) -> None:
    path, scene = tmp_path / "events.jsonl", Scene()
    events = JsonlEvents(path, max_bytes=20_000, max_files=1)
    events.emit(EventKind.LEDGER_DAMAGED.at(NOW, {}))
    for number in range(20):
        enter(scene, f"open+{number}m", *(wanted(symbol, 0.01) for symbol in ("AAPL", "MSFT", "JPM")))
    for event in scene.events.emitted:
        events.emit(event)
    kinds = [event.event_type for event in last_events(path, 1_000)[0]]
    assert (kinds[0], kinds.count("blocked")) == ("damaged", 20)


def test_a_candidate_that_only_lacks_room_is_missed_once_until_it_has_room() -> None:
    scene = Scene(limits=limits(max_open_positions=1, max_new_entries=1))
    holding(scene)
    for slot in ("first", "second"):
        enter(scene, slot, wanted("MSFT"), wanted("JPM", 0.01))
        scene.later(60)
    (event,) = told(scene, EventKind.MISSED_CANDIDATE)
    assert event.severity is Severity.INFO, "a full book is no trouble"
    assert (event.symbol, event.details["cause"]) == ("MSFT", "refused only for lack of room: MAX_OPEN_POSITIONS")


def test_a_close_that_the_broker_refuses_is_told_and_the_third_one_loudly() -> None:
    scene = losing()
    scene.venue.script["AAPL"] = REJECTED
    for number in range(4):
        exits(scene, f"try {number}")
        scene.later(60)
    failed, loud = told(scene, EventKind.CLOSE_FAILED), told(scene, EventKind.ALL_CLOSES_FAILED)
    assert len({event.details["order"] for event in failed}) == 4
    assert [(event.symbol, event.details["attempts"]) for event in loud] == [("AAPL", "3")]


def test_a_close_that_stays_unfilled_is_told_once_for_each_order() -> None:
    scene = losing()
    exits(scene, "close")
    scene.later(179)
    exits(scene, "in time")
    assert not told(scene, EventKind.CLOSE_FAILED)
    for slot in ("too old", "still"):
        scene.later(1)
        exits(scene, slot)
    (event,) = told(scene, EventKind.CLOSE_FAILED)
    intent = scene.venue.submitted[-1]
    assert event.details == {
        "strategy": "flow",
        "cause": "it stayed unfilled for 180 s",
        "order": intent.client_order_id,
        "unfilled": f"{intent.quantity:f}",
    }


def protected() -> Scene:
    scene = Scene(exits=PROTECTING)
    enter(scene, "buy", wanted("AAPL"))
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(3600)
    exits(scene, "protect")
    scene.later(14_400)
    return scene


def test_an_exit_through_a_pair_is_one_close_and_its_stop_is_none() -> None:
    scene = protected()
    for slot in ("close", "in time", "too old", "still"):
        exits(scene, slot)
        scene.later(100)
    assert [intent.purpose for intent in scene.venue.replaced][:1] == [Purpose.CLOSE]
    assert len(told(scene, EventKind.CLOSE_FAILED)) == 1


def test_an_exit_that_is_canceled_because_the_stop_beside_it_filled_has_not_failed() -> None:
    scene = protected()
    exits(scene, "close")
    name = scene.venue.replaced[-1].client_order_id
    scene.venue.book[name] = replace(scene.venue.book[name], status=OrderStatus.CANCELED, updated_at=scene.venue.now)
    scene.later(60)
    exits(scene, "next")
    assert not told(scene, EventKind.CLOSE_FAILED)


def test_a_close_that_we_cancel_after_it_stayed_unfilled_is_not_told_again() -> None:
    scene = losing()
    exits(scene, "close")
    scene.later(180)
    scene.venue.script["AAPL"], scene.venue.refuses_only_replaces = REJECTED, True
    scene.price("AAPL", "96")
    exits(scene, "too old")
    assert scene.venue.cancelled
    scene.price("AAPL", "100")
    scene.later(60)
    exits(scene, "next")
    assert scene.venue.book[scene.venue.submitted[1].client_order_id].status is OrderStatus.CANCELED
    assert len(told(scene, EventKind.CLOSE_FAILED)) == 1


def test_a_close_that_ends_unfilled_by_itself_is_told() -> None:
    for status, failed in ((OrderStatus.EXPIRED, 1), (OrderStatus.CANCELED, 1), (OrderStatus.REPLACED, 0)):
        scene = losing()
        exits(scene, "close")
        name = scene.venue.submitted[-1].client_order_id
        scene.venue.book[name] = replace(scene.venue.book[name], status=status, updated_at=scene.venue.now)
        scene.price("AAPL", "100")
        scene.later(60)
        exits(scene, "next")
        assert len(told(scene, EventKind.CLOSE_FAILED)) == failed


def test_a_dry_run_tells_nothing() -> None:
    scene = Scene(limits=limits(max_open_positions=1, max_new_entries=1))
    holding(scene)
    enter(scene, "dry", wanted("MSFT"), wanted("AAPL", 0.7, Side.SELL), dry_run=True)
    assert not scene.events.emitted


class OldBars:
    """A source whose newest bar of each symbol ended at a given time."""

    def __init__(self, ended: Callable[[str], timedelta]) -> None:
        self._ended = ended

    def closed(self, need: BarNeed, symbols: object, until: object) -> Mapping[str, Series]:
        found = {}
        for symbol in ("AAPL", "MSFT"):
            series = Series(symbol, need.timeframe, need.adjusted)
            series.starts.append(int((NOW - self._ended(symbol) - timedelta(minutes=5)).timestamp()))
            for column in (series.open, series.high, series.low, series.close, series.volume):
                column.append(1.0)
            found[symbol] = series
        return found


@pytest.mark.parametrize(("age_s", "stale"), [(600, False), (601, True), (86_400, True)])
def test_bars_older_than_a_need_allows_are_told_once_and_the_symbol_is_left_out(age_s: int, stale: bool) -> None:
    scene = Scene()
    strategy = FixedStrategy()
    strategy.needs = Needs(bars=(BarNeed("5Min", 1, symbols=("AAPL", "MSFT"), max_age_s=600),))
    bars = OldBars(lambda symbol: timedelta(seconds=age_s if symbol == "AAPL" else 60))
    world: World = replace(scene.world(), strategies=[strategy], bars=bars)
    for slot in ("first", "second"):
        record = trade_once(world, call(slot=slot))
        left_out = [refusal.symbol for refusal in record.refused_strategies]
        assert left_out == (["AAPL"] if stale else [])
    # Nights don't count: half an hour of this session has passed.
    age = str(float(min(age_s, (NOW - SESSION.open).total_seconds())))
    found = [(event.symbol, event.details) for event in told(scene, EventKind.STALE_BARS)]
    assert found == [("AAPL", {"strategy": "flow", "age_s": age, "max_age_s": "600"})] * stale
