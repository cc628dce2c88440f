"""All of it together: what is planted is found, noise proposes nothing, and the order of reading changes nothing."""

from datetime import timedelta
from decimal import Decimal
from itertools import accumulate
from random import Random

from tests.kit.trades import DAY, WORTH, numbered_sessions, trade
from tests.kit.values import LIMITS
from tests.suite.tiers import sized
from tradebot.lab.learn.knobs import ExitAt, HeldFor
from tradebot.lab.learn.learn import (
    LearnedStrategy,
    LearningMaterial,
    LearnResult,
    WatchedStrategies,
    learn_from_trades,
)
from tradebot.lab.learn.values import Item
from tradebot.model.candidate import Component
from tradebot.model.struct_tools import replace
from tradebot.timetable.job_times import parse
from tradebot.views.trades.trade_row import EntrySource, TradeRow, TradeStatus

WEIGHTS = {"flow": 0.4, "insider": 0.15}
ENTRIES = "timetable.trade-once", parse("every 5m from open+2m until close-15m", DAY)
SESSIONS, A_DAY, STEPS = 30, 6, 60


def material(trades: list[TradeRow]) -> LearningMaterial:
    exits = WatchedStrategies(
        "",
        frozenset({"flow"}),
        ExitAt("exits.stop_loss_fraction", Decimal("0.02")),
        ExitAt("exits.profit_target_fraction", Decimal("0.03")),
        HeldFor("exits.time_exit_s", 14_400),
    )
    flow = LearnedStrategy("flow", WEIGHTS, LIMITS.model_copy(update={"max_open_positions": 10}), asked_each_time=True)
    return LearningMaterial(trades, numbered_sessions(SESSIONS), DAY, [flow], [exits], ENTRIES)


def drawn(seed: int, *, late_loses: float = 0.0, insider: float = 0.0) -> list[TradeRow]:
    """Return trades that are noise; with an edge, those of the last hours lose, or one component knows the outcome."""
    chance, made = Random(seed), list[TradeRow]()  # noqa: S311 - repeatable on purpose
    for number in range(SESSIONS * A_DAY):
        minutes = 5 + 62 * (number % A_DAY)
        drift = late_loses if minutes > 300 else 0
        walk = [*accumulate(chance.gauss(-drift / STEPS, 8 / STEPS**0.5) for _ in range(STEPS))]
        net = walk[-1]
        knows = chance.random() < insider
        says = {"flow": chance.uniform(-1, 1), "insider": (net > 0) - 0.5 if knows else chance.uniform(-1, 1)}
        one = trade(
            number,
            net,
            in_session=number // A_DAY,
            minutes=minutes,
            held=timedelta(minutes=chance.randint(5, 120)),
            entry_score=chance.uniform(0.25, 0.8),
            best=max(0, *walk) / WORTH,
            worst=min(0, *walk) / WORTH,
        )
        parts = tuple(Component(name, value, WEIGHTS[name], "") for name, value in says.items())
        made.append(replace(one, components=parts))
    return made


def proposed(found: LearnResult) -> dict[str | None, str | None]:
    return {one.setting: one.proposed for one in found.proposals if one.proposed is not None}


def test_hours_that_lose_and_a_component_that_knows_are_found() -> None:
    assert proposed(learn_from_trades(material(drawn(1, late_loses=16)), None))["timetable.trade-once"] in (
        "every 5m from open+2m until close-75m",
        "every 5m from open+2m until close-105m",
    )
    assert proposed(learn_from_trades(material(drawn(2, insider=0.8)), None)) == {
        "strategies.flow.weights.insider": "0.1575"
    }


def test_noise_proposes_nothing_in_most_draws() -> None:
    draws = sized(12, 200)
    lucky = [seed for seed in range(draws) if proposed(learn_from_trades(material(drawn(100 + seed)), None))]
    assert len(lucky) <= draws // 6


def test_order_of_reading_changes_nothing_and_open_trades_are_no_losses() -> None:
    made = drawn(3)
    once = learn_from_trades(material(made), None)
    Random(4).shuffle(made)  # noqa: S311 - repeatable on purpose
    assert learn_from_trades(material(made), None) == once
    held = trade(9_000, -500, in_session=SESSIONS - 1, minutes=385, status=TradeStatus.OPEN, closed_at=None)
    others = [
        trade(9_001, -500, strategy="gone"),
        trade(9_002, -500, source=EntrySource.ADOPTED),
        trade(9_003, -5, unknown_fees=1),
    ]
    with_others = learn_from_trades(material([*made, held, *others]), None)
    counts = with_others.counts
    assert (counts.counted, counts.open, counts.not_ours, counts.unknown_fees) == (len(made), 1, 2, 1)
    weights = [one for one in once.proposals if one.item is Item.WEIGHTS]
    assert [one for one in with_others.proposals if one.item is Item.WEIGHTS] == weights
    assert [one.n for one in with_others.proposals] == [one.n for one in once.proposals]


def test_nothing_traded_yet_says_how_much_is_missing_everywhere() -> None:
    found = learn_from_trades(material([]), None)
    assert {one.item for one in found.proposals} == {*Item} - {Item.BLOCKED}
    assert all(one.missing == 30 and "30 more closed trades" in one.evidence for one in found.proposals)
    assert proposed(found) == {}
