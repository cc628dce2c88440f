"""Rotations under several names: each trades its own share of the equity, and leaves the others' funds alone."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec import Struct

from tests.kit.core.scene import Scene, call, trade_once
from tests.kit.values import DAY, NOW, SESSION, VENUE_DAY, quote
from tradebot.adapters.plugins.plugin import PluginEnvironment, strategies
from tradebot.adapters.plugins.protocol import AnswerBounds
from tradebot.app.rules import rules_of
from tradebot.app.settings import Settings, load
from tradebot.desk.proposals import propose
from tradebot.model.bar import Session
from tradebot.model.record import CycleRecord
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed
from tradebot.ports.world import World
from tradebot.timetable import job_times

ENTRIES = job_times.parse("every 5m from open until close-15m", VENUE_DAY)
RETURNS = {"XLK": 0.4, "XLF": 0.3, "XLE": 0.2, "XLV": 0.1, "XLI": 0.0, "SPY": 0.1}
CONFIGURATION = """
universe: [XLK, XLF, XLE, XLV, XLI, TLT, SPY]
sectors: {TLT: bonds}
strategies:
  flow: null
  steady:
    strategy: rotation
    ranked: [XLK, XLF, XLE, XLV, XLI]
    leverage: 1
    allotment_fraction: 0.5
    times: at open+25m, at open+45m
    exits: []
  bull:
    strategy: rotation
    ranked: [XLK, XLF, XLE, XLV, XLI]
    regime: {only: bull}
    top: 2
    leverage: 0.8
    allotment_fraction: 0.25
    times: at open+25m
    exits: []
  bear:
    strategy: rotation
    ranked: [XLK, XLF, XLE, XLV, XLI]
    regime: {only: bear}
    leverage: 1
    times: at open+25m
    exits: []
limits:
  max_order_fraction: 1
  max_order_notional_usd: 100000
  max_symbol_fraction: 1
  max_sector_fraction: 1
  max_gross_fraction: 1.4
"""


class Closes(Struct):
    """Daily bars whose price changes once, on the newest day."""

    returns: Mapping[str, float]

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        midnight = int(datetime.combine(DAY, datetime.min.time(), NOW.tzinfo).timestamp())
        starts = array("q", [midnight - 86_400 * (need.depth - place) for place in range(need.depth)])
        found = dict[str, Series]()
        for symbol in symbols:
            column = array("d", [100.0] * (need.depth - 1) + [100 * (1 + self.returns[symbol])])
            found[symbol] = Series(
                symbol, need.timeframe, need.adjusted, starts, column, column, column, column, column
            )
        return found


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    file: Path = tmp_path_factory.mktemp("models") / "mine.yaml"
    file.write_text(CONFIGURATION)
    return load(file, {}).settings


@pytest.fixture
def scene(settings: Settings) -> Scene:
    scene = Scene(universe=tuple(settings.universe))
    days = [DAY + timedelta(days=number) for number in range(-45, 20)]
    shifted = [(day, day - DAY) for day in days if day.weekday() < 5]
    scene.ledger.put_sessions(Session(day, SESSION.open + by, SESSION.close + by) for day, by in shifted)
    scene.venue.prices = {symbol: quote(symbol) for symbol in settings.universe}
    return scene


def world_of(scene: Scene, settings: Settings) -> World:
    """Return the world as a new process would make it, with the strategies as the door lets them in."""
    chosen = settings.strategies
    surroundings = PluginEnvironment(AnswerBounds(10.0, 2**31), {}, ())
    return replace(
        scene.world(),
        rules=rules_of(settings, settings.exits),
        bars=Closes(RETURNS),
        strategies=strategies(chosen.in_use(), surroundings, chosen.installed_as()),
    )


def entries(scene: Scene, settings: Settings) -> CycleRecord:
    world = world_of(scene, settings)
    return trade_once(world, call(slot=f"at {scene.venue.now:%H:%M}"), propose(world, scene.venue.now, ENTRIES))


def rebalanced(scene: Scene, settings: Settings) -> Counter[tuple[str, str]]:
    """Run passes until nothing is ordered; return the shares that each strategy ordered of each symbol."""
    ordered = Counter[tuple[str, str]]()
    while True:
        before = len(scene.venue.submitted)
        entries(scene, settings)
        new = scene.venue.submitted[before:]
        for intent in new:
            ordered[intent.key.strategy, intent.instrument.symbol] += intent.side.sign * int(intent.quantity)
            scene.venue.fill(intent.client_order_id, str(scene.venue.prices[intent.instrument.symbol].middle))
        scene.later(300)
        if not new:
            return ordered


def held(scene: Scene) -> dict[tuple[str, str], int]:
    return {(p.strategy, p.symbol): int(p.quantity) for p in scene.ledger.totals().own_positions() if p.quantity}


def test_each_model_trades_its_share_and_one_outside_of_its_regime_holds_cash(scene: Scene, settings: Settings) -> None:
    assert sum(settings.strategies.allotments().values()) == 1
    thirds, halves = 50_000 / 3, 25_000 * 0.8 / 2
    assert {name: shares * 100 for name, shares in rebalanced(scene, settings).items()} == pytest.approx(
        {
            ("steady", "XLK"): thirds,
            ("steady", "XLF"): thirds,
            ("steady", "XLE"): thirds,
            ("bull", "XLK"): halves,
            ("bull", "XLF"): halves,
        },
        rel=0.02,
    )


def test_a_model_that_is_not_due_keeps_its_shares_while_another_rebalances(scene: Scene, settings: Settings) -> None:
    rebalanced(scene, settings)
    before = held(scene)
    while scene.venue.now < SESSION.open + timedelta(minutes=45):
        scene.later(300)
    scene.price("XLK", "150")
    assert {strategy for strategy, _ in rebalanced(scene, settings)} == {"steady"}
    after = held(scene)
    assert {key: shares for key, shares in after.items() if key[0] == "bull"} == {
        key: shares for key, shares in before.items() if key[0] == "bull"
    }
    equity = float(scene.venue.account().equity)
    values = [
        shares * (150 if symbol == "XLK" else 100) for (name, symbol), shares in after.items() if name == "steady"
    ]
    assert values == pytest.approx([equity * 0.5 / 3] * 3, rel=0.02), "half of the account, whatever the others hold"
