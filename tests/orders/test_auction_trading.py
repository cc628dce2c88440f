"""A pass does what the auction decided: closes first, opens once the room is there, and each only once."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.gates.test_auction import RULES
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED, FixedStrategy
from tests.kit.values import EXITS, exit_rules, limits
from tests.orders.test_entry_orders import ends
from tests.orders.test_entry_orders import world as displacing
from tradebot.model.auction import WORTH, AuctionRules, PositionValue, read_value
from tradebot.model.bar import Depth, Level
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate
from tradebot.model.limits import ApprovalRules, ExitRules, Protection, StrategyRules
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ApprovalAnswer, TradingState
from tradebot.orders import auction_trading
from tradebot.ports.world import World

TWO = RULES.model_copy(update={"max_positions": 2})
BETTER, SIMILAR = wanted("XOM", 0.9), wanted("JPM", 0.65)
OPENS, CLOSES = Purpose.OPEN, Purpose.CLOSE


def full(exits: ExitRules = EXITS, count: int = 2) -> Scene:
    """Return a scene that holds AAPL, bought for a score of 0.5, and MSFT, for 0.6, for two hours."""
    scene = Scene(exits=exits, limits=limits(max_open_positions=count, max_new_entries=4))
    trade_once(scene.world(wanted("AAPL", 0.5), wanted("MSFT", 0.6)), call(slot="buy"))
    for intent in tuple(scene.venue.submitted):
        scene.venue.fill(intent.client_order_id, "100")
    scene.later(7200)
    for symbol in ("AAPL", "MSFT"):
        scene.price(symbol, "100")
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "book the fills"))
    return scene


def world(
    scene: Scene, *candidates: Candidate, rules: AuctionRules = TWO, approval: ApprovalRules | None = None,
    dry_run: bool = False,
) -> World:  # fmt: skip
    usual = scene.world(*(replace(one, at=scene.venue.now) for one in candidates), dry_run=dry_run)
    own = {"flow": StrategyRules(scene.universe, scene.limits, auction=rules, approval=approval)}
    return replace(usual, rules=replace(usual.rules, own=own))


def asked(cycle: CycleRecord, symbol: str) -> list[Decision]:
    """Return what the auction said of an entry."""
    (record,) = [one for one in cycle.candidates if (one.candidate.symbol, one.candidate.purpose) == (symbol, OPENS)]
    return [one for one in record.decisions if one.gate is Gate.DISPLACEMENT]


def test_the_close_goes_first_and_the_newcomer_opens_only_after_it_has_filled() -> None:
    scene = full()
    cycle = trade_once(world(scene, BETTER, SIMILAR), call(slot="better"))
    assert ends(cycle) == {
        ("AAPL", CLOSES): None,
        ("XOM", OPENS): Reason.DISPLACEMENT_STARTED,
        ("JPM", OPENS): Reason.AUCTION_ADVANTAGE_TOO_SMALL,
    }
    (started,) = asked(cycle, "XOM")
    assert (started.observed, started.limit) == (Decimal("0.88"), Decimal("0.58"))
    assert [(one.reason, one.observed, one.limit) for one in asked(cycle, "JPM")] == [
        (Reason.AUCTION_ADVANTAGE_TOO_SMALL, Decimal("0.63"), Decimal("0.68")), (Reason.AUCTION_FULL, 3, 2),
    ]  # fmt: skip
    (told,) = scene.told("swapped")
    assert told == {
        "strategy": "flow", "for": "XOM", "for_strategy": "flow", "needed": "0.58",
        "value": "0.48 = 0.5 +0 (0 R) - 0.02", "value_of_newcomer": "0.88 = 0.9 - 0.02",
    }  # fmt: skip
    (decided,) = [one for each in cycle.candidates for one in each.decisions if one.gate is Gate.EXIT]
    assert (decided.observed, decided.limit) == (Decimal("0.88"), Decimal("0.58"))
    assert decided.about == f"worth {told['value']}"
    assert read_value(WORTH + told["value"]) == PositionValue(Decimal("0.5"), Decimal(0), Decimal("0.02"), Decimal(0))
    (close,) = scene.venue.submitted[2:]
    assert (close.purpose, close.instrument.symbol, close.displaced_by) == (CLOSES, "AAPL", "XOM")

    scene.later(60)
    # MSFT is worth less than XOM by far, but the close that XOM is good for is under way.
    waiting = trade_once(world(scene, BETTER, SIMILAR), call(slot="too early"))
    assert ends(waiting) == {
        ("XOM", OPENS): Reason.DISPLACEMENT_PENDING,
        ("JPM", OPENS): Reason.AUCTION_ADVANTAGE_TOO_SMALL,
    }
    scene.venue.fill(close.client_order_id, "100")
    scene.later(60)
    later = trade_once(world(scene, BETTER, SIMILAR), call(slot="room"))
    assert ends(later)["XOM", OPENS] is None
    assert ends(later)["JPM", OPENS] is Reason.AUCTION_ADVANTAGE_TOO_SMALL
    assert [(one.purpose, one.instrument.symbol) for one in scene.venue.submitted[2:]] == [
        (CLOSES, "AAPL"), (OPENS, "XOM"),
    ]  # fmt: skip


def test_nothing_is_closed_for_a_newcomer_that_the_market_could_not_fill() -> None:
    scene = full()
    scene.limits = scene.limits.model_copy(update={"max_slippage_fraction": Decimal("0.003")})
    cycle = trade_once(world(scene, BETTER), call(slot="better"))
    assert ends(cycle) == {("XOM", OPENS): Reason.DEPTH_UNKNOWN}
    assert (len(scene.venue.submitted), scene.venue.asked_depth) == (2, ["XOM"])


def deep(scene: Scene, *symbols: str) -> None:
    """Let enough rest for an entry of each symbol, and ask the depth of every one."""
    scene.limits = scene.limits.model_copy(update={"max_slippage_fraction": Decimal("0.003")})
    for symbol in symbols:
        scene.price(symbol, "100")
        ask = scene.venue.prices[symbol].ask
        scene.venue.resting[symbol] = Depth(symbol, (), (Level(ask, Decimal(5000)),))


def test_one_that_the_market_could_not_fill_keeps_no_place_of_the_pass() -> None:
    scene = full(count=5)
    deep(scene, "JPM")
    rules = RULES.model_copy(update={"max_positions": 5, "max_opens": 1})
    cycle = trade_once(world(scene, BETTER, SIMILAR, rules=rules), call(slot="thin"))
    assert ends(cycle) == {("XOM", OPENS): Reason.DEPTH_UNKNOWN, ("JPM", OPENS): None}
    assert [one.instrument.symbol for one in scene.venue.submitted[2:]] == ["JPM"]


def test_one_that_the_market_could_not_fill_keeps_no_close_from_another() -> None:
    scene = full()
    deep(scene, "JPM")
    rules = TWO.model_copy(update={"max_closes": 1})
    cycle = trade_once(world(scene, BETTER, wanted("JPM", 0.8), rules=rules), call(slot="thin"))
    assert ends(cycle)["XOM", OPENS] is Reason.DEPTH_UNKNOWN
    assert ends(cycle)["JPM", OPENS] is Reason.DISPLACEMENT_STARTED


def test_the_depth_of_so_many_winners_is_asked_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auction_trading, "MOST_ASKED", 1)
    scene = full(count=5)
    deep(scene)
    rules = RULES.model_copy(update={"max_positions": 5, "max_opens": 1})
    cycle = trade_once(world(scene, BETTER, SIMILAR, rules=rules), call(slot="thin"))
    assert set(ends(cycle).values()) == {Reason.DEPTH_UNKNOWN}
    assert scene.venue.asked_depth == ["XOM", "JPM"]


def test_with_room_the_best_open_at_once_and_say_what_they_are_worth() -> None:
    scene = full(count=4)
    cycle = trade_once(world(scene, BETTER, rules=RULES), call(slot="room for one"))
    assert ends(cycle) == {("XOM", OPENS): None}
    (won,) = asked(cycle, "XOM")
    assert (won.passed, won.observed) == (True, Decimal("0.88"))
    # The entry that hasn't filled takes its place already.
    scene.later(60)
    again = trade_once(world(scene, wanted("JPM", 0.57), rules=RULES), call(slot="full"))
    assert ends(again) == {("JPM", OPENS): Reason.AUCTION_ADVANTAGE_TOO_SMALL}
    assert len(scene.venue.submitted) == 3


def test_young_positions_stay_and_the_newcomer_is_refused() -> None:
    scene = full()
    rules = TWO.model_copy(update={"min_age_s": 7201 + 600})
    cycle = trade_once(world(scene, BETTER, rules=rules), call(slot="better"))
    assert ends(cycle) == {("XOM", OPENS): Reason.AUCTION_FULL}
    assert asked(cycle, "XOM")[1].reason is Reason.POSITION_TOO_YOUNG
    assert len(scene.venue.submitted) == 2


def test_a_position_without_its_stop_at_the_venue_stays() -> None:
    scene = full(exits=exit_rules(protection=Protection.VENUE))
    resting = trade_once(world(scene, BETTER), call(slot="better"))
    assert ends(resting)["XOM", OPENS] is Reason.DISPLACEMENT_STARTED
    bare = full()
    bare.exits = exit_rules(protection=Protection.VENUE)
    cycle = trade_once(world(bare, BETTER), call(slot="better"))
    assert ends(cycle) == {("XOM", OPENS): Reason.AUCTION_FULL}
    assert asked(cycle, "XOM")[1].reason is Reason.STOP_NOT_LIVE


def test_what_anything_else_refuses_takes_no_part() -> None:
    scene = full()
    weak = wanted("XOM", 0.01)
    assert ends(trade_once(world(scene, weak), call(slot="weak"))) == {("XOM", OPENS): Reason.SCORE_BELOW_MIN}
    scene.ledger.set_trading_state(
        replace(scene.ledger.trading_state(), state=TradingState.REDUCE_ONLY, at=scene.venue.now)
    )
    halted = trade_once(world(scene, BETTER), call(slot="halted"))
    assert ends(halted) == {("XOM", OPENS): Reason.HALTED}
    assert len(scene.venue.submitted) == 2


@pytest.mark.parametrize("way", [world, displacing])
@pytest.mark.parametrize(
    ("reply", "end"), [(REJECTED, Reason.DISPLACEMENT_FAILED), (LOST, Reason.DISPLACEMENT_STARTED)]
)
def test_a_close_that_is_refused_or_lost_opens_nothing(way: Callable[..., World], reply: object, end: Reason) -> None:
    scene = full()
    scene.venue.script["AAPL"] = reply  # type: ignore[assignment]
    assert ends(trade_once(way(scene, BETTER), call(slot="better")))["XOM", OPENS] is end
    assert [intent.instrument.symbol for intent in scene.venue.submitted[2:]] == ["AAPL"]


@pytest.mark.parametrize(("way", "other"), [(world, 0.58), (displacing, 0.95)])
def test_a_close_that_never_arrived_is_sent_once_more_under_its_own_id(way: Callable[..., World], other: float) -> None:
    scene = full()
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    trade_once(way(scene, BETTER), call(slot="lost"))
    scene.venue.script = {}
    for seconds, sent in ((20, 3), (40, 4), (240, 4)):
        before = len(scene.venue.submitted)
        scene.later(seconds)
        cycle = trade_once(way(scene, BETTER, wanted("JPM", other)), call(slot=f"{seconds} seconds"))
        assert ends(cycle)["XOM", OPENS] is Reason.DISPLACEMENT_PENDING
        assert len(scene.venue.submitted) == sent
        assert sum(record.candidate.purpose is CLOSES for record in cycle.candidates) == sent - before
    assert scene.venue.submitted[2] == scene.venue.submitted[3]


def test_a_dry_run_sends_nothing_and_tells_nobody() -> None:
    scene = full()
    cycle = trade_once(world(scene, BETTER, dry_run=True), call(slot="better"))
    assert ends(cycle) == {("AAPL", CLOSES): Reason.DRY_RUN, ("XOM", OPENS): Reason.DISPLACEMENT_FAILED}
    assert (len(scene.venue.submitted), scene.told("swapped")) == (2, [])


def test_nothing_is_closed_for_an_entry_without_a_yes() -> None:
    scene, approval = full(), ApprovalRules(wait_s=300)
    cycle = trade_once(world(scene, BETTER, approval=approval), call(slot="asks"))
    assert ends(cycle) == {("XOM", OPENS): Reason.APPROVAL_WAITING}
    assert len(scene.venue.submitted) == 2
    scene.approvals.answer("XOM", ApprovalAnswer.YES, scene.venue.now)
    cycle = trade_once(world(scene, BETTER, approval=approval), call(slot="has a yes"))
    assert ends(cycle) == {("AAPL", CLOSES): None, ("XOM", OPENS): Reason.DISPLACEMENT_STARTED}


class Momentum(FixedStrategy):
    """Another strategy that wants the candidates it was given."""

    name = "momentum"


def with_momentum(scene: Scene, *, flow: AuctionRules | None) -> World:
    """Return a world in which momentum takes part in the auction; flow, which has the positions, by these rules."""
    usual = world(scene, BETTER)
    own = usual.rules.own["flow"]
    named = {"flow": replace(own, auction=flow), "momentum": own}
    return replace(usual, strategies=[Momentum(BETTER)], rules=replace(usual.rules, own=named))


def test_a_position_of_one_strategy_gives_way_to_a_candidate_of_another_that_takes_part_too() -> None:
    closed, refused = trade_once(with_momentum(full(), flow=TWO), call(slot="together")).candidates
    assert (closed.candidate.strategy, closed.candidate.symbol, closed.terminal) == ("flow", "AAPL", None)
    assert refused.candidate.strategy == "momentum"
    assert refused.terminal is not None
    assert refused.terminal.reason is Reason.DISPLACEMENT_STARTED


def test_positions_of_those_who_take_no_part_stay_and_take_their_room_first() -> None:
    cycle = trade_once(with_momentum(full(), flow=None), call(slot="apart"))
    assert ends(cycle) == {("XOM", OPENS): Reason.AUCTION_FULL}
    assert asked(cycle, "XOM")[0].limit == 0


def test_in_shadow_nothing_is_sent() -> None:
    scene = full()
    shadow = replace(world(scene, BETTER), orders=None, shadow=True)
    assert ends(trade_once(shadow, call(slot="shadow"))) == {
        ("AAPL", CLOSES): Reason.SHADOW,
        ("XOM", OPENS): Reason.DISPLACEMENT_FAILED,
    }
    assert len(scene.venue.submitted) == 2


def test_a_killed_pass_goes_on_without_a_second_close() -> None:
    scene = full()
    trade_once(world(scene, BETTER), call(slot="better"))
    again = trade_once(world(scene, BETTER), call(slot="better"))
    assert ends(again) == {("XOM", OPENS): Reason.DISPLACEMENT_PENDING}
    assert len(scene.venue.submitted) == 3
