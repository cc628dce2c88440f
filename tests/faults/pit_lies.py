"""What a Gateway may say that is not true: lists that lack something, lag, turn around, repeat, or never rest."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.kit.bot.futures import INTO, LEFT

HELD = ["positions", "activities"]
ACCOUNT = ["orders", "positions", "activities", "account"]
Told = tuple[str | Sequence[str], str | Mapping[str, Any]]
"""What is asked, and what is told."""
LIES: Mapping[str, Told] = {
    "no open orders": ("orders", "missing_rows"),
    "open orders of a minute ago": ("orders", {"stale_account": "70s"}),
    "open orders of long ago": ("orders", {"stale_account": "15m"}),
    "open orders that stand still": ("orders", "stale_account"),
    "open orders twice": ("orders", {"repeated_rows": "qty"}),
    "a price that never rests": ("orders", {"restless_orders": "limit_price"}),
    "a quantity that never rests": ("orders", {"restless_orders": "qty"}),
    "a status that never rests": ("orders", {"restless_orders": "status"}),
    "no positions": ("positions", "missing_rows"),
    "no position in what is left": ("positions", {"missing_rows": None, "symbol": LEFT}),
    "no position in what comes next": ("positions", {"missing_rows": None, "symbol": INTO}),
    "positions of a minute ago": ("positions", {"stale_account": "70s"}),
    "positions that stand still": ("positions", "stale_account"),
    "positions on the other side": ("positions", "opposite_side"),
    "positions twice": ("positions", {"repeated_rows": "qty"}),
    "executions not told": ("activities", "missing_rows"),
    "executions of a minute ago": ("activities", {"stale_account": "70s"}),
    "executions that stand still": ("activities", "stale_account"),
    "executions twice": ("activities", "repeated_rows"),
    "positions and executions gone": (HELD, "missing_rows"),
    "positions and executions of a minute ago": (HELD, {"stale_account": "70s"}),
    "positions and executions that stand still": (HELD, "stale_account"),
    "orders and positions gone": (["orders", "positions"], "missing_rows"),
    "everything of five minutes ago": (ACCOUNT, {"stale_account": "5m"}),
    "everything stands still": (ACCOUNT, "stale_account"),
}
PLACES: Sequence[Mapping[str, int]] = ({"nth": 1}, {"nth": 2}, {"to": 3}, {}, {}, {}, {})
"""One reading, those of about a pass, or every one until the lie ends."""


def rules(chance: random.Random, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rules of a lie, one for each list that lies; all hold for the same readings."""
    requests, told = LIES[name]
    place = chance.choice(PLACES)
    for request in [requests] if isinstance(requests, str) else requests:
        yield {"when": {"request": request, **place}, "what": told}
