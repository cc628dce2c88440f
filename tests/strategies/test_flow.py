"""The flow strategy: one want per symbol, with its components, its side and its own decision."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from pydantic import ValidationError

from tests.builders import DAY, NOW, ago, alert, fetched_facts
from tradebot.model.candidate import Side
from tradebot.model.decision import Verdict
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.model.values import replace
from tradebot.model.view import StrategyView
from tradebot.model.wants import Open
from tradebot.signals.kinds.dark_pool import KIND as PRINTS
from tradebot.signals.kinds.dark_pool import SignedPrint
from tradebot.signals.kinds.flow_alerts import KIND as ALERTS
from tradebot.signals.kinds.greek_exposure import GammaFacts
from tradebot.signals.kinds.iv_rank import IvRank
from tradebot.signals.kinds.market_tide import TideTick
from tradebot.signals.kinds.oi_change import OiFacts
from tradebot.signals.kinds.options_volume import OptionsVolumeFacts
from tradebot.strategies.flow import FlowStrategy
from tradebot.strategies.flow_settings import FilterSettings, FlowSettings

WEIGHTS = {
    "flow": 0.4,
    "dark_pool": 0.15,
    "market_tide": 0.15,
    "greek_exposure": 0.1,
    "iv_rank": 0.08,
    "oi_change": 0.12,
}
SETTINGS: dict[str, object] = FlowSettings(
    weights=WEIGHTS,
    lookback_s=1800,
    filters=FilterSettings(min_premium=50_000, min_dte=0, max_dte=45, is_multi_leg=False),
    flow_scale_share=0.005,
    min_trailing_sessions=5,
    min_families=2,
    min_family_contribution=0.02,
    cluster_window_s=600,
    min_cluster=3,
    long_only=False,
).model_dump()
USUAL = OptionsVolumeFacts(300_000_000.0, 20)
"""What AAPL's options trade on a usual day: flow is measured against half a percent of it, 1.5 million."""
NO_TIDE: Mapping[str, object] = {}


def full(right: Right = Right.CALL) -> SymbolFacts:
    sign = 1 if right is Right.CALL else -1
    known = {
        "flow_alerts": ALERTS.condense([alert(n, right) for n in (1, 2, 3)]),
        "dark_pool": PRINTS.condense([SignedPrint(ago(60), 100_000.0, sign)]),
        "greek_exposure": GammaFacts(-2.0, 2.0, 1, DAY),
        "iv_rank": IvRank("d", "AAPL", DAY, Decimal(10), Decimal("0.2")),
        "oi_change": OiFacts(500 * sign, 500, 1, DAY),
        "options_volume": USUAL,
    }
    return fetched_facts("AAPL", known=known)


def quiet() -> SymbolFacts:
    """Return the facts of a symbol without alerts, prints or anything else of this session."""
    return fetched_facts("AAPL", known={"options_volume": USUAL})


def with_alerts(*alerts: FlowAlert) -> SymbolFacts:
    return replace(full(), known={**full().known, "flow_alerts": ALERTS.condense(alerts)})


def without(*kinds: str) -> SymbolFacts:
    return full().only(full().known.keys() - set(kinds))


def tide(right: Right = Right.CALL) -> Mapping[str, object]:
    net = Decimal(100 if right is Right.CALL else -100)
    return {"market_tide": (TideTick("t", NOW, net, Decimal(0), 0),)}


def proposed(facts: SymbolFacts | None, seen: Mapping[str, object] = NO_TIDE, /, **changes: object) -> Open:
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
    assert [c.name for c in components] == list(WEIGHTS)
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
    found = proposed(quiet())
    assert found.components[0].value == 0
    assert found.coverage == pytest.approx(0.4)


def test_data_that_goes_missing_weakens_the_score() -> None:
    whole, part = proposed(full(), tide()), proposed(without("dark_pool", "oi_change"), tide())
    assert 0 < part.score < whole.score
    assert part.coverage == pytest.approx(0.73)


@pytest.mark.parametrize(
    ("facts", "changes", "reason"),
    [
        (with_alerts(*full().alerts[:2]), {}, Reason.CLUSTER_TOO_SMALL),
        (full(), {"min_cluster": 4}, Reason.CLUSTER_TOO_SMALL),
        (full(), {"cluster_window_s": 119}, Reason.CLUSTER_TOO_SMALL),
        (full(Right.PUT), {"long_only": True}, Reason.LONG_ONLY),
        (quiet(), {}, Reason.NO_DIRECTION),
    ],
)
def test_the_strategys_own_filters_say_why(facts: SymbolFacts, changes: dict[str, object], reason: Reason) -> None:
    (said,) = proposed(facts, **changes).decisions
    assert (said.verdict, said.reason) == (Verdict.FAIL, reason)


def test_a_cluster_counts_only_alerts_of_the_scores_own_direction() -> None:
    late = tuple(replace(alert(n, Right.PUT, bid_premium=Decimal(399_000)), id=f"p{n}") for n in (4, 5))
    facts = with_alerts(*full().alerts[:2], *late)
    assert proposed(facts).decisions[0].observed == 2


def test_one_want_per_symbol_the_strongest_first_refused_ones_included() -> None:
    weak = replace(with_alerts(), symbol="MSFT")
    view = StrategyView(NOW, ["MSFT", "ZZZZ", "AAPL"], {"AAPL": full(), "MSFT": weak}, tide())
    found = FlowStrategy(SETTINGS).propose(view)
    assert [c.symbol for c in found] == ["AAPL", "MSFT", "ZZZZ"]


def test_a_component_without_a_weight_is_off_and_what_only_it_reads_is_not_needed() -> None:
    weights = {"flow": 0.4, "oi_change": 0.6, "iv_rank": 0.0}
    assert [part.name for part in proposed(full(), weights=weights).components] == ["flow", "oi_change"]
    assert FlowStrategy({**SETTINGS, "weights": weights}).needs.facts == {"flow_alerts", "options_volume", "oi_change"}
    assert FlowStrategy({**SETTINGS, "weights": {"dark_pool": 1}}).needs.facts == {"flow_alerts", "dark_pool"}


def test_an_unknown_component_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ValidationError, match="there is no component 'darkpool'; did you mean dark_pool"):
        FlowStrategy({**SETTINGS, "weights": {"darkpool": 1}})
