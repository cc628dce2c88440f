"""The inputs that an explanation shows are those that the score was computed from."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import DAY, NOW, ago, alert, fetched_facts
from tests.strategies.test_flow import SETTINGS, full, tide
from tradebot.model.inputs import ComponentInputs, Input
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts
from tradebot.model.view import StrategyView
from tradebot.signals.formula import evaluate
from tradebot.signals.kinds.dark_pool import KIND as PRINTS
from tradebot.signals.kinds.dark_pool import SignedPrint
from tradebot.signals.kinds.flow_alerts import KIND as ALERTS
from tradebot.signals.kinds.greek_exposure import GammaFacts
from tradebot.signals.kinds.iv_rank import IvRank
from tradebot.signals.kinds.market_tide import TideTick
from tradebot.signals.kinds.oi_change import OiFacts
from tradebot.strategies.flow import FlowStrategy

STRATEGY = FlowStrategy(SETTINGS)


def number(found: ComponentInputs, name: str) -> float:
    return next(float(value.value) for value in found.values if value.name == name)


def recomputed(found: ComponentInputs) -> float | None:
    if found.absent:
        return None

    return evaluate(found.formula, {value.name: float(value.value) for value in found.values})


def explained(facts: SymbolFacts | None, seen: Mapping[str, object]) -> tuple[ComponentInputs, ...]:
    view = StrategyView(NOW, ["AAPL"], {"AAPL": facts} if facts else {}, seen)
    (candidate,) = STRATEGY.propose(view)
    found = STRATEGY.inputs(view, "AAPL")
    assert [part.component for part in found] == [part.name for part in candidate.components]
    for part, component in zip(found, candidate.components, strict=True):
        again = recomputed(part)
        assert (again is None) == (component.value is None), part
        assert again == pytest.approx(component.value or 0.0 if again is not None else None)
    return found


usd = st.integers(0, 3_000_000).map(Decimal)
alerts = st.builds(
    lambda n, right, ask, bid, late: alert(n, right, ask_premium=ask, bid_premium=bid, at=ago(late)),
    st.integers(1, 99),
    st.sampled_from(Right),
    usd,
    usd,
    st.integers(0, 4000),
)
prints = st.builds(
    lambda late, usd, sign: SignedPrint(ago(late), usd, sign),
    st.integers(0, 4000),
    st.floats(0, 1e8),
    st.sampled_from([-1, 0, 1]),
)
ticks = st.builds(lambda call, put: TideTick("t", NOW, call, -put, 0), usd, usd)
facts = st.builds(
    lambda alerts, prints, gamma, rank, oi: fetched_facts(
        "AAPL",
        known={
            name: value
            for name, value in {
                "flow_alerts": ALERTS.condense(alerts),
                "dark_pool": PRINTS.condense(prints) if prints else None,
                "greek_exposure": gamma,
                "iv_rank": rank,
                "oi_change": oi,
            }.items()
            if value
        },
    ),
    st.lists(alerts, max_size=4),
    st.lists(prints, max_size=4),
    st.none() | st.builds(GammaFacts, st.floats(-5, 5), st.none() | st.floats(0, 5), st.integers(0, 9), st.just(DAY)),
    st.none() | st.integers(0, 100).map(lambda rank: IvRank("d", "AAPL", DAY, Decimal(rank), Decimal("0.2"))),
    st.none() | st.integers(-500, 500).map(lambda net: OiFacts(net, abs(net) * 2, 3, DAY)),
)  # fmt: skip


@settings(max_examples=100)
@given(facts, st.lists(ticks, max_size=2))
def test_each_component_follows_from_its_inputs_by_its_formula(known: SymbolFacts, seen: list[TideTick]) -> None:
    explained(known, {"market_tide": tuple(seen)} if seen else {})


def test_what_is_absent_says_why() -> None:
    assert all(part.absent for part in explained(None, {}))
    assert not any(part.absent for part in explained(full(), tide()))


def test_each_alert_that_counts_is_shown_with_its_time_newest_first() -> None:
    flow = explained(full(), tide())[0]
    shown = [value for value in flow.values if isinstance(value, Input) and value.name.startswith("call 100 ")]
    assert [value.at for value in shown] == [NOW - timedelta(minutes=n) for n in (1, 2, 3)]
    assert {value.value for value in shown} == {Decimal(400_000)}
