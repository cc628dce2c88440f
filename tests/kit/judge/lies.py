"""What a venue may say that is not true: lists that lack something, lag, contradict each other, or never rest.

A lie is one rule of the exchange's faults, or two that go together: what a list leaves out may be denied by its id too.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.kit.venues import AT

ORDERS, POSITIONS, POSITION = (f"GET {path}" for path in AT.paths[1:])
ACCOUNT = ("orders", "order", "positions", "activities", "account")
STRANGER = "by-hand-1"
COPY = f"tb1.261117.OWN.{AT.stranger}.COPY.ABCDEFGHIJKLMNOP"
"""An order under our mark that these books never promised."""

Told = tuple[str | Sequence[str], str | Mapping[str, Any]]
"""What is asked, and what is told."""


def _of_one(symbol: str) -> Mapping[str, Any]:
    return {"missing_rows": None, "symbol": symbol}


_LIES: Mapping[str, Sequence[Told]] = {
    "no open orders": [(ORDERS, "missing_rows")],
    "an open order left out": [(ORDERS, _of_one(AT.symbols[0]))],
    "another open order left out": [(ORDERS, _of_one(AT.symbols[1]))],
    "open orders of a minute ago": [(ORDERS, {"stale_account": "70s"})],
    "open orders of long ago": [(ORDERS, {"stale_account": "15m"})],
    "open orders that stand still": [(ORDERS, "stale_account")],
    "open orders denied": [(ORDERS, "missing_rows"), ("order", "not_found")],
    "no positions": [(POSITIONS, "missing_rows")],
    "a position left out": [(POSITIONS, _of_one(AT.symbols[0]))],
    "positions of a minute ago": [(POSITIONS, {"stale_account": "70s"})],
    "positions that stand still": [(["positions"], "stale_account")],
    "positions on the other side": [(POSITIONS, "opposite_side")],
    "positions worth nothing": [("positions", "position_value")],
    "a position worth a cent": [("positions", {"position_value": 0.01, "symbol": AT.symbols[0]})],
    "positions denied": [(POSITIONS, "missing_rows"), (POSITION, "not_found")],
    "positions on the other side, twice": [("positions", "opposite_side")],
    "orders and positions gone": [(ORDERS, "missing_rows"), (POSITIONS, "missing_rows")],
    "fills not told": [("activities", "missing_rows")],
    "fills of a minute ago": [("activities", {"stale_account": "70s"})],
    "positions and fills that stand still": [(["positions", "activities"], "stale_account")],
    "positions and fills of a minute ago": [(["positions", "activities"], {"stale_account": "70s"})],
    "positions and fills gone": [(POSITIONS, "missing_rows"), ("activities", "missing_rows")],
    "everything of five minutes ago": [(ACCOUNT, {"stale_account": "5m"})],
    "everything stands still": [(ACCOUNT, "stale_account")],
    "a stranger's price never rests": [("orders", {"restless_orders": "limit_price", "client_order_id": "by-hand*"})],
    "a stranger's quantity never rests": [("orders", {"restless_orders": "qty", "client_order_id": "by-hand*"})],
    "a stranger's status never rests": [("orders", {"restless_orders": "status", "client_order_id": "by-hand*"})],
    "a stranger's time never rests": [("orders", {"restless_orders": "updated_at", "client_order_id": "by-hand*"})],
    "our own orders' time never rests": [("orders", {"restless_orders": "updated_at", "client_order_id": "tb1*"})],
    "our own orders' status never rests": [("orders", {"restless_orders": "status", "client_order_id": "tb1*"})],
}
LIES = {name: told for name, told in _LIES.items() if name not in AT.leaves_out}
RESTLESS = frozenset(name for name in LIES if name.startswith("a stranger's"))
PLACES: Sequence[Mapping[str, int]] = ({"nth": 1}, {"nth": 2}, {"to": 3}, {}, {}, {}, {})
"""One reading, those of about a pass, or every one until somebody ends it."""


def rules(chance: random.Random, name: str, tag: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rules of a lie, which all hold for the same readings."""
    place = chance.choice(PLACES)
    for number, (request, told) in enumerate(LIES[name]):
        yield {"name": f"{tag}.{number}", "when": {"request": request, **place}, "what": told}
