"""Fetching: what is due is asked, a failing endpoint costs only itself, a source that is down is left."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from tests.kit.core.scene import NAMES, Scene, call
from tests.kit.values import DAY, LIMITS, NOW
from tradebot.desk.fetching import MAX_FAILURES, FetchResult, fetch_flow, needed_facts
from tradebot.errors import AllowanceSpentError
from tradebot.exits.rules import parse
from tradebot.model.bar import ClockReading
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FlowPage, Intake
from tradebot.model.limits import StrategyRules
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.view import Needs, StrategyView, Want
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import World
from tradebot.signals.kinds import kind_of
from tradebot.signals.subjects.market import MARKET_TIDE_KIND, TideTick

POLL = {"flow_alerts": 240, "market_tide": 240, "iv_rank": 86_400}
TIDE = {"timestamp": NOW.isoformat(), "net_call_premium": 1, "net_put_premium": 2, "net_volume": 3}


def fresh(**changes: object) -> tuple[Scene, World]:
    scene = Scene()
    scene.facts.__init__()  # type: ignore[misc]
    world = scene.world(dry_run=bool(changes))
    needed = {kind_of(name): NAMES for name in POLL}
    return scene, replace(world, rules=replace(world.rules, poll_s=POLL), needed_facts=needed)


def ticks(scene: Scene, now: datetime) -> Sequence[TideTick]:
    return MARKET_TIDE_KIND.of(scene.facts.market(DAY, now)) or ()


def fetched(scene: Scene, world: World, *, only_due: bool = True) -> FetchResult:
    clocks = ClockReading(scene.venue.clock(), None, 0.0)
    return fetch_flow(world, call(Job.FETCH_FLOW), clocks, only_due=only_due)


def test_each_endpoint_is_asked_once_per_symbol_and_the_tide_once_in_all() -> None:
    scene, world = fresh()
    found = fetched(scene, world)
    assert scene.flow.asked.count(("market_tide", None)) == 1
    assert (found.calls, found.skipped, len(scene.flow.asked)) == (2 * len(NAMES) + 1, 0, 2 * len(NAMES) + 1)
    assert (found.session, found.quota and found.quota.used_today) == (DAY, found.calls)


def test_an_endpoint_is_asked_again_only_when_its_interval_has_passed() -> None:
    scene, world = fresh()
    fetched(scene, world)
    scene.venue.now += timedelta(seconds=239)
    assert fetched(scene, world).calls == 0
    scene.venue.now += timedelta(seconds=1)
    again = fetched(scene, world)
    assert (again.calls, again.skipped) == (len(NAMES) + 1, len(NAMES))
    assert fetched(scene, world, only_due=False).calls == 2 * len(NAMES) + 1


def test_an_answer_is_dated_by_its_arrival_and_due_again_by_the_start_of_its_fetch() -> None:
    scene, world = fresh()
    scene.ledger.claim_slot(Job.FETCH_FLOW, DAY, "open+1m", "test", NOW)
    later = NOW + timedelta(seconds=90)
    scene.flow.rows[("market_tide", None)] = [TIDE | {"timestamp": later.isoformat()}]
    found = fetched(scene, replace(world, stopwatch=lambda: 90.0))
    assert {intake.at for intake in found.intakes} == {later}
    assert (found.at, found.new, [intake.rejected for intake in found.intakes if intake.rejected]) == (NOW, 1, [])
    assert (scene.facts.market(DAY, NOW), len(ticks(scene, later))) == ({}, 1)
    scene.venue.now += timedelta(seconds=239)
    assert fetched(scene, world).calls == 0
    scene.venue.now += timedelta(seconds=1)
    assert fetched(scene, world).calls == len(NAMES) + 1


def test_a_source_that_says_when_it_answered_is_believed() -> None:
    scene, world = fresh()
    told = NOW + timedelta(minutes=7)
    fetch = scene.flow.fetch
    scene.flow.fetch = lambda *asked: replace(fetch(*asked), told_at=told)  # type: ignore[method-assign]
    assert {intake.at for intake in fetched(scene, replace(world, stopwatch=lambda: 90.0)).intakes} == {told}


def test_a_fetch_stores_good_rows_and_counts_bad_ones() -> None:
    scene, world = fresh()
    scene.flow.rows[("market_tide", None)] = [TIDE, TIDE, TIDE | {"net_put_premium": "NaN"}]
    found = fetched(scene, world)
    (intake,) = [i for i in found.intakes if i.endpoint == "market_tide"]
    assert (found.new, intake.duplicates, len(intake.rejected)) == (1, 1, 1)
    assert len(ticks(scene, NOW)) == 1


def test_a_failing_endpoint_is_reported_and_stops_no_other() -> None:
    scene, world = fresh()
    scene.flow.down = {"market_tide"}
    found = fetched(scene, world)
    assert [(f.endpoint, f.symbol) for f in found.failures] == [("market_tide", None)]
    assert (len(found.intakes), found.given_up) == (2 * len(NAMES), False)
    assert [event.event_type for event in scene.events.emitted] == ["fetch_failed"]


def test_a_source_that_fails_again_and_again_is_left_for_the_next_slot() -> None:
    scene, world = fresh()
    scene.flow.down = set(POLL)
    found = fetched(scene, world)
    assert (len(scene.flow.asked), found.given_up, found.calls) == (MAX_FAILURES + 1, True, MAX_FAILURES + 1)


def test_an_endpoint_that_fails_for_every_symbol_does_not_keep_the_others_from_being_asked() -> None:
    scene, world = fresh()
    assert len(NAMES) > MAX_FAILURES
    scene.flow.down = {"flow_alerts"}
    found = fetched(scene, world)
    assert [failure.endpoint for failure in found.failures] == ["flow_alerts"] * MAX_FAILURES
    assert found.given_up is False
    assert {name for name, _ in scene.flow.asked} == {kind.name for kind in world.needed_facts}


def test_a_source_whose_allowance_is_spent_is_asked_for_nothing_more() -> None:
    scene, world = fresh()

    def spent(kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        scene.flow.asked.append((kind.name, symbol))
        raise AllowanceSpentError("the day's allowance is used up")

    scene.flow.fetch = spent  # type: ignore[method-assign]
    found = fetched(scene, world)
    assert (len(scene.flow.asked), len(found.failures), found.given_up) == (1, 1, False)


def test_a_dry_run_asks_and_stores_nothing() -> None:
    scene, world = fresh(dry_run=True)
    scene.flow.rows[("market_tide", None)] = [TIDE]
    assert (fetched(scene, world).new, scene.facts.last_fetch("market_tide", None)) == (0, None)


class Reader:
    times = ""

    def __init__(self, name: str, *kinds: str) -> None:
        self.name = name
        self.needs = Needs(facts=frozenset(kinds))

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return ()


def needed(*strategies: Strategy, **universes: tuple[str, ...]) -> dict[str, Sequence[str]]:
    own = {name: StrategyRules(universe, LIMITS) for name, universe in universes.items()}
    rules = replace(Scene().world().rules, poll_s={"flow_alerts": 240, "dark_pool": 540}, own=own)
    return {kind.name: symbols for kind, symbols in needed_facts(strategies, rules).items()}


def test_a_kind_is_fetched_for_the_symbols_of_those_who_need_it() -> None:
    two = (Reader("one", "dark_pool"), Reader("two", "greek_exposure", "flow_alerts"))
    assert needed(*two, one=("AAPL", "MSFT"), two=("MSFT", "XOM")) == {
        "flow_alerts": ("AAPL", "MSFT", "XOM"),
        "dark_pool": ("AAPL", "MSFT"),
        "greek_exposure": ("MSFT", "XOM"),
    }


def test_a_kind_that_no_strategy_needs_is_not_fetched() -> None:
    assert needed() == needed(Reader("bars")) == {}
    scene, world = fresh()
    assert fetched(scene, replace(world, needed_facts={})).calls == 0


def test_what_the_exit_rules_of_a_strategy_read_is_fetched_for_its_symbols() -> None:
    rules = Scene().world().rules
    listed = parse([{"event_ahead": {"before_s": 3600}}, {"open_interest_gone": {"min_kept_fraction": 0.5}}])
    own = {"one": StrategyRules(("AAPL",), LIMITS), "two": StrategyRules(("MSFT",), LIMITS)}
    strategies = [Reader("one"), Reader("two", "iv_rank")]
    found = needed_facts(strategies, replace(rules, poll_s={}, own=own, own_exits={"one": listed}))
    assert {kind.name: symbols for kind, symbols in found.items()} == {
        "flow_alerts": ("AAPL", "MSFT"),
        "earnings": ("AAPL",),
        "fda_calendar": ("AAPL",),
        "iv_rank": ("MSFT",),
        "oi_change": ("AAPL",),
    }


def test_a_strategy_that_reads_any_kind_gets_alerts_too_and_an_unknown_kind_is_left_out() -> None:
    assert list(needed(Reader("one", "iv_rank", "tea_leaves"))) == ["flow_alerts", "iv_rank"]
    assert list(needed(Reader("one", "market_tide", "dark_pool"))) == ["flow_alerts", "dark_pool", "market_tide"]


def test_a_streamed_fact_is_as_old_as_its_arrival() -> None:
    for streamed, calls in ((False, len(NAMES)), (True, 0)):
        scene, world = fresh()
        world = replace(world, rules=replace(world.rules, streamed=streamed))
        scene.ledger.claim_slot(Job.FETCH_FLOW, DAY, "open+30m", "test", NOW)
        fetched(scene, world)
        for symbol in NAMES:
            scene.facts.store(Intake("flow_alerts", symbol, NOW + timedelta(seconds=200), 0, (), 0, 0, ()))
        scene.venue.now += timedelta(seconds=300)
        found = fetched(scene, world)
        assert [intake.endpoint for intake in found.intakes].count("flow_alerts") == calls


def test_alerts_are_fetched_once_a_stream_has_brought_nothing_for_their_interval() -> None:
    scene, world = fresh()
    world = replace(world, rules=replace(world.rules, streamed=True))
    fetched(scene, world)
    scene.venue.now += timedelta(seconds=POLL["flow_alerts"])
    found = fetched(scene, world)
    assert [intake.endpoint for intake in found.intakes].count("flow_alerts") == len(NAMES)
