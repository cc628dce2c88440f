"""What positions and orders lose at their stops: worked out for the limits that ask, and never more than is there."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.desk.test_strategy_exposure import played
from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.values import EXITS, HALTS, SECTORS, books, fill, limits
from tradebot.desk.snapshot import take_desk
from tradebot.desk.strategy_exposure import risk_of_position
from tradebot.exits.rules import Exits, parse
from tradebot.gates.portfolio_limits import stop_loss
from tradebot.model.candidate import Side
from tradebot.model.desk import RiskBook
from tradebot.model.limits import StrategyRules
from tradebot.model.position import EntryTerms
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.ports.world import Rules
from tradebot.reconciliation.catch_up import catch_up

D = Decimal
ASKED = {"max_open_risk_fraction": "0.04"}
RULES = Rules(Mode.SANDBOX, (), SECTORS, limits(**ASKED), HALTS, EXITS, {})


def seen(scene: Scene, own: dict[str, StrategyRules] | None = None) -> RiskBook:
    world = scene.world()
    return take_desk(replace(world, rules=replace(world.rules, own=own or {})), for_entries=False).book


@pytest.mark.parametrize("fate", ["fill", "lost", ""])
@pytest.mark.parametrize("asked", [ASKED, {"max_stop_loss_usd": 500}, {}])
def test_what_is_lost_at_stops_is_worked_out_only_for_a_limit_that_asks(fate: str, asked: dict[str, object]) -> None:
    scene = played([("AAPL", Side.BUY)], {"AAPL": fate})
    scene.limits = limits(**asked)
    (stake,) = seen(scene).stakes
    cost = 49 * D("100.20") if fate == "fill" else stake.usd
    assert stake.risk_usd == (cost * D("0.02") if asked else None)


def test_a_limit_of_one_strategy_asks_too() -> None:
    scene = played([("AAPL", Side.BUY)], {"AAPL": "fill"})
    (stake,) = seen(scene, {"other": StrategyRules((), limits(**ASKED))}).stakes
    assert stake.risk_usd == 49 * D("100.20") * D("0.02")


NO_STOP = parse([{"time_exit": {"after_s": 14400}}])


@pytest.mark.parametrize(
    ("exits", "kept", "risk"),
    [
        (None, EntryTerms(), "20"),
        (None, EntryTerms(stop_loss_fraction=D("0.01")), "10"),
        (None, EntryTerms(stop_loss_fraction=D("0.05")), "20"),
        (NO_STOP, EntryTerms(stop_loss_fraction=D("0.05")), "50"),
        (NO_STOP, EntryTerms(), None),
        # The trailing stop of 1.2 percent acts from a gain of one percent on.
        (None, EntryTerms(best=D("1.01")), "2.12"),
        (None, EntryTerms(best=D("1.02")), "0"),
    ],
)
@pytest.mark.parametrize("side", Side)
def test_a_position_loses_from_its_entry_to_its_tightest_stop(
    exits: Exits | None, kept: EntryTerms, risk: str | None, side: Side
) -> None:
    best = kept.best and D(100) * (1 + side.sign * (kept.best - 1))
    known = books(fill(1, "AAPL", side, "10", "100"))
    (position,) = known.totals.own_positions()
    rules = replace(RULES, own_exits={} if exits is None else {"flow": exits})
    lost = risk_of_position(rules, replace(known, kept={position.key: replace(kept, best=best)}), position)
    # A trailing stop is a fraction of the best price, which for a short is the lower one.
    shorter = D("-0.24") if kept.best == D("1.01") and side is Side.SELL else D(0)
    assert lost == (None if risk is None else D(risk) + shorter)


@settings(deadline=None, max_examples=40)
@given(
    side=st.sampled_from(Side),
    better=st.decimals(0, "0.2", places=3),
    parts=st.sampled_from([(), (1,), (3, 2), (None,)]),
    limit=st.integers(20, 60),
    later=st.sampled_from(["70", "100", "130"]),
)
def test_whatever_fills_inside_its_limit_the_audit_never_objects_to_what_the_gates_let_through(
    side: Side, better: Decimal, parts: tuple[int | None, ...], limit: int, later: str
) -> None:
    scene = Scene()
    scene.limits = limits(max_stop_loss_usd=limit)
    trade_once(scene.world(wanted("AAPL", side=side)), call())
    ((name, order),) = scene.venue.book.items()
    assert order.limit_price is not None, "an entry has a limit"
    for part in parts:
        price = order.limit_price * (1 - side.sign * better)
        scene.venue.fill(name, str(price), None if part is None else D(part))
    catch_up(scene.venue, scene.ledger, list(scene.venue.book.values()), scene.venue.now, scene.venue.now)
    scene.price("AAPL", later)
    answers = [stop_loss(scene.limits, stake.risk_usd) for stake in seen(scene).stakes]
    assert answers
    assert [answer for answer in answers if answer is None or not answer.passed] == []
