"""The values of `tradebot status`: what a pass did, what a comparison found, and which orders still work."""

from decimal import Decimal

import pytest

from tests.kit.rows import NOW, make_cycle, make_order
from tradebot.model.account import EquityPeak
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.flow import Intake
from tradebot.model.order import OrderStatus
from tradebot.model.reasons import Reason
from tradebot.model.record import Job, StrategyRefusal
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ReconcileMark
from tradebot.views.status import (
    drawdown,
    equity,
    last_pass,
    last_reconcile,
    open_order,
)

BROKEN = StrategyRefusal("flow", Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED))
ANSWERS = tuple(Intake("flow_alerts", symbol, NOW, rows, (), 0, 0, ()) for symbol, rows in (("A", 2), ("B", 0)))


@pytest.mark.parametrize(
    ("job", "did"),
    [
        (Job.FETCH_FLOW, "2 answers, 2 rows"),
        (Job.SCORE, "2 scored, 0 candidates"),
        (Job.TRADE_ONCE, "2 looked at, 0 sent"),
    ],
)
def test_last_pass_says_what_it_did(job: Job, did: str) -> None:
    assert last_pass(replace(make_cycle("c", job=job), job_decision=None), ANSWERS).did == did


def test_last_pass_names_a_broken_strategy_or_its_own_refusal() -> None:
    failed = replace(make_cycle("c"), job_decision=None, refused_strategies=(BROKEN,))
    assert last_pass(failed).did == "2 looked at, 0 sent; strategy flow is BROKEN (STRATEGY_FAILED)"
    assert last_pass(make_cycle("c")).did == f"refused: {make_cycle('c').job_decision.reason}"  # type: ignore[union-attr]


def test_last_reconcile_says_what_it_found() -> None:
    assert last_reconcile(ReconcileMark(NOW, blocking=1, findings=3)).did == "3 findings, 1 blocking"


def test_open_order_shows_its_open_quantity_and_a_sent_cancel() -> None:
    order = replace(make_order(status=OrderStatus.PARTIALLY_FILLED), quantity=Decimal(10), filled_quantity=Decimal(4))
    shown = open_order(order, ending=False)
    assert shown.quantity == 6
    assert shown.status == "partially_filled"
    assert open_order(order, ending=True).status == "cancel sent"


@pytest.mark.parametrize(("highest", "fallen"), [("1000", "0.1"), ("900", "0"), ("800", "0"), ("0", None)])
def test_drawdown_is_measured_from_the_highest_equity(highest: str, fallen: str | None) -> None:
    seen = equity([replace(make_cycle("pass", NOW), equity=Decimal(900))])
    found = drawdown(seen, EquityPeak(Decimal(highest), Decimal(0)))
    assert found == (None if fallen is None else Decimal(fallen))
    assert drawdown(seen, None) is None
    assert drawdown(None, EquityPeak(Decimal(1), Decimal(0))) is None
