"""Strategies with their own clocks: asked once in each slot, taken up again after a kill, and missed only once."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec import Struct

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.core.venue import FixedStrategy, opening
from tests.kit.values import DAY, NOW, SESSION, VENUE_DAY, Killed
from tradebot.desk.proposals import Proposals, propose
from tradebot.desk.strategy_slots import FIRST_SEEN, finish
from tradebot.model.bar import Session, StrategySlot
from tradebot.model.candidate import Submitted
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.intent import Intent
from tradebot.model.limits import StrategyRules
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.trading import SlotClaim, TradingState, TradingStateRecord
from tradebot.model.view import NOTHING, BarNeed, Needs, Open, StrategyView, Target
from tradebot.ports.strategy import Strategy
from tradebot.strategies.external_candidates import SubmittedStrategy
from tradebot.timetable import job_times

ENTRIES = job_times.parse("every 5m from open until close-15m", VENUE_DAY)
FRIDAY = date(2026, 11, 13)


class Clocked(FixedStrategy):
    def __init__(self, times: str, *symbols: str, name: str = "flow") -> None:
        super().__init__(*map(wanted, symbols or ("AAPL",)))
        self.name, self.times = name, times
        self.asked: list[str] = []

    def propose(self, view: StrategyView) -> Sequence[Open]:
        self.asked.append(view.slot)
        return [opening(candidate) for candidate in self.candidates]


class Ending:
    """A ledger whose process is killed when the end of a slot is to be written."""

    def __init__(self, scene: Scene) -> None:
        self._claim = scene.ledger.claim_slot

    def __call__(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        if job.endswith("ended"):
            raise Killed
        return self._claim(job, session, slot, by, at)


def a_scene(seen: timedelta = timedelta(minutes=30)) -> Scene:
    """Return a scene whose calendar knows the sessions around today's; the strategy was first seen so long ago."""
    scene = Scene()
    days = [DAY + timedelta(days=number) for number in range(-45, 20)]
    shifted = [(day, day - DAY) for day in days if day.weekday() < 5]
    scene.ledger.put_sessions(Session(day, SESSION.open + by, SESSION.close + by) for day, by in shifted)
    scene.ledger.claim_slot("strategy flow", FIRST_SEEN, "first seen", "test", NOW - seen)
    return scene


def asked(scene: Scene, *strategies: Strategy, dry_run: bool = False, times: str = "") -> Proposals:
    world = replace(scene.world(dry_run=dry_run), strategies=strategies)
    own = {"flow": StrategyRules(world.rules.universe, world.rules.limits, times=times)} if times else {}
    world = replace(world, rules=replace(world.rules, own=own))
    return propose(world, scene.venue.now, None if dry_run else ENTRIES)


def entries(scene: Scene, *strategies: Strategy, slot: str | None = None) -> CycleRecord:
    name = slot or f"at {scene.venue.now:%H:%M}"
    return trade_once(scene.world(), call(slot=name), asked(scene, *strategies))


def later(scene: Scene, minutes: int) -> None:
    scene.later(60 * minutes)


def tomorrow(scene: Scene) -> None:
    scene.venue.now += timedelta(days=1)
    day = timedelta(days=1)
    scene.venue.session = Session(DAY + day, SESSION.open + day, SESSION.close + day)
    later(scene, 0)


def sent(scene: Scene) -> list[str]:
    return [intent.instrument.symbol for intent in scene.venue.submitted]


def own_claims(scene: Scene, day: date = DAY) -> list[tuple[str, str]]:
    return [(claim.job, claim.slot) for claim in scene.ledger.slot_claims(day)]


def told(record: CycleRecord) -> list[tuple[str, Reason | None, object, object]]:
    return [(r.slot, r.decision.reason, r.decision.observed, r.decision.limit) for r in record.refused_strategies]


def test_a_strategy_is_asked_once_in_each_of_its_slots_and_says_when_it_waits() -> None:
    scene, strategy = a_scene(), Clocked("at open+25m, at open+45m")
    first = entries(scene, strategy)
    (record,) = first.candidates
    assert (record.candidate.slot, record.candidate.slot_session) == ("open+25m", DAY)
    assert (strategy.asked, sent(scene), first.waiting) == (["open+25m"], ["AAPL"], ())
    assert own_claims(scene) == [("strategy flow", "open+25m"), ("strategy flow ended", "open+25m")]
    later(scene, 5)
    second = entries(scene, strategy)
    assert (strategy.asked, second.candidates, second.refused_strategies) == (["open+25m"], (), ())
    (waiting,) = second.waiting
    assert waiting.next is not None
    assert (waiting.strategy, waiting.next.name, waiting.next.start) == (
        "flow",
        "open+45m",
        NOW + timedelta(minutes=15),
    )
    later(scene, 10)
    entries(scene, strategy)
    assert strategy.asked == ["open+25m", "open+45m"]


def test_after_a_restart_a_slot_that_is_done_is_not_repeated() -> None:
    scene = a_scene()
    entries(scene, Clocked("at open+25m"))
    again = Clocked("at open+25m", "MSFT")
    assert entries(scene, again, slot="another").candidates == ()
    assert (again.asked, sent(scene)) == ([], ["AAPL"])


@pytest.mark.parametrize("moment", ["before the order", "with the order sent", "before the slot is done"])
def test_a_slot_that_was_cut_short_is_taken_up_by_the_next_pass_and_sends_each_order_once(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, strategy = a_scene(), Clocked("at open+25m", "AAPL", "MSFT")

    def killed(intent: Intent) -> None:
        if moment == "before the order" or intent.instrument.symbol == "MSFT":
            raise Killed

    with monkeypatch.context() as patch, suppress(Killed):
        if moment == "before the slot is done":
            patch.setattr(scene.ledger, "claim_slot", Ending(scene))
        else:
            patch.setattr(scene.venue, "before_submit", killed)
        entries(scene, strategy)
    assert own_claims(scene) == [("strategy flow", "open+25m")]
    promised = {record.intent.client_order_id for record in scene.ledger.intents()}
    later(scene, 5)
    entries(scene, strategy)
    assert strategy.asked == ["open+25m", "open+25m"]
    ids = [intent.client_order_id for intent in scene.venue.submitted]
    assert len(ids) == len(set(ids))
    # What may have gone out is looked up, never sent again under any id.
    assert promised <= {record.intent.client_order_id for record in scene.ledger.intents()}
    assert len({record.intent.key.symbol for record in scene.ledger.intents()}) == len(scene.ledger.intents())
    assert own_claims(scene)[-1] == ("strategy flow ended", "open+25m")
    later(scene, 5)
    entries(scene, strategy)
    assert len(strategy.asked) == 2


def test_a_pass_that_asked_while_another_one_did_the_slot_sends_nothing_for_it() -> None:
    scene, strategy = a_scene(), Clocked("at open+25m", "AAPL", "MSFT")
    slower = asked(scene, strategy)
    entries(scene, strategy)
    record = trade_once(scene.world(), call(slot="slower"), slower)
    assert (record.candidates, sent(scene)) == ((), ["AAPL", "MSFT"])
    assert [(refusal.slot, refusal.decision.reason) for refusal in record.refused_strategies] == [
        ("open+25m", Reason.SLOT_TAKEN)
    ]


def test_a_slot_that_nobody_took_is_recorded_as_missed_once() -> None:
    scene, strategy = a_scene(), Clocked("at open+10m for 10m, at open+35m")
    record = entries(scene, strategy)
    assert told(record)[0] == ("open+10m", Reason.SLOT_MISSED, 1200, 600)
    (event,) = [event for event in scene.events.emitted if event.event_type == "slot_missed"][-1:]
    assert event.details == {"strategy": "flow", "slot": "open+10m", "session": "2026-11-16"}
    later(scene, 2)
    assert entries(scene, strategy).refused_strategies == ()
    assert ("strategy flow ended", "open+10m") in own_claims(scene)
    assert (strategy.asked, sent(scene)) == ([], [])


def test_only_one_of_two_passes_records_a_missed_slot_even_if_it_gives_way_to_exits() -> None:
    scene, strategy = a_scene(), Clocked("at open+10m for 10m")
    first, second = asked(scene, strategy), asked(scene, strategy)
    for _ in range(2):
        assert len(trade_once(scene.world(), call(), first).refused_strategies) == 1
    other = replace(call(slot="other"), by="another")
    assert trade_once(scene.world(), other, second).refused_strategies == ()


def test_a_slot_whose_deadline_passes_before_its_candidates_are_judged_is_missed() -> None:
    scene, strategy = a_scene(), Clocked("at open+25m for 10m")
    proposed = asked(scene, strategy)
    later(scene, 5)
    record = trade_once(scene.world(), call(), proposed)
    assert (record.candidates, sent(scene)) == ((), [])
    assert told(record) == [("open+25m", Reason.SLOT_MISSED, 600, 600)]


def test_after_a_long_outage_the_latest_missed_slots_are_recorded_oldest_first() -> None:
    scene, strategy = a_scene(timedelta(days=30)), Clocked("every 5m")
    record = entries(scene, strategy)
    assert len(told(record)) == 20
    ages = [decision.observed for decision in (refusal.decision for refusal in record.refused_strategies)]
    assert ages == sorted(ages, key=lambda age: -int(str(age)))
    assert ages[-1] == 300
    later(scene, 5)
    assert entries(scene, strategy).refused_strategies == ()
    assert strategy.asked == ["open+30m", "open+35m"]


def test_a_new_strategy_has_missed_nothing_before_it_was_first_seen() -> None:
    scene, strategy = a_scene(), Clocked("at open+10m for 10m, at open+40m for 5m", name="new")
    assert entries(scene, strategy).refused_strategies == ()
    later(scene, 20)
    assert [row[:2] for row in told(entries(scene, strategy))] == [("open+40m", Reason.SLOT_MISSED)]


def test_a_slot_that_ends_before_it_is_done_is_recorded_as_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, strategy = a_scene(), Clocked("at open+25m for 10m")
    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(scene.ledger, "claim_slot", Ending(scene))
        entries(scene, strategy)
    later(scene, 5)
    assert told(entries(scene, strategy))[-1] == ("open+25m", Reason.SLOT_UNFINISHED, 600, 600)


class Targeting(Struct):
    shares: int
    name: str = "flow"
    needs: Needs = NOTHING
    times: str = "at open+25m for 10m"

    def propose(self, view: StrategyView) -> Sequence[Target]:
        return [Target("AAPL", quantity=Decimal(self.shares))]


@pytest.mark.parametrize(
    ("shares", "fills", "reasons"),
    [
        (20, True, []),
        (20, False, [Reason.SLOT_UNFINISHED]),
        (5000, True, [Reason.SLOT_UNFINISHED]),
    ],
    ids=["filled", "not filled", "cut by a limit"],
)
def test_a_slot_with_one_pass_is_done_if_its_orders_fill_and_reach_the_targets(
    shares: int, fills: bool, reasons: list[Reason]
) -> None:
    scene, strategy = a_scene(), Targeting(shares)
    entries(scene, strategy)
    if fills:
        scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    later(scene, 10)
    assert [row[1] for row in told(entries(scene, strategy))] == reasons
    assert ("strategy flow ended", "open+25m") in own_claims(scene)
    assert told(entries(scene, strategy)) == []


def test_in_shadow_a_slot_is_done_once_what_it_wants_would_have_been_sent() -> None:
    scene, strategy = a_scene(), Targeting(20)
    world = replace(scene.world(), orders=None, shadow=True)
    record = trade_once(world, call(), asked(scene, strategy))
    assert [each.terminal.reason for each in record.candidates if each.terminal] == [Reason.SHADOW]
    later(scene, 10)
    assert told(entries(scene, strategy)) == []
    assert sent(scene) == []


def test_a_position_that_crosses_over_is_not_done_when_its_first_half_is_closed() -> None:
    scene = a_scene()
    entries(scene, Targeting(20))
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    later(scene, 10)
    crossing = Targeting(-20, times="at open+25m for 10m, at open+40m for 5m")
    entries(scene, crossing)
    scene.venue.fill(scene.venue.submitted[1].client_order_id, "100")
    later(scene, 10)
    assert told(entries(scene, crossing))[0][:2] == ("open+40m", Reason.SLOT_UNFINISHED)


def test_entries_that_are_closed_altogether_leave_the_slot_to_the_next_pass() -> None:
    scene, strategy = a_scene(), Clocked("at open+25m")
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "lunch", NOW))
    assert entries(scene, strategy).candidates[0].terminal is not None
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "back", NOW))
    later(scene, 5)
    entries(scene, strategy)
    assert (strategy.asked, sent(scene)) == (["open+25m"] * 2, ["AAPL"])
    later(scene, 5)
    entries(scene, strategy)
    assert len(strategy.asked) == 2


def test_a_candidate_that_a_gate_of_its_own_refuses_is_judged_once() -> None:
    scene, strategy = a_scene(), Clocked("at open+25m", "ZZZZ")
    scene.universe = ("AAPL", "ZZZZ")
    assert entries(scene, strategy).candidates[0].terminal is not None
    later(scene, 5)
    assert len(entries(scene, strategy).waiting) == 1


def test_a_bad_answer_leaves_the_slot_to_the_next_pass() -> None:
    scene = a_scene()

    class Failing(Clocked):
        def propose(self, view: StrategyView) -> Sequence[Open] | Decision:  # type: ignore[override]
            wants = super().propose(view)
            failed = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, "KeyError: 'x'")
            return wants if len(self.asked) > 1 else failed

    strategy = Failing("at open+25m")
    assert entries(scene, strategy).refused_strategies[0].decision.reason is Reason.STRATEGY_FAILED
    assert own_claims(scene) == []
    later(scene, 5)
    entries(scene, strategy)
    assert sent(scene) == ["AAPL"]


def test_a_dry_run_asks_everyone_and_claims_nothing() -> None:
    scene, strategy = a_scene(), Clocked("at close-20m")
    proposed = asked(scene, strategy, dry_run=True)
    assert (strategy.asked, len(proposed.candidates)) == ([""], 1)
    trade_once(scene.world(dry_run=True), call(), proposed)
    assert own_claims(scene) == []


def test_a_strategy_without_times_is_asked_in_every_pass_and_claims_nothing() -> None:
    scene, strategy = a_scene(), Clocked("")
    for _ in range(3):
        entries(scene, strategy)
        later(scene, 5)
    assert (strategy.asked, own_claims(scene)) == (["", "", ""], [])
    assert scene.venue.submitted[0].key.slot == "at 15:00"


@pytest.mark.parametrize(
    ("times", "said"),
    [("at noon", "its times: 'at noon' is not a time"), ("every 1m", "its times: every 1m: the slot")],
)
def test_times_that_cannot_be_used_refuse_the_strategy_and_say_why(times: str, said: str) -> None:
    scene, strategy = a_scene(), Clocked(times)
    (refusal,) = entries(scene, strategy).refused_strategies
    assert (strategy.asked, refusal.decision.reason) == ([], Reason.STRATEGY_INVALID)
    assert str(refusal.decision.observed).startswith(said)


def test_the_configuration_decides_when_a_strategy_is_asked() -> None:
    scene, strategy = a_scene(), Clocked("at close-20m")
    asked(scene, strategy, times="at open+25m")
    assert strategy.asked == ["open+25m"]


def test_candidates_that_others_submit_follow_no_clock() -> None:
    scene = a_scene()
    submitted = Submitted("AAPL", wanted("AAPL").side, 0.5, "mine", "flow", 0.9, NOW)
    proposed = asked(scene, SubmittedStrategy("flow", [submitted], scene.limits), times="at close-20m")
    assert [candidate.slot_session for candidate in proposed.candidates] == [None]


def test_a_target_keeps_its_slot_open_until_it_is_reached() -> None:
    class Rebalancing(Clocked):
        def propose(self, view: StrategyView) -> Sequence[Target]:  # type: ignore[override]
            self.asked.append(view.slot)
            return [Target("AAPL", weight=Decimal("0.5"))]

    scene, strategy = a_scene(), Rebalancing("at open+25m")
    entries(scene, strategy)
    later(scene, 5)
    (slot,) = asked(scene, strategy).own.asked
    finish(scene.world(), call(), slot, scene.venue.now)
    assert asked(scene, strategy).own.asked == ()
    assert strategy.asked == ["open+25m", "open+25m"]


def test_each_pass_of_a_slot_sees_the_bars_that_were_closed_at_its_start() -> None:
    class Bars:
        def __init__(self) -> None:
            self.until: list[datetime] = []

        def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
            self.until.append(until)
            return {}

    class WithBars(Clocked):
        needs = Needs(bars=(BarNeed("1Day", 5),))

    scene, bars = a_scene(), Bars()
    for strategy in (WithBars("at open+25m"), WithBars("")):
        world = replace(scene.world(), strategies=[strategy], bars=bars)
        propose(world, NOW, ENTRIES)
    assert bars.until == [SESSION.open + timedelta(minutes=25), NOW]


def test_a_strategy_whose_needs_are_met_for_no_symbol_gets_another_chance() -> None:
    class WithBars(Clocked):
        needs = Needs(bars=(BarNeed("1Day", 5),))

        def propose(self, view: StrategyView) -> Sequence[Open]:
            self.asked.append(view.slot)
            return []

    scene, strategy = a_scene(), WithBars("at open+25m")
    for _ in range(2):
        entries(scene, strategy)
        later(scene, 5)
    assert strategy.asked == ["open+25m", "open+25m"]


def test_an_order_of_a_slot_that_lasts_for_sessions_is_not_sent_again_on_the_next_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene, strategy = a_scene(), Clocked("first session of week at open+25m for 3 sessions")
    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(scene.ledger, "claim_slot", Ending(scene))
        entries(scene, strategy)
    (first,) = scene.venue.submitted
    scene.venue.book.clear()
    tomorrow(scene)
    world = replace(scene.world(), strategies=[strategy])
    tuesday = replace(call(slot="tuesday"), session=DAY + timedelta(days=1))
    record = trade_once(world, tuesday, propose(world, scene.venue.now, ENTRIES))
    assert strategy.asked == ["first session of week open+25m"] * 2
    (again,) = record.candidates
    assert again.terminal is not None
    assert sent(scene) == ["AAPL"]
    assert (first.key.session, first.session, first.sent_in) == (DAY, DAY, None)
    slot = StrategySlot("flow", DAY, "first session of week open+25m", NOW, NOW)
    assert ("strategy flow ended", slot.name) in own_claims(scene)


def test_the_first_pass_of_a_week_finds_the_slot_of_its_first_session() -> None:
    scene = a_scene()
    monday = asked(scene, Clocked("first session of week at open+25m")).own.asked
    friday = asked(scene, Clocked("last session of week at open+25m")).own.waiting
    assert [slot.session for slot in monday] == [DAY]
    assert [waiting.next.session for waiting in friday if waiting.next] == [FRIDAY + timedelta(days=7)]
    assert Job.TRADE_ONCE not in {claim.job for claim in scene.ledger.slot_claims(DAY)}
