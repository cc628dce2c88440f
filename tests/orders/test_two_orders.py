"""Stops and targets that rest apart: what a position is left with after each fill, and in drawn lives.

The venue's own log is the judge (`lived_apart`). A bot that cancels a stop before the new one rests, one that lets
targets stay as they are, and one that leaves alone what filled beyond the position have to be caught.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import product

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from tests.apart import Bot, capabilities
from tests.orders.lived_apart import LIVES, lived
from tests.tiers import sized
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import Operation
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.venue import Capabilities, Edit
from tradebot.orders import two_orders
from tradebot.orders.changes import cancel_order
from tradebot.orders.fitting import Step

QUIET = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
EVERY = [(edit, reduce_only) for edit, reduce_only in product(Edit, (True, False))]
NAMES = [f"{edit}, {'reduce-only' if reduce_only else 'plain'}" for edit, reduce_only in EVERY]
each_venue = pytest.mark.parametrize("can", [capabilities(e, reduce_only=r) for e, r in EVERY], ids=NAMES)
reducing = pytest.mark.parametrize("can", [capabilities(edit, reduce_only=True) for edit in Edit], ids=list(Edit))


def resting(bot: Bot) -> tuple[int, int]:
    """Return for how many shares stops rest, and for how many targets."""
    stops, targets = (
        sum(order.open_quantity for order in orders) for orders in (bot.venue.stops(), bot.venue.targets())
    )
    return int(stops), int(targets)


@pytest.mark.sampled
@each_venue
def test_no_share_lacks_a_stop_for_longer_than_told_in_any_life(can: Capabilities) -> None:
    @settings(QUIET, max_examples=sized(12, 400))
    @given(LIVES)
    def holds(life: tuple[Side, str, list[tuple[tuple[object, ...], tuple[object, ...]]]]) -> None:
        assert lived(can, *life) == []

    holds()


def _cancels_first(*asked: object) -> Iterator[object]:
    """Do what a careless bot does: cancel the stop that there is, and then place another one."""
    world, call, desk, cover, step = asked
    assert isinstance(step, Step)
    if step.old is not None and step.shares:
        yield cancel_order(world, call, desk, step.old.first, step.old.record, step.why)  # type: ignore[arg-type]
        yield two_orders._placed(world, call, desk, cover, step)  # type: ignore[arg-type]
    else:
        yield from STOP(*asked)  # type: ignore[arg-type]


def _never(*asked: object) -> Iterable[object]:
    return ()


STOP = two_orders._stop
BROKEN: dict[str, tuple[object, str, Callable[..., object]]] = {
    "cancels before it places": (two_orders, "_stop", _cancels_first),
    "never makes targets smaller": (two_orders, "target_steps", _never),
    "never cancels a stop that is left over": (two_orders, "stop_steps", _never),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_bot_is_caught_by_the_venues_log(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BROKEN[name])
    can = capabilities(Edit.NONE, reduce_only=name.startswith("cancels"))
    found = find(
        LIVES, lambda life: bool(lived(can, *life)), settings=settings(QUIET, max_examples=300, phases=[Phase.generate])
    )
    assert lived(can, *found)


@each_venue
def test_position_gets_a_stop_for_all_shares_and_its_targets_beside_it(can: Capabilities) -> None:
    bot = Bot(can).held()
    assert resting(bot) == (10, 8)
    assert sorted(order.limit_price or 0 for order in bot.venue.targets()) == [101, 103]


@each_venue
def test_stop_is_made_smaller_after_a_target_has_filled(can: Capabilities) -> None:
    bot = Bot(can).held()
    bot.venue.fill(bot.venue.targets()[0].client_order_id, "101")
    bot.exits()
    bot.exits()
    assert bot.position == 6
    assert resting(bot) == (6, 4)


@each_venue
def test_targets_are_canceled_after_the_stop_has_filled(can: Capabilities) -> None:
    bot = Bot(can).held()
    bot.venue.fill(bot.venue.stops()[0].client_order_id, "98")
    bot.exits()
    bot.exits()
    assert bot.position == 0
    assert resting(bot) == (0, 0)


@reducing
def test_new_stop_rests_before_the_old_one_goes_where_orders_only_reduce(can: Capabilities) -> None:
    bot = Bot(can).held()
    before = len(bot.venue.asked)
    bot.scene.price("AAPL", "100.6")
    bot.exits()
    of_stops = [intent.operation for intent in bot.venue.asked[before:] if intent.stop_price is not None]
    wanted = [Operation.SUBMIT, Operation.CANCEL] if can.edit is Edit.NONE else [Operation.REPLACE]
    sent = [intent.operation for intent in bot.venue.asked[before:]]
    assert sent == wanted
    assert of_stops[0] is wanted[0]
    assert resting(bot)[0] == 10


@each_venue
def test_halt_leaves_stops_alone(can: Capabilities) -> None:
    bot = Bot(can).held()
    state = TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "tried", bot.venue.now)
    bot.scene.ledger.set_trading_state(state)
    bot.exits()
    assert resting(bot)[0] == 10


@each_venue
def test_what_fills_beyond_the_position_is_closed_by_the_next_pass(can: Capabilities) -> None:
    bot = Bot(can).held()
    bot.venue.hears_late = True
    for order in (*bot.venue.targets()[:1], *bot.venue.stops()[:1]):
        bot.venue.fill(order.client_order_id, "101")
    bot.venue.hears_late = False
    assert bot.position == -4
    bot.exits()
    exits = bot.venue.working(Purpose.CLOSE)
    assert [(order.side, int(order.open_quantity)) for order in exits] == [(Side.BUY, 4)]
