"""The judge of pairs sees what none may do, and has nothing against what they are for."""

import json
from typing import Any

import pytest

from tests.kit.judge import pairs

Line = dict[str, Any]


def told(event: str, order: str, status: str = "new", side: str = "sell", **others: str) -> Line:
    """Return a line of the log about an order of 8 shares."""
    line = {"event": event, "order_id": order, "client_order_id": f"tb1{order}", "status": status, "side": side}
    return {**line, "symbol": "AAPL", "qty": "8", "filled_qty": "0", **others}


def asked(method: str, path: str, **body: str) -> Line:
    return {"event": "request", "method": method, "path": path, "body": json.dumps(body)}


BOUGHT = [
    told("order_accepted", ".OPEN.a", side="buy"),
    told("fill", ".OPEN.a", "filled", "buy", position="8", filled_qty="8"),
]
PAIR = [
    told("order_accepted", ".PROTE.p"),
    told("order_new", "stop", parent_id=".PROTE.p", stop_price="90"),
]
PROTECTED = [*BOUGHT, *PAIR]
TIGHTER = told("order_accepted", ".PROTE.t", replaces="stop", parent_id=".PROTE.p", stop_price="95")
LEAVING = told("order_accepted", ".PROTE.l", replaces=".PROTE.p")
PLAIN = told("order_accepted", ".CLOSE.c")
OUT = told("fill", "stop", "filled", parent_id=".PROTE.p", stop_price="90", position="0", filled_qty="8")
ASKED = asked("POST", "/v2/orders", client_order_id="tb1.PROTE.p", symbol="AAPL")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([*PROTECTED, PLAIN], "exits 16 with others, 8 are held"),
        ([*PROTECTED, told("order_accepted", ".PROTE.q")], "exits 16 with others"),
        ([*PROTECTED, OUT, told("fill", ".PROTE.p", "filled", position="-8", filled_qty="8")], "from 0 to -8"),
        ([ASKED], "would protect nothing"),
        ([*PROTECTED, OUT, ASKED], "would protect nothing"),
        ([*PROTECTED, asked("PATCH", "/v2/orders/stop", stop_price="89")], "move from 90 to 89"),
    ],
)
def test_judge_of_pairs_reports_what_no_pair_may_do(lines: list[Line], said: str) -> None:
    assert [said in problem for problem in pairs.broken(lines)] == [True]


@pytest.mark.parametrize(
    "lines",
    [
        [*BOUGHT, ASKED, *PAIR, asked("PATCH", "/v2/orders/stop", stop_price="95"), TIGHTER, LEAVING],
        [*PROTECTED, OUT, ASKED | {"body": json.dumps({"client_order_id": "tb1.OPEN.b", "symbol": "AAPL"})}],
        [*PROTECTED, *({**line, "status": "canceled"} for line in PAIR), PLAIN],
    ],
)
def test_judge_of_pairs_accepts_tightening_and_leaving(lines: list[Line]) -> None:
    assert list(pairs.broken(lines)) == []


@pytest.mark.parametrize(
    ("lines", "bare", "bare_if_flat"),
    [
        (BOUGHT, True, True),
        (PROTECTED, False, True),
        ([*PROTECTED, LEAVING], False, False),
        ([*BOUGHT, PLAIN], False, False),
        ([*BOUGHT, PAIR[0]], True, True),
        ([*PROTECTED, OUT], False, False),
    ],
)
def test_shares_are_unprotected_without_a_working_stop_or_exit(
    lines: list[Line], bare: bool, bare_if_flat: bool
) -> None:
    assert (bool(list(pairs.bare(lines))), bool(list(pairs.bare(lines, flat=True)))) == (bare, bare_if_flat)
