"""What trading cost: each kind from the books, and by how much it slowed the account."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.trades import CASH, past, rotated, sessions
from tests.kit.values import cash_movement, there
from tradebot.model.order import Fee
from tradebot.model.position import Origin
from tradebot.model.trade import Asked, FilledOrder, Sent
from tradebot.model.values import replace
from tradebot.views.performance import statistics
from tradebot.views.performance.activity import Charge, Kind, cost_kinds, costs_of, paid_usd, traded_usd
from tradebot.views.performance.history import History
from tradebot.views.performance.report import Costs
from tradebot.views.performance.returns import Path, path

YEAR = 252


def costs(history: History, count: int) -> Costs | None:
    way = path(history, [], sessions(count))
    return costs_of(cost_kinds(history), way, traded_usd(history.fills, way))


def paid(history: History, kind: str, usd: str, sub_kind: str, session: int = 5) -> History:
    """Return a past with one more movement of cash, in which equity is as it was."""
    at = sessions(10)[session].open
    movement = cash_movement(at, Decimal(usd), kind, Origin.ACTIVITY, f"{kind}-{usd}", "", sub_kind=sub_kind)
    return replace(history, cash=(*history.cash, movement))


def test_cash_movements_are_sorted_into_kinds_of_cost() -> None:
    history = past(1, 10)
    for kind, usd, sub_kind in (
        ("FEE", "-9", "COM"),
        ("FEE", "2", "COM"),
        ("FEE", "-1", "NRC"),
        ("FEE", "-2", "REG"),
        ("FEE", "-1", ""),
        ("FEE", "-4", "BRW"),
        ("INT", "-5", "MGN"),
        ("INT", "100", "CDT"),
        ("FUNDING", "-6", ""),
        ("FUNDING", "2", ""),
        ("DIV", "50", "CDIV"),
        ("CSD", "1000", ""),
    ):
        history = paid(history, kind, usd, sub_kind)
    with_fee = replace(history.fills[0], fill=replace(history.fills[0].fill, fee=Fee(Decimal(2))))
    history = replace(history, fills=(with_fee, *history.fills[1:]))
    found = there(costs(history, 10))
    said = {row.name: row.usd for row in found.rows}
    assert said == {"commission": 10, "fees": 3, "borrow": 4, "interest": 5, "funding": 4}
    assert (found.total.usd, found.total.drag, found.before.value, found.before.lacks) == (26, None, None, 242)
    traded = float(sum(owned.fill.quantity * owned.fill.price for owned in history.fills))
    assert found.total.bps == pytest.approx(26 / traded * 10_000)


@pytest.mark.parametrize(
    ("arrival", "send", "decision", "usd"),
    [("99", "98", "97", 100), (None, "98", "97", 200), (None, None, "97", 300), (None, None, None, None)],
)
def test_slippage_is_against_the_last_midpoint_before_the_fill(
    arrival: str | None, send: str | None, decision: str | None, usd: int | None
) -> None:
    history = past(1, 10)
    bought = history.fills[0].fill
    middles = [None if each is None else Decimal(each) for each in (arrival, send, decision)]
    order = FilledOrder("a", None, middles[0])
    asked = Asked("a", bought.at, "", protects=False, decision_mid=middles[2], send_mid=middles[1], send_mid_at=None)
    found = costs(replace(history, sent={bought.venue_order_id: Sent(order, (asked,))}), 10)
    assert (found and [(row.name, row.usd) for row in found.rows]) == (None if usd is None else [("slippage", usd)])
    resting = Sent(order, (asked._replace(protects=True),))
    assert costs(replace(history, sent={bought.venue_order_id: resting}), 10) is None


def test_costs_are_missing_when_nothing_was_paid() -> None:
    assert costs(past(1, 10), 10) is None
    assert (
        costs_of([Kind("fees", "Other fees", (Charge(sessions(1)[1].open, 1.0),))], Path(None, (), (), ()), Decimal(1))
        is None
    )


def test_costs_outside_the_span_do_not_count() -> None:
    way = path(past(1, 10), [], sessions(10))
    kind = Kind(
        "fees",
        "Other fees",
        tuple(
            Charge(at, 1.0)
            for at in (
                there(way.start).at,
                there(way.start).at + timedelta(seconds=1),
                way.steps[-1].after.at,
                way.steps[-1].after.at + timedelta(1),
            )
        ),
    )
    assert paid_usd([kind], way) == 2


def test_drag_is_the_growth_lost_to_a_cost() -> None:
    # The equity of each session is what it was, and 100 USD more if the fee of that session hadn't been paid.
    history = past(1, YEAR)
    days = sessions(YEAR)
    for place in (10, 200):
        at = days[place].open
        history = replace(
            history,
            cash=(
                *history.cash,
                cash_movement(at, Decimal(-100), "FEE", Origin.ACTIVITY, f"{place}", "", sub_kind="COM"),
            ),
        )
    found = there(costs(history, YEAR))
    way = path(history, [], days)
    without = [
        step.value + (100 / float(step.before.equity_usd) if place in (9, 199) else 0)
        for place, step in enumerate(way.steps)
        if step.value is not None
    ]
    assert found.after.value == pytest.approx(statistics.cagr(way.returns, 1))
    assert found.before.value == pytest.approx(statistics.cagr(without, 1))
    assert found.rows[0].drag == found.total.drag == pytest.approx((found.before.value or 0) - (found.after.value or 0))


def test_growth_before_costs_equals_growth_without_paying() -> None:
    # Borrowing and commissions are given back to the equity of each session, with the same shares.
    history, days = rotated(1, YEAR), sessions(YEAR)
    found = there(costs(history, YEAR))
    back, ends = Decimal(0), []
    left = list(history.cash)
    for end in history.ends:
        while left and left[0].at <= there(end.equity_at):
            back -= left.pop(0).amount_usd
        ends.append(replace(end, equity=there(end.equity) + back))
    free = path(replace(history, ends=tuple(ends)), [], days)
    assert found.before.value == pytest.approx(statistics.cagr(free.returns, 1), abs=0.005)
    assert {row.name for row in found.rows} == {"commission", "interest"}
    assert sum(row.drag or 0 for row in found.rows) == pytest.approx(found.total.drag, rel=0.02)
    assert float(ends[-1].equity or 0) - float(history.ends[-1].equity or 0) == pytest.approx(found.total.usd)
    assert CASH
