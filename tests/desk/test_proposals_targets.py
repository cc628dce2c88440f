"""A target becomes the change that reaches it: sells before buys, and the strategy's own shares alone count."""

from decimal import ROUND_DOWN, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.builders import NOW, desk, fill, limits, quote
from tests.venues import Wanting
from tests.worlds import Scene, call, trade_once
from tradebot.desk.proposals import change_to, held_by
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.instrument import Instrument
from tradebot.model.limits import OwnRules
from tradebot.model.position import Position, apply_fill
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord
from tradebot.model.values import replace
from tradebot.model.wants import Target
from tradebot.ports.world import World

OWN = OwnRules(("AAPL",), limits(), Decimal("0.5"))
"""Half of 100,000 USD: at 100 USD a share, a weight of 1 is 500 shares."""


def held(shares: int | Decimal, strategy: str = "momentum") -> Position:
    side = Side.BUY if shares > 0 else Side.SELL
    return apply_fill(Position(strategy, "AAPL", (), Decimal(0)), fill(1, "AAPL", side, str(abs(shares))).fill)


def seen(*positions: Position) -> Desk:
    return replace(desk(), positions=positions, quotes={"AAPL": quote(bid="100", ask="100")})


def target(weight: str | None = None, quantity: str | None = None) -> Candidate:
    return Candidate(
        "momentum",
        Instrument("AAPL"),
        Side.BUY,
        Purpose.OPEN,
        NOW,
        quantity=Decimal(quantity) if quantity else None,
        weight=Decimal(weight) if weight else None,
        want=WantKind.TARGET,
    )


def decided(found: Candidate) -> Decision:
    (decision,) = [decision for decision in found.decisions if decision.gate is Gate.TARGET]
    return decision


STEPS = [
    (0, "0.5", Side.BUY, Purpose.OPEN, 250),
    (100, "0.5", Side.BUY, Purpose.OPEN, 150),
    (400, "0.5", Side.SELL, Purpose.REDUCE, 150),
    (400, "0", Side.SELL, Purpose.CLOSE, 400),
    (400, "-0.5", Side.SELL, Purpose.CLOSE, 400),
    (0, "-0.5", Side.SELL, Purpose.OPEN, 250),
    (-100, "-0.5", Side.SELL, Purpose.OPEN, 150),
    (-400, "-0.5", Side.BUY, Purpose.REDUCE, 150),
    (-400, "0", Side.BUY, Purpose.CLOSE, 400),
    (-400, "0.5", Side.BUY, Purpose.CLOSE, 400),
]


@pytest.mark.parametrize(("has", "weight", "side", "purpose", "shares"), STEPS)
def test_a_weight_becomes_the_next_order_toward_it(
    has: int, weight: str, side: Side, purpose: Purpose, shares: int
) -> None:
    found = change_to(target(weight), seen(*([held(has)] if has else [])), OWN)
    assert (found.side, found.purpose, found.quantity) == (side, purpose, Decimal(shares))
    assert (decided(found).verdict, decided(found).observed) == (Verdict.PASS, has)
    assert found.why == ("" if purpose is Purpose.OPEN else "rebalance")


def test_a_quantity_is_taken_to_the_share() -> None:
    found = change_to(target(quantity="251"), seen(held(250)), OWN)
    assert (found.side, found.purpose, found.quantity) == (Side.BUY, Purpose.OPEN, Decimal(1))
    assert decided(change_to(target(quantity="250"), seen(held(250)), OWN)).reason is Reason.TARGET_REACHED


@pytest.mark.parametrize(
    ("has", "quantity", "purpose", "shares"),
    [
        ("5", "2.5", Purpose.REDUCE, "3"),
        ("5", "7.9", Purpose.OPEN, "2"),
        ("5.5", "2", Purpose.REDUCE, "3"),
        ("5.5", "0.5", Purpose.CLOSE, "5.5"),
        ("-5", "-2.5", Purpose.REDUCE, "3"),
    ],
)
def test_only_whole_shares_are_traded_toward_a_target(has: str, quantity: str, purpose: Purpose, shares: str) -> None:
    found = change_to(target(quantity=quantity), seen(held(Decimal(has))), OWN)
    assert (found.purpose, found.quantity) == (purpose, Decimal(shares))


@pytest.mark.parametrize(("has", "quantity"), [("2", "2.5"), ("2.5", "2"), ("2.5", "3.4")])
def test_less_than_a_share_away_is_reached(has: str, quantity: str) -> None:
    found = change_to(target(quantity=quantity), seen(held(Decimal(has))), OWN)
    assert decided(found).reason is Reason.TARGET_REACHED


@pytest.mark.parametrize(("has", "reached"), [(245, False), (246, True), (250, True), (254, True), (255, False)])
def test_a_weight_is_reached_within_the_tolerance(has: int, reached: bool) -> None:
    decision = decided(change_to(target("0.5"), seen(held(has)), OWN))
    assert (decision.reason is Reason.TARGET_REACHED) is reached
    assert (decision.observed, decision.limit) == (has, 250)


def test_a_small_rest_that_is_not_wanted_is_closed() -> None:
    assert change_to(target("0"), seen(held(1)), OWN).purpose is Purpose.CLOSE
    assert decided(change_to(target("0"), seen(), OWN)).reason is Reason.TARGET_REACHED


@pytest.mark.parametrize(("quantity", "why"), [("7", Reason.OUTSIDE_UNIVERSE), ("3", None), ("0", None), ("-2", None)])
def test_what_left_the_universe_is_reduced_or_closed_and_never_opened(quantity: str, why: Reason | None) -> None:
    found = change_to(target(quantity=quantity), seen(held(5)), replace(OWN, universe=("MSFT",)))
    assert decided(found).reason is why
    assert (found.purpose is Purpose.OPEN) is (why is not None)


def test_what_another_strategy_holds_counts_for_nothing() -> None:
    both = seen(held(100), held(400, "flow"))
    assert held_by(both, "momentum", "AAPL") == 100
    assert change_to(target("0.5"), both, OWN).quantity == 150


def test_without_a_quote_a_weight_is_unknown_but_nothing_is_still_a_close() -> None:
    blind = replace(seen(held(100)), quotes={}, rejected_quotes={"AAPL": "no bid"})
    decision = decided(change_to(target("0.5"), blind, OWN))
    assert (decision.verdict, decision.reason, decision.observed) == (Verdict.UNKNOWN, Reason.QUOTE_MISSING, "no bid")
    assert change_to(target("0"), blind, OWN).purpose is Purpose.CLOSE


@given(st.integers(-2000, 2000), st.decimals(-4, 4, places=4))
@example(0, Decimal(0))
def test_steps_toward_a_target_end_at_it_and_never_beyond(has: int, weight: Decimal) -> None:
    own = replace(OWN, limits=limits(target_tolerance_fraction=Decimal("0.0001")))
    wanted = (weight * 50_000 / 100).to_integral_value(rounding=ROUND_DOWN)
    for _ in range(3):
        found = change_to(target(str(weight)), seen(*([held(has)] if has else [])), own)
        if not decided(found).passed:
            break
        assert found.quantity is not None
        before, has = has, has + int(found.quantity) * found.side.sign
        assert abs(wanted - has) < abs(wanted - before)
        assert before == 0 or has == 0 or (before > 0) == (has > 0), "an order never crosses from one side to the other"
    assert abs(wanted - has) * 100 < 5 or has == wanted


def world(scene: Scene, *wants: Target) -> World:
    return replace(scene.world(), strategies=[Wanting(*wants)])


def ends(record: CycleRecord) -> list[tuple[str, Purpose, Reason | None]]:
    return [
        (r.candidate.symbol, r.candidate.purpose, r.terminal.reason if r.terminal else None) for r in record.candidates
    ]


def test_a_pass_sells_before_it_buys_and_records_what_is_reached() -> None:
    scene = Scene()
    first = world(scene, Target("AAPL", quantity=Decimal(20)), Target("MSFT", quantity=Decimal(10)))
    assert ends(trade_once(first, call())) == [("AAPL", Purpose.OPEN, None), ("MSFT", Purpose.OPEN, None)]
    for intent in scene.venue.submitted:
        scene.venue.fill(intent.client_order_id, "100")
    scene.later(3600)
    wants = (
        Target("JPM", quantity=Decimal(5)),
        Target("AAPL", quantity=Decimal(15)),
        Target("MSFT", weight=Decimal(0)),
    )
    record = trade_once(world(scene, *wants), call(slot="open+90m"))
    assert ends(record) == [("AAPL", Purpose.REDUCE, None), ("MSFT", Purpose.CLOSE, None), ("JPM", Purpose.OPEN, None)]
    sent = [(i.instrument.symbol, i.side, int(i.quantity)) for i in scene.venue.submitted[2:]]
    assert sent == [("AAPL", Side.SELL, 5), ("MSFT", Side.SELL, 10), ("JPM", Side.BUY, 5)]
    for intent in scene.venue.submitted[2:]:
        scene.venue.fill(intent.client_order_id, "100")
    scene.later(3600)
    assert {reason for _, _, reason in ends(trade_once(world(scene, *wants), call(slot="open+150m")))} == {
        Reason.TARGET_REACHED
    }
