"""What symbols were worth some sessions later: stored closes first, or else the last kept pass of a session."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.why_no_orders.what_if import WhatIfRunner
from commands.why_no_orders.what_if_span import later_prices
from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.values import DAY, quote
from tradebot.replaying.desk_changes import Filled
from tradebot.replaying.record_writer import RecordError

DAYS = [DAY + timedelta(days=number) for number in range(10)]
KEY = "AAPL"


def order() -> Filled:
    scene = Scene()
    trade_once(scene.world(wanted(KEY)), call())
    (intent,) = scene.venue.submitted
    return Filled(intent, Decimal(100))


def asking(closes: Mapping[date, float] | None, seen: Mapping[date, Any]) -> WhatIfRunner:
    """Return what the prices are asked of: stored closes, None without bars, and the quotes of kept passes."""

    def recorded(head: date) -> Any:
        if seen[head] is None:
            raise RecordError("what it read isn't kept")
        return SimpleNamespace(given=SimpleNamespace(desk=SimpleNamespace(quotes={KEY: seen[head]})))

    facts = SimpleNamespace(heads=lambda job, session: [session] if session in seen else [])
    view = SimpleNamespace(sessions=lambda first, last: [SimpleNamespace(date=day) for day in DAYS])
    bars = None if closes is None else SimpleNamespace(closes=lambda symbol, first, last: closes)
    app = SimpleNamespace(existing_facts=facts, ledger_view=view, bars_at_rest=bars)
    found = SimpleNamespace(app=app, read_record=recorded)
    return cast("WhatIfRunner", found)


@pytest.mark.parametrize(
    ("closes", "seen", "prices"),
    [
        ({DAYS[1]: 101.5, DAYS[5]: 99.0}, {}, {1: "101.5", 5: "99.0"}),
        (None, {DAYS[1]: quote(bid="102", ask="104")}, {1: "103"}),
        ({DAYS[1]: 101.5}, {DAYS[1]: quote(), DAYS[5]: quote(bid="98", ask="98")}, {1: "101.5", 5: "98"}),
        (None, {DAYS[1]: None}, {}),
        (None, {}, {}),
    ],
)
def test_closes_come_first_then_quotes_and_what_is_not_known_is_absent(
    closes: Mapping[date, float] | None, seen: Mapping[date, Any], prices: Mapping[int, str]
) -> None:
    one = order()
    session = one.intent.key.session
    assert session == DAYS[0]
    found = later_prices(asking(closes, seen), [one, one])
    assert found == {(KEY, session, count): Decimal(price) for count, price in prices.items()}
