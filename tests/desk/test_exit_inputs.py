"""A pass keeps the best and the worst price of each position, for longs and shorts alike, in one write."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import stdev
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, evaluate_exits
from tests.kit.signals.source_rows import GOOD, asked
from tests.kit.values import ACCOUNT, DAY, NOW, SESSION, VENUE_DAY, ago, candidate, fill
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.desk import exit_inputs
from tradebot.desk.exit_inputs import LEAST_CHANGES, kept_open, kinds_read, option_symbol, score_noise, watch_positions
from tradebot.desk.snapshot import take_desk
from tradebot.exits.exit_rule import Measure, PriceRule, StopLevel, WatchedPosition
from tradebot.exits.rules import parse
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FlowAlert, FlowWindow, Intake
from tradebot.model.instrument import Right
from tradebot.model.position import ExitInputs, Key, Marks
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job, Scored
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World
from tradebot.signals.subjects.alerts import OptionsVolume
from tradebot.signals.subjects.calendars import EVENT_READS
from tradebot.signals.subjects.market import REGIME_READS
from tradebot.signals.subjects.open_interest import OiChange

EVERYTHING = frozenset(ExitInputs.__struct_fields__)
WINDOW = FlowWindow(timedelta(minutes=30), {"min_premium": 50_000, "max_dte": 45}, 0.5, 5)
YESTERDAY = DAY - timedelta(days=3)
"""The trading day before a Monday."""


class Looking(PriceRule):
    """A rule that closes nothing and reads all there is."""

    reason = Reason.STOP_LOSS
    column = "looks"
    reads: ClassVar[frozenset[str]] = EVERYTHING

    def measure(self, held: WatchedPosition, price: Decimal) -> Measure:
        return Measure(False, price, price)

    def level(self, held: WatchedPosition) -> StopLevel:
        return StopLevel(self.reason, None, None)


def holding_since(side: Side = Side.BUY, since: datetime = NOW) -> Scene:
    """Return a bot that holds ten shares bought or sold at 100."""
    scene = Scene()
    owned = fill(1, side=side, at=since)
    scene.ledger.apply_fills([owned], since)
    scene.venue.held["AAPL"] = owned.fill.signed_quantity
    return scene


def looks(scene: Scene, rule: PriceRule | None = None) -> ExitInputs:
    """Return what a pass of exits knows about AAPL, if one rule of flow's list reads everything."""
    world = reading(scene, rule or Looking())
    (held,) = exit_inputs.watch_positions(world, take_desk(world, for_entries=False, evaluates_exits=True)).values()
    return held.outlook


def reading(scene: Scene, *rules: PriceRule) -> World:
    world = scene.world()
    return replace(world, rules=replace(world.rules, own_exits={"flow": rules}, flow=WINDOW))


def scored(scene: Scene, minute: int, score: float) -> None:
    """Record a pass of entries that gave AAPL a score."""
    at, record = ago(0) + timedelta(minutes=minute), CandidateRecord(candidate(score=score), ())
    scene.facts.record(CycleRecord(f"c{minute}", Job.TRADE_ONCE, DAY, f"{minute}", at, "sandbox", (record,)))


def alert(identity: str, at: datetime, *, calls: bool = True, premium: int = 1_500_000, volume: int = 100) -> FlowAlert:
    right, ask = Right.CALL if calls else Right.PUT, Decimal(premium)
    expiry, strike = DAY + timedelta(days=10), Decimal("187.5")
    return FlowAlert(identity, "AAPL", at, right, strike, expiry, ask, ask, Decimal(0), volume, 50, True, False, False)


def fetched(scene: Scene, *alerts: FlowAlert, at: datetime) -> None:
    scene.facts.store(Intake("flow_alerts", "AAPL", at, len(alerts), alerts, 0, 0, ()))


def usual(scene: Scene, premium: int = 3_000_000, sessions: int = 5) -> None:
    """Store what AAPL's options traded in the sessions before; flow is measured against half of it."""
    days = [DAY - timedelta(days=1 + number) for number in range(sessions)]
    half = Decimal(premium) / 2
    rows = tuple(OptionsVolume(day.isoformat(), "AAPL", day, half, half, True) for day in days)
    scene.facts.store(Intake("options_volume", "AAPL", ago(600), sessions, rows, 0, 0, ()))


def test_an_outlook_is_empty_when_nothing_is_stored() -> None:
    scene = holding_since()
    assert looks(scene) == ExitInputs(movement=Decimal("0.0002"))
    world = replace(reading(scene, Looking()), rules=replace(scene.world().rules, own_exits={"flow": (Looking(),)}))
    (held,) = exit_inputs.watch_positions(world, take_desk(world, for_entries=False, evaluates_exits=True)).values()
    assert held.outlook.flow is None, "without the flow strategy nobody says which alerts count"


class Asked(MemoryFacts):
    """Facts that note what they are asked."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in {"scores", "marks", "stored", "load"}:
            self.questions.append(name)
        return super().__getattribute__(name)


class OnlyScores(Looking):
    reads: ClassVar[frozenset[str]] = frozenset({"scores", "noise"})


@pytest.mark.parametrize(
    ("rules", "questions"),
    [
        ((), ["marks"]),
        ((OnlyScores(),), ["marks", "scores"]),
        ((Looking(),), ["load", "marks", "marks", "scores", "stored", "stored"]),
    ],
)
def test_each_store_is_asked_once_for_all_positions_and_only_for_what_a_rule_reads(
    rules: tuple[PriceRule, ...], questions: list[str]
) -> None:
    scene = Scene(facts=Asked())
    for number, symbol in enumerate(("AAPL", "MSFT", "JPM")):
        scene.ledger.apply_fills([fill(number, symbol)], NOW)
        scene.venue.held[symbol] = Decimal(10)
    world = scene.world()
    if rules:
        world = reading(scene, *rules)
    evaluate_exits(world, call(Job.EVALUATE_EXITS))
    assert isinstance(scene.facts, Asked)
    # Each pass compares prices with those of the last one, so it asks for these marks whatever the rules read.
    assert sorted(scene.facts.questions) == questions


def test_scores_are_those_since_the_entry_and_their_noise_is_of_all_that_are_kept() -> None:
    scene = holding_since(since=ago(600))
    scores = (0.5, 0.4, 0.6, 0.5, 0.1, 0.2, 0.3)
    for number, score in enumerate(scores):
        scored(scene, 5 * (number - len(scores) + 1), score)
    found = looks(scene)
    assert found.scores == (0.1, 0.2, 0.3)
    changes = [after - before for before, after in pairwise(scores)]
    assert found.noise == pytest.approx(stdev(changes))


SCORES = st.lists(st.floats(-1, 1, allow_nan=False), min_size=2, max_size=20)


def at_minutes(scores: list[float], start: datetime = NOW) -> list[Scored]:
    return [Scored(start + timedelta(minutes=5 * number), score) for number, score in enumerate(scores)]


@given(scores=SCORES, shift=st.floats(-1, 1, allow_nan=False))
def test_noise_is_the_same_for_mirrored_and_for_shifted_scores(scores: list[float], shift: float) -> None:
    found = score_noise(at_minutes(scores), VENUE_DAY)
    assert (found is None) is (len(scores) <= LEAST_CHANGES)
    if found is not None:
        assert score_noise(at_minutes([-score for score in scores]), VENUE_DAY) == pytest.approx(found, abs=1e-9)
        assert score_noise(at_minutes([score + shift for score in scores]), VENUE_DAY) == pytest.approx(found, abs=1e-9)


@given(scores=SCORES, other=st.floats(-1, 1, allow_nan=False))
def test_a_change_overnight_does_not_count_as_noise(scores: list[float], other: float) -> None:
    day = at_minutes(scores)
    assert score_noise([Scored(NOW - timedelta(days=1), other), *day], VENUE_DAY) == score_noise(day, VENUE_DAY)


def test_flow_is_the_direction_of_the_alerts_that_count_if_they_were_asked_for_of_late() -> None:
    scene = holding_since()
    usual(scene)
    old, small = alert("1", ago(1900)), alert("2", ago(60), premium=49_999)
    fetched(scene, old, small, alert("3", ago(60), calls=False), at=ago(30))
    assert looks(scene).flow == pytest.approx(-0.5)
    scene.venue.now += timedelta(minutes=31)
    assert looks(scene).flow is None, "the last reply is older than what counts"


def test_flow_without_a_usual_premium_to_measure_it_against_is_unknown() -> None:
    scene = holding_since()
    usual(scene, sessions=4)
    fetched(scene, alert("3", ago(60)), at=ago(30))
    assert looks(scene).flow is None


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "103"), (Side.SELL, "97")])
def test_momentum_is_the_return_since_an_hour_ago_and_movement_spans_all_that_was_seen(side: Side, price: str) -> None:
    scene = holding_since(side, ago(7000))
    scene.venue.now = SESSION.open + timedelta(minutes=1)
    for minutes, seen in ((0, "98"), (10, price), (40, "100")):
        scene.venue.now += timedelta(minutes=minutes)
        scene.later(0)
        scene.price("AAPL", seen)
        evaluate_exits(reading(scene, Looking()), call(Job.EVALUATE_EXITS, f"open+{minutes}m"))
    scene.later(600)
    found = looks(scene)
    assert found.momentum == Decimal(100) / Decimal(98) - 1
    best_and_worst = {Decimal(98), Decimal(price), Decimal(100)}
    assert found.movement == (max(best_and_worst) - min(best_and_worst)) / 100
    scene.later(4800)
    assert looks(scene).momentum is None, "no pass looked at the price an hour ago"


def oi(alerted: FlowAlert, day: date, change: int) -> OiChange:
    contract = option_symbol(alerted)
    return OiChange(f"{day}/{contract}", "AAPL", day, contract, alerted.right, change)


@pytest.mark.parametrize(("change", "kept"), [(250, "1"), (100, "1"), (30, "0.3"), (0, "0"), (-40, "0")], ids=str)
def test_open_interest_kept_is_the_part_of_the_entrys_contracts_that_opened_a_position(change: int, kept: str) -> None:
    entered = datetime(YESTERDAY.year, YESTERDAY.month, YESTERDAY.day, 16, tzinfo=NOW.tzinfo)
    scene = holding_since(since=entered)
    bought, later = alert("1", entered - timedelta(minutes=5)), alert("2", entered + timedelta(minutes=5), volume=9_999)
    sold = replace(alert("3", entered - timedelta(minutes=5), calls=False, volume=700), strike=Decimal(150))
    fetched(scene, bought, later, sold, at=entered + timedelta(minutes=6))
    assert looks(scene).open_interest_kept is None, "the next morning hasn't come"
    changes = (oi(bought, DAY, change), oi(sold, DAY, 700), oi(bought, YESTERDAY, 9))
    scene.facts.store(Intake("oi_change", "AAPL", ago(60), 3, changes, 0, 0, ()))
    assert looks(scene).open_interest_kept == Decimal(kept)


@given(volume=st.integers(1, 10_000), change=st.integers(-10_000, 10_000))
def test_a_short_reads_puts_as_a_long_reads_calls(volume: int, change: int) -> None:
    shares = []
    for direction, calls in ((1, True), (-1, False)):
        one = alert("1", NOW, calls=calls, volume=volume)
        shares.append(kept_open([one], [oi(one, DAY + timedelta(days=1), change)], DAY, direction))
        assert kept_open([one], [oi(one, DAY + timedelta(days=1), change)], DAY, -direction) is None
    assert shares[0] == shares[1]
    assert shares[0] is not None
    assert 0 <= shares[0] <= 1


def told(scene: Scene, name: str, *rows: object) -> None:
    """Store what a reply says about AAPL or about the market."""
    scene.facts.store(asked(name, *rows, at=ago(60)))


def test_the_regime_is_read_from_what_is_stored_of_the_market_and_unknown_if_part_of_it_is() -> None:
    scene = holding_since()
    for kind in REGIME_READS:
        assert looks(scene).regime is None
        told(scene, kind.name, GOOD[kind.name])
    assert looks(scene).regime == "mixed"
    told(scene, "market_breadth", {**GOOD["market_breadth"], "close": "200"})
    assert looks(scene).regime == "low_vol_uptrend"


def test_the_next_event_is_read_from_what_is_stored_of_the_calendars() -> None:
    scene = holding_since()
    assert looks(scene).event_at is None
    told(scene, "fda_calendar", {**GOOD["fda_calendar"], "ticker": "MSFT"})
    assert looks(scene).event_at is None, "that is another company's"
    told(scene, "earnings", GOOD["earnings"])
    assert looks(scene).event_at == datetime(2026, 11, 19, 21, tzinfo=NOW.tzinfo)


@pytest.mark.parametrize(
    ("rule", "kinds"),
    [
        ({"regime": {"longs": [], "shorts": ["mixed"], "loss_fraction": 0.005}}, REGIME_READS),
        ({"event_ahead": {"before_s": 86_400}}, EVENT_READS),
        ({"stop_loss": {"fraction": 0.02}}, ()),
    ],
)
def test_the_kinds_that_exit_rules_read_are_named(rule: object, kinds: Sequence[AnyKind]) -> None:
    assert kinds_read(parse([rule])) == {kind.name for kind in kinds}


CLOSING = {
    Reason.REGIME: {"regime": {"longs": ["mixed"], "shorts": [], "loss_fraction": 0.005}},
    Reason.EVENT_AHEAD: {"event_ahead": {"before_s": 4 * 86_400}},
}


@pytest.mark.parametrize("reason", CLOSING)
def test_a_rule_closes_by_stored_facts_and_cannot_tell_without_them(reason: Reason) -> None:
    scene = holding_since()
    scene.price("AAPL", "99")
    world = replace(scene.world(), rules=replace(scene.world().rules, own_exits={"flow": parse([CLOSING[reason]])}))
    assert judged(evaluate_exits(world, call(Job.EVALUATE_EXITS, "open+1m"))) == [Reason.EXIT_INPUT_MISSING]
    for name, row in GOOD.items():
        told(scene, name, row)
    assert judged(evaluate_exits(world, call(Job.EVALUATE_EXITS, "open+2m"))) == [reason]


def judged(record: CycleRecord) -> list[Reason | None]:
    """Return the reason of each exit rule's decision."""
    return [each.reason for found in record.candidates for each in found.decisions if each.gate is Gate.EXIT]


PRICES = st.lists(st.integers(9_850, 10_150).map(lambda cents: Decimal(cents) / 100), min_size=1, max_size=8)


def holding(side: Side = Side.BUY, *symbols: str) -> Scene:
    scene = Scene()
    for number, symbol in enumerate(symbols or ("AAPL",)):
        owned = fill(number, symbol, side, at=NOW)
        scene.ledger.apply_fills([owned], NOW)
        scene.venue.held[symbol] = owned.fill.signed_quantity
    return scene


def marks(scene: Scene) -> Marks:
    world = scene.world()
    (held,) = watch_positions(world, take_desk(world, for_entries=False)).values()
    stored = scene.ledger.entry_terms([held.position.key])[held.position.key]
    assert (stored.best, stored.worst) == (held.best, held.kept.worst)
    return Marks(held.best, held.kept.worst)


@given(prices=PRICES, side=st.sampled_from(Side))
def test_the_marks_are_the_extremes_of_the_entry_and_of_all_prices_seen(prices: list[Decimal], side: Side) -> None:
    scene, seen = holding(side), [Decimal(100)]
    for price in prices:
        scene.price("AAPL", str(price))
        seen.append(price)
        best, worst = (max(seen), min(seen)) if side is Side.BUY else (min(seen), max(seen))
        assert marks(scene) == Marks(best, worst)


@given(prices=PRICES)
def test_a_short_on_mirrored_prices_has_mirrored_marks(prices: list[Decimal]) -> None:
    long, short = holding(Side.BUY), holding(Side.SELL)
    for price in prices:
        long.price("AAPL", str(price))
        short.price("AAPL", str(200 - price))
        one, other = marks(long), marks(short)
        assert one.worst is not None
        assert other == Marks(200 - one.best, 200 - one.worst)


class Counting(MemoryLedger):
    def __init__(self) -> None:
        super().__init__(ACCOUNT)
        self.written: list[Mapping[Key, Marks]] = []

    def put_marks(self, marks: Mapping[Key, Marks]) -> None:
        self.written.append(marks)
        super().put_marks(marks)


def test_all_marks_of_a_pass_are_one_write_and_those_that_did_not_move_are_none() -> None:
    scene = holding(Side.BUY, "AAPL", "MSFT", "JPM")
    ledger = Counting()
    ledger.__dict__.update(scene.ledger.__dict__)
    scene.ledger = ledger
    for price in ("101", "101", "99"):
        scene.price("MSFT", price)
        evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS))
        scene.later(60)
    assert [sorted(key[1] for key in written) for written in ledger.written] == [["AAPL", "JPM", "MSFT"], ["MSFT"]]
    evaluate_exits(replace(scene.world(dry_run=True)), call(Job.EVALUATE_EXITS))
    assert len(ledger.written) == 2


@pytest.mark.parametrize("side", Side)
def test_no_mark_moves_while_a_split_is_unproven(side: Side) -> None:
    scene = holding(side)
    scene.price("AAPL", "100.5")
    before = marks(scene)
    scene.venue.held["AAPL"] *= 2
    scene.price("AAPL", "50")
    assert marks(scene) == before


def test_the_quantity_that_a_position_was_opened_with_is_among_what_is_kept() -> None:
    scene = holding()
    scene.ledger.apply_fills([fill(5, side=Side.SELL, quantity="4")], NOW)
    scene.venue.held["AAPL"] = Decimal(6)
    world = scene.world()
    (held,) = watch_positions(world, take_desk(world, for_entries=False)).values()
    assert (held.position.quantity, held.kept.original_quantity) == (Decimal(6), Decimal(10))
