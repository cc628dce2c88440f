"""What a strategy sees: the kinds of facts that it needs, and nothing else."""

from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import pytest

from tests.desk.test_fetching import Reader
from tests.kit.core.scene import NAMES, Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import Wanting
from tests.kit.rows import make_tick
from tests.kit.values import CASH, NOW, ago, alert, dark_print
from tradebot.desk.strategy_views import MOST_BARS_TOGETHER, StrategyInputs, ViewBuilder
from tradebot.errors import TemporaryError
from tradebot.model.fact_kind import Fact
from tradebot.model.flow import Intake
from tradebot.model.limits import StrategyRules
from tradebot.model.reasons import Reason
from tradebot.model.series import DAY, PriceKind, Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed, Needs, StrategyView, Target
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import World
from tradebot.signals.subjects.dark_pool import DARK_POOL_KIND


class FakeBars:
    def __init__(self, count: Mapping[str, int], *, away: bool = False) -> None:
        self.count, self.away, self.asked = count, away, list[tuple[BarNeed, tuple[str, ...], datetime]]()

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        self.asked.append((need, tuple(symbols), until))
        if self.away:
            raise TemporaryError("the data service doesn't answer")
        return {symbol: series(symbol, need, self.count[symbol]) for symbol in symbols if symbol in self.count}


def series(symbol: str, need: BarNeed, count: int) -> Series:
    prices = array("d", range(1, count + 1))
    starts = array("q", range(count))
    return Series(symbol, need.timeframe, need.adjusted, starts, prices, prices, prices, prices, prices, need.price)


def asking(*bars: BarNeed, name: str = "momentum", **needs: bool) -> Wanting:
    strategy = Wanting(name=name)
    strategy.needs = Needs(bars=bars, **needs)  # type: ignore[arg-type]
    return strategy


def asking_for(scene: Scene, *strategies: Strategy, bars: FakeBars | None = None) -> World:
    return replace(scene.world(), strategies=strategies, bars=bars or FakeBars({}))


def sees(scene: Scene, strategy: Strategy, bars: FakeBars | None = None) -> StrategyInputs:
    return ViewBuilder(asking_for(scene, strategy, bars=bars), NOW, [strategy]).of(strategy)


def test_a_strategy_without_needs_sees_the_time_and_its_universe() -> None:
    scene, bars = Scene(), FakeBars({"AAPL": 10})
    view = sees(scene, asking(), bars).view
    assert (view.now, view.universe) == (NOW, scene.universe)
    assert (view.facts, view.market, view.series, view.quotes, view.lots, view.equity_usd) == ({}, {}, {}, {}, {}, None)
    assert bars.asked == []


@pytest.mark.parametrize(
    ("needs", "seen"),
    [
        (Needs(lots=True, equity=True), ago(3600)),
        (Needs(quotes=True), NOW),
        (Needs(facts=frozenset({"dark_pool"})), NOW),
    ],
)
def test_view_of_slot_is_of_its_start_unless_quotes_or_flow_are_of_now(needs: Needs, seen: datetime) -> None:
    strategy = asking()
    strategy.needs = needs
    world = asking_for(Scene(), strategy)
    assert ViewBuilder(world, NOW, [strategy]).of(strategy, slot="open+5m", as_of=ago(3600)).view.now == seen


def test_a_symbol_with_too_few_bars_is_left_out_with_its_numbers() -> None:
    found = sees(Scene(), asking(BarNeed(DAY, 5)), FakeBars({"AAPL": 5, "MSFT": 4}))
    assert found.view.universe == ("AAPL",)
    reasons = {
        left.symbol: (left.decision.reason, left.decision.observed, left.decision.limit) for left in found.left_out
    }
    assert reasons == {
        "MSFT": (Reason.BARS_MISSING, 4, 5), "JPM": (Reason.BARS_MISSING, 0, 5), "XOM": (Reason.BARS_MISSING, 0, 5),
    }  # fmt: skip


def test_symbol_that_was_listed_lately_is_seen_with_the_least_bars_that_are_enough() -> None:
    found = sees(Scene(), asking(BarNeed(DAY, 5, least=3)), FakeBars({"AAPL": 9, "MSFT": 3, "JPM": 2}))
    assert {symbol: len(found.view.bars(symbol)) for symbol in found.view.universe} == {"AAPL": 5, "MSFT": 3}
    assert [(left.symbol, left.decision.observed, left.decision.limit) for left in found.left_out] == [
        ("JPM", 2, 3),
        ("XOM", 0, 3),
    ]


def test_spot_bars_are_seen_beside_those_of_trades_where_the_venue_has_them() -> None:
    scene, bars = Scene(), FakeBars({"AAPL": 5})
    strategy = asking(BarNeed(DAY, 5), BarNeed(DAY, 4, price=PriceKind.SPOT))
    offered = frozenset({PriceKind.TRADE, PriceKind.SPOT})
    scene.venue.capabilities = replace(scene.venue.capabilities, bar_prices=offered)
    view = ViewBuilder(asking_for(scene, strategy, bars=bars), NOW, [strategy]).of(strategy).view
    assert [len(view.bars("AAPL", price=price)) for price in (PriceKind.TRADE, PriceKind.SPOT)] == [5, 4]


class StoppedBars(FakeBars):
    """Quarter-hour bars, of which each symbol's newest one ended so many seconds ago."""

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        found = {symbol: series(symbol, need, 4) for symbol in symbols if symbol in self.count}
        ends = {symbol: int(until.timestamp()) - self.count[symbol] for symbol in found}
        stamps = {symbol: [end - 900 * place for place in (4, 3, 2, 1)] for symbol, end in ends.items()}
        return {symbol: replace(one, starts=array("q", stamps[symbol])) for symbol, one in found.items()}


def test_a_symbol_whose_spot_bars_have_stopped_is_left_out_however_well_it_is_quoted_itself() -> None:
    scene, strategy = Scene(), asking(BarNeed("15Min", 4, price=PriceKind.SPOT, max_age_s=1200), quotes=True)
    scene.venue.capabilities = replace(scene.venue.capabilities, bar_prices=frozenset(PriceKind))
    found = sees(scene, strategy, StoppedBars({"AAPL": 0, "MSFT": 1200, "JPM": 1201}))
    assert (found.view.universe, found.unmet) == (("AAPL", "MSFT"), None)
    said = {left.symbol: (left.decision.reason, left.decision.observed) for left in found.left_out}
    assert said == {"JPM": (Reason.BARS_STALE, 1201.0), "XOM": (Reason.BARS_MISSING, 0)}


def test_need_for_a_price_that_the_venue_lacks_is_refused_and_nothing_is_asked() -> None:
    bars = FakeBars({"AAPL": 5})
    found = sees(Scene(), asking(BarNeed(DAY, 5), BarNeed(DAY, 5, price=PriceKind.SPOT)), bars)
    assert found.unmet is not None
    assert (found.unmet.reason, found.unmet.observed, found.unmet.limit) == (Reason.BARS_NOT_OFFERED, "spot", "trade")
    assert (found.view.universe, bars.asked) == ((), [])


def test_it_sees_as_many_bars_as_it_needs_and_the_deeper_of_two_needs() -> None:
    view = sees(Scene(), asking(BarNeed(DAY, 7), BarNeed(DAY, 3)), FakeBars({"AAPL": 9})).view
    assert list(view.bars("AAPL").close) == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    with pytest.raises(KeyError):
        view.bars("AAPL", "5Min")


def test_bars_of_other_symbols_are_seen_and_leave_nothing_out() -> None:
    market = BarNeed(DAY, 2, symbols=("SPY",))
    found = sees(Scene(), asking(market), FakeBars({"SPY": 2}))
    assert (found.view.universe, found.left_out) == (Scene().universe, ())
    assert len(found.view.bars("SPY")) == 2


@pytest.mark.parametrize(
    ("bars", "need", "reason"),
    [
        (FakeBars({}, away=True), BarNeed(DAY, 5), Reason.BARS_UNAVAILABLE),
        (FakeBars({"AAPL": 5}), BarNeed("1Min", MOST_BARS_TOGETHER // 4 + 1), Reason.BARS_TOO_MANY),
    ],
)
def test_without_its_bars_a_strategy_is_not_asked_and_the_others_are(
    bars: FakeBars, need: BarNeed, reason: Reason
) -> None:
    scene, blind = Scene(), asking(need)
    blind.wants = (Target("MSFT", quantity=Decimal(5)),)
    both = replace(scene.world(wanted("AAPL")), bars=bars)
    both = replace(both, strategies=(blind, *both.strategies))
    record = trade_once(both, call())
    assert [(r.strategy, r.symbol, r.decision.reason) for r in record.refused_strategies] == [
        ("momentum", None, reason)
    ]
    assert [(r.candidate.strategy, r.candidate.symbol, r.terminal) for r in record.candidates] == [
        ("flow", "AAPL", None)
    ]


def test_a_symbol_without_a_quote_is_left_out_of_who_needs_quotes() -> None:
    scene = Scene()
    del scene.venue.prices["JPM"]
    found = sees(scene, asking(quotes=True))
    assert found.view.universe == ("AAPL", "MSFT", "XOM") == tuple(found.view.quotes)
    assert [(left.symbol, left.decision.reason) for left in found.left_out] == [("JPM", Reason.QUOTE_MISSING)]


def test_it_sees_its_own_lots_and_its_allotments_equity() -> None:
    scene = Scene()
    for name in ("momentum", "flow"):
        buying = replace(asking_for(scene, Wanting(Target("AAPL", quantity=Decimal(5)), name=name)))
        trade_once(buying, call(slot=name))
        scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
        scene.later(3600)
    evaluate_exits(scene.world(), call(slot="book"))
    strategy = asking(lots=True, equity=True)
    asked = asking_for(scene, strategy)
    quarter = StrategyRules(scene.universe, scene.limits, Decimal("0.25"))
    asked = replace(asked, rules=replace(asked.rules, own={"momentum": quarter}))
    view = ViewBuilder(asked, scene.venue.now, [strategy]).of(strategy).view
    assert {symbol: (lot.strategy, int(lot.quantity)) for symbol, lot in view.lots.items()} == {"AAPL": ("momentum", 5)}
    assert view.equity_usd == asked.reader.account().equity / 4
    assert view.equity_usd < CASH


def test_it_sees_the_trades_that_it_closed_and_nobody_elses() -> None:
    scene = Scene()
    for name, quantity, price in (
        ("momentum", 5, "100"),
        ("flow", 5, "100"),
        ("momentum", 0, "98"),
        ("flow", 0, "103"),
    ):
        wanting = asking_for(scene, Wanting(Target("AAPL", quantity=Decimal(quantity)), name=name))
        trade_once(wanting, call(slot=f"{name} {quantity}"))
        scene.venue.fill(scene.venue.submitted[-1].client_order_id, price)
        scene.later(3600)
    evaluate_exits(scene.world(), call(slot="book"))
    strategy, blind = asking(trades=True), asking(lots=True)
    sights = ViewBuilder(asking_for(scene, strategy), scene.venue.now, [strategy])
    found = sights.of(strategy).view.trades
    assert {symbol: [(one.strategy, one.profit) for one in trades] for symbol, trades in found.items()} == {
        "AAPL": [("momentum", Decimal(-10))]
    }
    assert sights.of(blind).view.trades == {}


def test_it_sees_what_the_books_keep_of_its_own_lots_and_of_no_others() -> None:
    scene = Scene()
    stop, atr, invalid = Decimal("0.05"), Decimal("0.04"), Decimal("0.02")
    want = replace(wanted("AAPL"), stop_loss_fraction=stop, atr_fraction=atr, invalid_fraction=invalid)
    other = asking_for(scene, Wanting(Target("AAPL", quantity=Decimal(5)), name="momentum"))
    for world, slot in ((other, "momentum"), (scene.world(want), "flow")):
        trade_once(world, call(slot=slot))
        scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
        scene.later(3600)
    evaluate_exits(scene.world(), call(slot="book"))
    blind = asking(name="flow", equity=True)
    assert ViewBuilder(asking_for(scene, blind), scene.venue.now, [blind]).of(blind).view.kept == {}
    strategy = asking(name="flow", lots=True)
    (kept,) = ViewBuilder(asking_for(scene, strategy), scene.venue.now, [strategy]).of(strategy).view.kept.values()
    found = kept.stop_loss_fraction, kept.atr_fraction, kept.invalid_fraction, kept.entry_score
    assert found == (stop, atr, invalid, want.score)
    # A strategy answers the same through its whole slot, whatever quotes do to these.
    assert (kept.best, kept.worst) == (None, None)
    assert kept.original_quantity == scene.venue.submitted[-1].quantity


TICK = replace(make_tick("t"), at=ago(60))


@pytest.fixture
def world() -> World:
    scene = Scene()

    def stored(kind: str, symbol: str | None, fact: Fact) -> None:
        scene.facts.store(Intake(kind, symbol, ago(30), 4, (fact,), 2, 0, ()))

    stored("flow_alerts", NAMES[0], alert())
    stored("dark_pool", NAMES[0], dark_print())
    stored("market_tide", None, TICK)
    return scene.world()


def seen(world: World, *kinds: str) -> StrategyView:
    return ViewBuilder(world, NOW, [Reader("flow", *kinds)]).of(Reader("flow", *kinds)).view


def test_a_strategy_sees_the_kinds_that_it_needs_and_no_others(world: World) -> None:
    assert seen(world, "flow_alerts", "market_tide").facts[NAMES[0]].known == {"flow_alerts": (alert(),)}
    found = seen(world, "dark_pool")
    assert found.facts[NAMES[0]].known == {"dark_pool": DARK_POOL_KIND.condense([DARK_POOL_KIND.lean(dark_print())])}
    assert (found.market, seen(world, "market_tide").market) == ({}, {"market_tide": (TICK,)})


def test_the_last_reply_with_alerts_is_told_to_those_who_need_alerts(world: World) -> None:
    told, silent = (seen(world, kind).facts[NAMES[0]] for kind in ("flow_alerts", "dark_pool"))
    assert (told.alerts_fetched_at, told.received, told.foreign, told.has_usable_alerts) == (ago(30), 4, 2, True)
    assert (silent.alerts_fetched_at, silent.received, silent.foreign, silent.has_usable_alerts) == (None, 0, 0, False)


def test_who_needs_no_facts_sees_none_and_has_none_read(world: World) -> None:
    blind = replace(world, facts=None)  # type: ignore[arg-type]
    view = seen(blind)
    assert (view.facts, view.market, view.universe) == ({}, {}, tuple(NAMES))
