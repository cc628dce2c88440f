"""The flow strategy: one want per symbol, with its components, its side and its own decision."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.builders import DAY, NOW, ago, alert, fetched_facts
from tradebot.model.candidate import ComponentName, Side
from tradebot.model.decision import Verdict
from tradebot.model.flow import IvRank, SignedPrint, TideTick
from tradebot.model.instrument import Right
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts, TideFacts
from tradebot.model.view import StrategyView
from tradebot.model.wants import Open
from tradebot.strategies.flow import FlowSettings, FlowStrategy

SETTINGS: dict[str, object] = FlowSettings(
    weights=dict(zip(ComponentName, (0.4, 0.15, 0.15, 0.1, 0.08, 0.12), strict=True)),
    lookback_s=1800,
    min_alert_premium_usd=50_000,
    max_days_to_expiry=45,
    cluster_window_s=600,
    min_cluster=3,
    premium_scale_usd=1_500_000,
    long_only=False,
).model_dump()
NO_TIDE = TideFacts()


def full(right: Right = Right.CALL) -> SymbolFacts:
    """Return facts in which every component leans the way of bought options of this right."""
    sign = 1 if right is Right.CALL else -1
    return fetched_facts(
        "AAPL",
        alerts=tuple(alert(n, right) for n in (1, 2, 3)),
        prints=(SignedPrint(ago(60), 100_000.0, sign),),
        gex=-2.0,
        gex_scale=2.0,
        gex_sessions=1,
        iv_rank=IvRank("d", "AAPL", DAY, Decimal(10), Decimal("0.2")),
        oi_net=500 * sign,
        oi_gross=500,
        oi_contracts=1,
    )


def tide(right: Right = Right.CALL) -> TideFacts:
    net = Decimal(100 if right is Right.CALL else -100)
    return TideFacts((TideTick("t", NOW, net, Decimal(0), 0),))


def proposed(facts: SymbolFacts | None, seen: TideFacts = NO_TIDE, /, **changes: object) -> Open:
    strategy = FlowStrategy({**SETTINGS, **changes})
    (found,) = strategy.propose(StrategyView(NOW, ["AAPL"], {"AAPL": facts} if facts else {}, seen))
    return found


def test_bought_calls_make_a_buy_and_bought_puts_its_mirror() -> None:
    up, down = proposed(full(), tide()), proposed(full(Right.PUT), tide(Right.PUT))
    assert (up.side, down.side) == (Side.BUY, Side.SELL)
    assert up.score > 0.5
    assert down.score == -up.score
    assert up.coverage == down.coverage == pytest.approx(1)
    assert up.decisions[0].verdict is down.decisions[0].verdict is Verdict.PASS


def test_each_component_is_named_once_with_its_weight_and_source() -> None:
    components = proposed(full(), tide()).components
    assert [c.name for c in components] == list(ComponentName)
    assert {c.name: c.weight for c in components} == SETTINGS["weights"]
    assert [c.source for c in components] == [
        "3 alerts",
        "1 prints",
        "1 ticks",
        "1 earlier sessions",
        "last session",
        "1 contracts",
    ]


def test_what_was_never_fetched_is_absent_and_not_zero() -> None:
    found = proposed(None)
    assert [c.value for c in found.components] == [None] * 6
    assert (found.score, found.coverage) == (0, 0)
    assert found.decisions[0].reason is Reason.NO_DIRECTION


def test_no_alert_among_those_fetched_is_a_flow_of_zero() -> None:
    found = proposed(fetched_facts("AAPL"))
    assert found.components[0].value == 0
    assert found.coverage == pytest.approx(0.4)


def test_data_that_goes_missing_weakens_the_score() -> None:
    whole, part = proposed(full(), tide()), proposed(replace(full(), prints=(), oi_contracts=0), tide())
    assert 0 < part.score < whole.score
    assert part.coverage == pytest.approx(0.73)


@pytest.mark.parametrize(
    ("facts", "changes", "reason"),
    [
        (replace(full(), alerts=full().alerts[:2]), {}, Reason.CLUSTER_TOO_SMALL),
        (full(), {"min_cluster": 4}, Reason.CLUSTER_TOO_SMALL),
        (full(), {"cluster_window_s": 119}, Reason.CLUSTER_TOO_SMALL),
        (full(Right.PUT), {"long_only": True}, Reason.LONG_ONLY),
        (fetched_facts("AAPL"), {}, Reason.NO_DIRECTION),
    ],
)
def test_the_strategys_own_filters_say_why(facts: SymbolFacts, changes: dict[str, object], reason: Reason) -> None:
    (said,) = proposed(facts, **changes).decisions
    assert (said.verdict, said.reason) == (Verdict.FAIL, reason)


def test_a_cluster_counts_only_alerts_of_the_scores_own_direction() -> None:
    late = tuple(replace(alert(n, Right.PUT, bid_premium=Decimal(399_000)), id=f"p{n}") for n in (4, 5))
    facts = replace(full(), alerts=(*full().alerts[:2], *late))
    assert proposed(facts).decisions[0].observed == 2


def test_one_want_per_symbol_the_strongest_first_refused_ones_included() -> None:
    weak = replace(full(), symbol="MSFT", alerts=())
    view = StrategyView(NOW, ["MSFT", "ZZZZ", "AAPL"], {"AAPL": full(), "MSFT": weak}, tide())
    found = FlowStrategy(SETTINGS).propose(view)
    assert [c.symbol for c in found] == ["AAPL", "MSFT", "ZZZZ"]
