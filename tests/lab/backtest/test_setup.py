"""An assembled bot: a new sandbox bot's books, rules and strategies, on an engine with the same numbers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from exchange.tests.kit.app import World
from papervenue.market.spec import MarketSpec
from tests.kit.core.venue import Wanting
from tests.lab.backtest.roads import Stub
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.plugins.plugin import PluginEnvironment
from tradebot.app.settings import load
from tradebot.desk.features import BarFeatures
from tradebot.desk.strategy_views import ViewBuilder
from tradebot.lab.backtest import setup
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.setup import BacktestSetup, Margin, assemble, loaded_strategies
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.model.view import BarNeed, FeatureNeed, Needs
from tradebot.ports.strategy import Strategy

SPEC = MarketSpec(symbols=("AAPL", "SPY"), sessions=2, start=date(2025, 3, 3), cash=Decimal(50_000))
SETTINGS = load(None, {}).settings


def assembled() -> BacktestSetup:
    return assemble(SETTINGS, SPEC, [Wanting()], MemoryFacts())


def test_account_is_that_of_an_exchange_and_its_books_know_the_calendar(
    new_world: Callable[[MarketSpec], World],
) -> None:
    made, world = assembled(), new_world(SPEC)
    assert made.ledger.account_number == world.engine.main.number
    assert made.now() == made.ledger.books_opened_at()
    assert made.engine.now_us == world.engine.now_us
    other = assemble(SETTINGS, replace(SPEC, seed=8), [], MemoryFacts())
    assert other.ledger.account_number != made.ledger.account_number
    assert (made.ledger.opening_cash(), made.ledger.trading_state().state) == (Decimal(50_000), TradingState.ACTIVE)
    assert [session.date for session in made.sessions] == [date(2025, 3, 3), date(2025, 3, 4)]
    assert set(made.sessions) <= set(made.ledger.sessions(date(2024, 1, 1), date(2026, 1, 1)))
    assert made.world.features is None, "it needs none"


def test_plugins_cannot_read_the_files_of_the_market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Path] = []

    def started(
        names: object, surroundings: PluginEnvironment, installed_as: object, **_: object
    ) -> tuple[Strategy, ...]:
        kept.extend(surroundings.private)
        return ()

    monkeypatch.setattr(setup, "strategies", started)
    market = {"path": str(tmp_path / "m.csv"), "flow_folder": str(tmp_path / "flow"), "source": "csv"}
    settings = load(None, {}, {"sandbox": {**market, "costs": {"rates_path": str(tmp_path / "r.csv")}}}).settings
    with loaded_strategies(settings, tmp_path / "state", {}):
        assert {tmp_path / name for name in ("state", "m.csv", "m.actions.csv", "flow", "r.csv")} <= {*kept}


@pytest.mark.parametrize(("margin", "buying_power"), [("reg_t", 100_000), ("free", 50_000_000)])
def test_buying_power_is_twice_the_equity_unless_margin_is_free(margin: Margin, buying_power: int) -> None:
    made = assemble(SETTINGS, SPEC, [], MemoryFacts(), margin=margin)
    assert made.world.reader.account().buying_power == buying_power


FEATURES = FeatureNeed("5Min", ("rsi_14", "from_vwap", "from_high", "volume_of_bar", "minutes_left", "body"))


def test_features_of_a_session_are_computed_once_and_are_those_of_each_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = Stub("policy", needs=Needs(features=(replace(FEATURES, names=(), optional=FEATURES.names),)))
    settings = load(None, {}, {"universe": [*SPEC.symbols]}).settings
    made, counted = assemble(settings, SPEC, [strategy], MemoryFacts()), list[datetime]()
    assert isinstance(made.world.features, BarFeatures)
    bars = made.world.features._bars

    def closed(need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        counted.append(until)
        return EngineBars.closed(cast("EngineBars", bars), need, symbols, until)

    monkeypatch.setattr(bars, "closed", closed)
    for session in made.sessions:
        for minute in range(1, 400, 31):
            now = session.open + timedelta(minutes=minute)
            made.advance(now)
            rows = [
                ViewBuilder(world, made.now(), [strategy]).of(strategy).view.features
                for world in (made.world, replace(made.world, features=None))
            ]
            assert (rows[0], {symbol for symbol, _ in rows[0]}) == (rows[1], {*SPEC.symbols})
            assert minute < 30 or "from_vwap" in rows[0]["AAPL", "5Min"].values
    # Two symbols, and besides each session as a whole the moment before its first bar had closed.
    assert len(counted) == 2 * 2 * len(made.sessions)
