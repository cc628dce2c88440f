"""What a strategy sees: the kinds of facts that it needs, and nothing else."""

from collections.abc import Sequence

import pytest

from tests.adapters.samples import make_tick
from tests.builders import NOW, ago, alert, dark_print
from tests.worlds import NAMES, Scene
from tradebot.desk.views import Sights
from tradebot.model.flow import Intake
from tradebot.model.kind import Fact
from tradebot.model.needs import Needs
from tradebot.model.values import replace
from tradebot.model.view import StrategyView
from tradebot.model.wants import Want
from tradebot.ports.world import World
from tradebot.signals.kinds.dark_pool import KIND

TICK = replace(make_tick("t"), at=ago(60))


class Reader:
    """A strategy that reads some kinds of facts and wants nothing."""

    name, times = "flow", ""

    def __init__(self, *kinds: str) -> None:
        self.needs = Needs(facts=frozenset(kinds))

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return ()


@pytest.fixture
def world() -> World:
    """Return a world in which an alert, a print and a tick are known."""
    scene = Scene()

    def stored(kind: str, symbol: str | None, fact: Fact) -> None:
        scene.facts.store(Intake(kind, symbol, ago(30), 4, (fact,), 2, 0, ()))

    stored("flow_alerts", NAMES[0], alert())
    stored("dark_pool", NAMES[0], dark_print())
    stored("market_tide", None, TICK)
    return scene.world()


def seen(world: World, *kinds: str) -> StrategyView:
    return Sights(world, NOW, [Reader(*kinds)]).of(Reader(*kinds)).view


def test_a_strategy_sees_the_kinds_that_it_needs_and_no_others(world: World) -> None:
    assert seen(world, "flow_alerts", "market_tide").facts[NAMES[0]].known == {"flow_alerts": (alert(),)}
    found = seen(world, "dark_pool")
    assert found.facts[NAMES[0]].known == {"dark_pool": KIND.condense([KIND.lean(dark_print())])}
    assert (found.market, seen(world, "market_tide").market) == ({}, {"market_tide": (TICK,)})


def test_the_last_reply_with_alerts_is_told_to_those_who_need_alerts(world: World) -> None:
    told, silent = (seen(world, kind).facts[NAMES[0]] for kind in ("flow_alerts", "dark_pool"))
    assert (told.alerts_fetched_at, told.received, told.foreign, told.has_usable_alerts) == (ago(30), 4, 2, True)
    assert (silent.alerts_fetched_at, silent.received, silent.foreign, silent.has_usable_alerts) == (None, 0, 0, False)


def test_who_needs_no_facts_sees_none_and_has_none_read(world: World) -> None:
    blind = replace(world, facts=None)  # type: ignore[arg-type]
    view = seen(blind)
    assert (view.facts, view.market, view.universe) == ({}, {}, tuple(NAMES))
