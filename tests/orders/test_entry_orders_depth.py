"""Depth is asked of an entry that nothing else refuses, once, before anything is closed, asked or promised for it."""

from decimal import Decimal

import pytest

from tests.kit.core.position import coin, rules
from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.values import ask, desk, limits
from tests.orders.test_entry_orders import BETTER, full, world
from tradebot.model.bar import Depth, Level
from tradebot.model.decision import Decision, Gate
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.registry import Registry, Tier
from tradebot.model.struct_tools import replace
from tradebot.orders.entry_orders import too_thin

SLIPPED = limits(max_slippage_fraction="0.003", max_new_entries=5)


def resting(scene: Scene, quantity: int, symbol: str = "AAPL") -> None:
    """Let so much rest at the best ask."""
    ask = scene.venue.prices[symbol].ask
    scene.venue.resting[symbol] = Depth(symbol, (), (Level(ask, Decimal(quantity)),))


def traded(scene: Scene, *, dry_run: bool = False) -> CandidateRecord:
    (record,) = trade_once(scene.world(wanted("AAPL", 0.5), dry_run=dry_run), call()).candidates
    return record


def said(record: CandidateRecord) -> list[Decision]:
    return [decision for decision in record.decisions if decision.gate is Gate.DEPTH]


def test_without_the_limit_nobody_is_asked() -> None:
    scene = Scene()
    assert (traded(scene).terminal, len(scene.venue.submitted), scene.venue.asked_depth) == (None, 1, [])


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_entry_is_sent_if_enough_rests_and_the_numbers_are_kept(dry_run: bool) -> None:
    scene = Scene(limits=SLIPPED)
    resting(scene, 5000)
    record = traded(scene, dry_run=dry_run)
    (decision,) = said(record)
    assert (decision.passed, decision.limit, scene.venue.asked_depth) == (True, Decimal(5000), ["AAPL"])
    assert isinstance(decision.observed, Decimal)
    assert 0 < decision.observed <= 5000
    assert [one.quantity for one in scene.venue.submitted] == ([] if dry_run else [decision.observed])
    places = [one.gate.place for one in record.decisions]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("quantity", "away", "reason"),
    [(1, False, Reason.DEPTH_TOO_THIN), (None, False, Reason.DEPTH_UNKNOWN), (5000, True, Reason.DEPTH_UNKNOWN)],
)
def test_an_entry_is_refused_if_too_little_rests_or_nobody_says(
    quantity: int | None, away: bool, reason: Reason
) -> None:
    scene = Scene(limits=SLIPPED)
    scene.venue.away = away
    if quantity is not None:
        resting(scene, quantity)
    record = traded(scene)
    assert (record.terminal and record.terminal.reason, scene.venue.submitted) == (reason, [])
    assert record.terminal == said(record)[0]


def test_an_entry_that_something_else_refuses_costs_no_request() -> None:
    scene = Scene(limits=SLIPPED)
    scene.venue.prices["AAPL"] = replace(scene.venue.prices["AAPL"], bid=Decimal(90))
    record = traded(scene)
    assert (record.terminal and record.terminal.reason) == Reason.SPREAD_TOO_WIDE
    assert (said(record), scene.venue.asked_depth) == ([], [])


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [(5000, Reason.DISPLACEMENT_STARTED), (1, Reason.DEPTH_TOO_THIN), (None, Reason.DEPTH_UNKNOWN)],
)
def test_no_position_gives_way_to_an_entry_that_the_market_could_not_fill(quantity: int | None, reason: Reason) -> None:
    scene = full()
    scene.limits = scene.limits.model_copy(update={"max_slippage_fraction": Decimal("0.003")})
    if quantity is not None:
        resting(scene, quantity, "XOM")
    cycle = trade_once(world(scene, BETTER), call(slot="better"))
    record = next(one for one in cycle.candidates if one.candidate.symbol == "XOM")
    assert record.terminal
    assert record.terminal.reason is reason
    assert (len(cycle.candidates) == 2) is (reason is Reason.DISPLACEMENT_STARTED)
    assert scene.venue.asked_depth == ["XOM"]


@pytest.mark.parametrize(("tier", "enough"), [(Tier.A, False), (Tier.B, True), (Tier.C, True)])
def test_a_coin_is_held_to_the_slippage_of_its_tier(tier: Tier, enough: bool) -> None:
    scene, asked = Scene(), ask(limits=SLIPPED)
    assert asked.quote
    assert asked.size
    at = asked.quote.ask * Decimal("1.0015")
    scene.venue.resting["AAPL"] = Depth("AAPL", (), (Level(at, asked.size.quantity),))
    judged = ask(limits=SLIPPED, desk=desk(registry=Registry(rules(), ("AAPL",), {"AAPL": coin("AAPL", tier)})))
    assert (too_thin(scene.world(), judged) is None) is enough
