"""The laws of an auction over an exchange's log: each sees what breaks it, and accepts swaps and stops that follow."""

import json
from typing import Any

import pytest

from tests.faults import auctioned

ONE, OTHER = "AAPL", "MSFT"


def asked(role: str, symbol: str) -> dict[str, Any]:
    """Return the line of a request for an order."""
    body = json.dumps({"client_order_id": f"tb1.{role}.{symbol}", "symbol": symbol})
    return {"event": "request", "method": "POST", "path": "/v2/orders", "body": body, "account": "one", "seq": 1}


def canceling(order: str) -> dict[str, Any]:
    """Return the line of a request to cancel an order."""
    return {"event": "request", "method": "DELETE", "path": f"/v2/orders/{order}", "account": "one", "seq": 1}


def told(event: str, role: str, symbol: str, order: str, status: str, **more: str) -> dict[str, Any]:
    """Return an order's line of the log."""
    side = "buy" if role == "OPEN" else "sell"
    amounts = {"qty": "8", "filled_qty": "8" if status == "filled" else "0"}
    named = {"client_order_id": f"tb1.{role}.{symbol}", "order_id": order, "symbol": symbol, "side": side}
    return {"event": event, "account": "one", "seq": 1, "status": status, **named, **amounts, **more}


def filled(role: str, symbol: str, position: str) -> dict[str, Any]:
    return told("fill", role, symbol, f"{role} {symbol}", "filled", position=position)


def stop(price: str, order: str = "stop") -> list[dict[str, Any]]:
    """Return the lines of a stop that comes to rest."""
    lines = (("order_accepted", "pending_new"), ("order_new", "new"))
    return [told(event, "PROTE", ONE, order, status, stop_price=price) for event, status in lines]


HELD = [asked("OPEN", ONE), filled("OPEN", ONE, "8"), *stop("95")]
CLOSED = [filled("CLOSE", ONE, "0"), asked("OPEN", OTHER)]
WAITING = told("order_accepted", "OPEN", ONE, "entry", "new")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([*HELD, asked("OPEN", OTHER)], f"opens {OTHER} while ['{ONE}'] still need their room"),
        ([asked("OPEN", ONE), WAITING, asked("OPEN", OTHER)], f"opens {OTHER} while ['{ONE}'] still need their room"),
        ([*HELD, *stop("94", "next")], f"the stop of {ONE} moved from 95 to 94"),
        ([*HELD, canceling("stop")], "8 are held and 0 covered"),
        ([*HELD, stop("96", "next")[0], canceling("stop")], "8 are held and 0 covered"),
    ],
)
def test_judge_reports_hasty_entries_and_stops_that_move_away_or_go_too_soon(
    lines: list[dict[str, Any]], said: str
) -> None:
    (problem,) = auctioned.broken(lines)
    assert said in problem


@pytest.mark.parametrize(
    "lines",
    [
        [*HELD, *CLOSED],
        [*HELD, *stop("96", "next"), canceling("stop"), *CLOSED],
        [*HELD, told("order_new", "CLOSE", ONE, "exit", "new"), canceling("stop")],
        [*HELD, filled("CLOSE", ONE, "0"), canceling("stop"), filled("OPEN", ONE, "8"), *stop("90", "next")],
        [asked("OPEN", ONE), told("order_canceled", "OPEN", ONE, "entry", "canceled"), asked("OPEN", OTHER)],
    ],
)
def test_judge_accepts_swaps_and_stops_that_follow_the_price(lines: list[dict[str, Any]]) -> None:
    assert [*auctioned.broken(lines)] == []


def test_judge_counts_entries_after_the_close_of_another_position() -> None:
    entry = told("order_accepted", "OPEN", OTHER, "entry", "new")
    assert auctioned.swaps([*HELD, filled("CLOSE", ONE, "0"), entry]) == 1
    assert auctioned.swaps([*HELD, entry]) == 0
