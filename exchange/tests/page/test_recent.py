"""What the page says of the log's lines, and how far back it reads them."""

from typing import Any

import pytest

from exchange.tests.kit.app import World
from papervenue.page import recent
from papervenue.page.recent import Recent, describe_event, duration
from papervenue.times import HOUR, MINUTE, SECOND

LINES: list[tuple[dict[str, Any], str]] = [
    ({"event": "request", "method": "DELETE", "path": "/v2/positions", "query": "cancel_orders=true", "body": ""},
     "DELETE /v2/positions?cancel_orders=true"),
    ({"event": "request_refused", "status": 403, "message": "no"}, "no"),
    ({"event": "ticked", "from": "2025-03-03T14:30:00Z", "to": "2025-03-04T15:31:05Z"}, "1 d 1 h 1 min 5 s"),
    ({"event": "order_accepted", "symbol": "SPY", "side": "buy", "type": "limit", "qty": "2", "limit_price": "3"},
     "buy 2 SPY limit 3"),
    ({"event": "order_new", "symbol": "SPY", "side": "buy", "type": "market", "qty": None, "notional": "9.5"},
     "buy $9.5 SPY"),
    ({"event": "fill", "symbol": "SPY", "side": "sell", "type": "market", "fill_qty": "1", "price": "350.5"},
     "sell 1 SPY at 350.5"),
    ({"event": "pace_set", "pace": "60x", "note": True}, "pace 60x"),
    ({"event": "anything"}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "said"), LINES)
def test_page_summarizes_a_log_line(line: dict[str, Any], said: str) -> None:
    assert describe_event({"seq": 1, "at": "2025-03-03T14:30:00Z", **line}) == said


def test_page_shortens_a_long_log_line() -> None:
    assert len(describe_event({"event": "request", "method": "GET", "path": "/" + "x" * 5000})) == 160


@pytest.mark.parametrize(("us", "said"), [(0, "0 s"), (59 * SECOND, "59 s"), (MINUTE, "1 min"), (49 * HOUR, "2 d 1 h")])
def test_duration_leaves_out_units_that_are_zero(us: int, said: str) -> None:
    assert duration(us) == said


def test_a_page_that_nobody_looked_at_for_long_reads_only_the_newest_lines(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "_FARTHEST", 10)
    page = Recent(world.exchange.log, world.exchange.order_paths)
    page.follow()
    for number in range(20):
        world.order("SPY", "buy", 1, limit_price="1", client_order_id=f"order {number}")
    page.follow()
    assert len(page.lines) < 20
    assert page.lines[-1]["seq"] == world.exchange.log.count
