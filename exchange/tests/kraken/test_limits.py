"""Each key has a budget for trading and one for the history, in the exchange's time while that runs."""

from itertools import count

import pytest

from exchange.tests.kit.kraken import HISTORY, V3, KrakenExchange
from papervenue.clock import LOCK_STEP, read_pace
from papervenue.faces.kraken.face import HISTORY as PAST
from papervenue.faces.kraken.face import TRADING, Limits, log_cost
from papervenue.times import MINUTE, SECOND


def test_budget_comes_back_as_what_was_spent_grows_old() -> None:
    now_us = 0
    limits = Limits(lambda: now_us, lambda: True)
    assert [limits.spend("a", TRADING, 10) for _ in range(50)] == [0] * 50
    now_us = 4 * SECOND
    assert limits.spend("a", TRADING, 1) == 6 * SECOND
    assert limits.spend("b", TRADING, 500) == limits.spend("a", PAST, 100) == 0
    now_us = 10 * SECOND - 1
    assert limits.spend("a", TRADING, 1) == 1
    now_us = 10 * SECOND
    assert limits.spend("a", TRADING, 500) == 0
    assert limits.spend("a", PAST, 1) == 10 * MINUTE - 6 * SECOND
    # A request that costs more than there ever is would wait for a whole span.
    assert limits.spend("c", PAST, 101) == 10 * MINUTE
    assert limits.peaks == {"trading": 500, "history": 100}


@pytest.mark.parametrize(
    ("rows", "cost"), [(1, 1), (25, 1), (26, 2), (50, 2), (51, 3), (1_000, 3), (1_001, 6), (5_000, 6), (5_001, 10)]
)
def test_page_of_the_account_log_costs_by_its_size(rows: int, cost: int) -> None:
    assert log_cost(rows) == cost


def spent(desk: KrakenExchange) -> dict[str, int]:
    most_spent: dict[str, int] = desk.world.get("/exchange/v1/status")["most_spent"]
    return most_spent


def test_requests_cost_what_the_documentation_says(desk: KrakenExchange) -> None:
    costs = []
    for method, path, params in (
        ("POST", f"{V3}/sendorder", {"orderType": "mkt", "symbol": "PF_XBTUSD", "side": "buy", "size": "0.1"}),
        ("POST", f"{V3}/cancelorder", {"order_id": "x"}),
        ("POST", f"{V3}/cancelallorders", {}),
        ("POST", f"{V3}/orders/status", {"orderIds": "x"}),
        ("GET", f"{V3}/accounts", {}),
        ("GET", f"{V3}/openpositions", {}),
        ("GET", f"{V3}/openorders", {}),
        ("GET", f"{V3}/fills", {}),
        ("GET", f"{V3}/fills", {"lastFillTime": "2026-11-24T00:00:00Z"}),
        ("GET", f"{V3}/tickers", {}),
        ("GET", f"{V3}/instruments", {}),
        ("GET", f"{HISTORY}/orders", {}),
        ("GET", f"{HISTORY}/triggers", {}),
        ("GET", f"{HISTORY}/executions", {}),
        ("GET", f"{HISTORY}/account-log", {}),
    ):
        before = spent(desk)
        desk.ask(method, path, **params)
        after = spent(desk)
        costs.append((after["trading"] - before["trading"], after["history"] - before["history"]))
    assert [trading for trading, _ in costs[:11]] == [10, 10, 25, 1, 2, 2, 2, 2, 25, 0, 0]
    assert [history for _, history in costs] == [0] * 11 + [1, 1, 1, 3]


def test_over_its_budget_trading_says_so_inside_success_and_the_history_with_429(desk: KrakenExchange) -> None:
    desk.world.exchange.set_pace(read_pace("real"))
    try:
        assert [desk.send("lmt", limitPrice=80_000)["status"] for _ in range(50)] == ["placed"] * 50
        reply = desk.post("sendorder", orderType="mkt", symbol="PF_XBTUSD", side="buy", size="0.1")
        assert (reply["result"], reply["error"]) == ("error", "apiLimitExceeded")
        assert desk.v3("accounts")["error"] == "apiLimitExceeded"
        assert desk.v3("tickers")["result"] == "success"
        for _ in range(33):
            desk.history("account-log")
        assert desk.history("executions")["len"] == 0
        answer = desk.ask("GET", f"{HISTORY}/executions")
        assert (answer.status, answer.body) == (429, b"Rate limited.")
        assert 590 < int(answer.headers["rate-limit-reset"]) <= 600
        assert len(desk.engine.main.orders) == 50
    finally:
        desk.world.exchange.set_pace(LOCK_STEP)


def test_while_time_stands_still_nothing_is_refused_but_counted(desk: KrakenExchange) -> None:
    names = count()
    for _ in range(60):
        assert desk.send("lmt", limitPrice=80_000, cliOrdId=f"n{next(names)}")["status"] == "placed"
    assert spent(desk)["trading"] == 600
    desk.world.tick(seconds=10)
    desk.send("lmt", limitPrice=80_000)
    assert spent(desk)["trading"] == 600
