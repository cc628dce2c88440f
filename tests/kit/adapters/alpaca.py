"""Alpaca's rows as the service sends them, and our side of them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tests.kit.fakes.scripted import Script, Scripted, Wire
from tests.kit.values import new_intent, share
from tradebot.adapters.wire.http import RequestBounds, RetryPolicy
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import Intent, IntentKey, Operation
from tradebot.model.trading import Mode
from tradebot.venues.alpaca.orders import AlpacaOrders
from tradebot.venues.alpaca.reader import AlpacaReader
from tradebot.venues.alpaca.wire import AlpacaVenue

# Short enough for the few tests of a silent server, long enough for a busy machine to answer in.
QUICK = RequestBounds(connect_s=5.0, read_s=1.5, total_s=3.0, body_bytes=2_000_000)
AT_ONCE = RetryPolicy(attempts=3, sleep=lambda seconds: None)
VENUE_ID = "11111111-2222-4333-8444-555555555555"
AT = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


def intent(operation: Operation = Operation.SUBMIT, **changes: Any) -> Intent:
    """Return a limit buy of 10 AAPL at 100.25, a change to that price, or a cancel of it."""
    key = IntentKey("SBX1", "flow", date(2026, 11, 20), "1030", "AAPL", Side.BUY, Purpose.OPEN)
    target = None if operation is Operation.SUBMIT else VENUE_ID
    usual = {"operation": operation, "limit_price": Decimal("100.25"), "at": AT, "target_venue_id": target}
    return new_intent(key, share("AAPL"), **usual | changes)


def order_row(**changes: object) -> dict[str, object]:
    """Return the venue's row of the order that `intent()` asks for."""
    row: dict[str, object] = {
        "id": VENUE_ID,
        "client_order_id": intent().client_order_id,
        "created_at": "2026-11-20T15:30:00.123456789Z",
        "updated_at": "2026-11-20T15:30:00.123456789Z",
        "submitted_at": "2026-11-20T15:30:00.123456789Z",
        "filled_at": None,
        "asset_class": "us_equity",
        "symbol": "AAPL",
        "notional": None,
        "qty": "10",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "100.25",
        "stop_price": None,
        "status": "new",
        "extended_hours": False,
        "legs": None,
    }
    return row | changes


def account_row(**changes: object) -> dict[str, object]:
    """Return an account in good standing."""
    row: dict[str, object] = {
        "id": VENUE_ID,
        "account_number": "SBX123456789",
        "status": "ACTIVE",
        "currency": "USD",
        "cash": "100000.10",
        "equity": "100500.35",
        "last_equity": "100000",
        "buying_power": "200000.20",
        "trading_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
    }
    return row | changes


def position_row(**changes: object) -> dict[str, object]:
    """Return a long position."""
    row: dict[str, object] = {
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "side": "long",
        "qty": "10",
        "avg_entry_price": "100.25",
        "market_value": "1005",
    }
    return row | changes


def fill_row(number: int = 1, **changes: object) -> dict[str, object]:
    """Return the execution of a given number, each a second after the one before."""
    at = f"2026-11-20T15:{30 + number // 60:02d}:{number % 60:02d}Z"
    row: dict[str, object] = {
        "id": f"202611201530{number:05d}::{VENUE_ID}",
        "activity_type": "FILL",
        "type": "fill",
        "order_id": VENUE_ID,
        "symbol": "AAPL",
        "side": "buy",
        "qty": "10",
        "cum_qty": "10",
        "leaves_qty": "0",
        "price": "100.25",
        "transaction_time": at,
    }
    return row | changes


def activity_row(number: int = 1, **changes: object) -> dict[str, object]:
    """Return a dividend's payment of a given number, each a second after the one before."""
    row: dict[str, object] = {
        "id": f"202611201530{number:05d}::{VENUE_ID}",
        "activity_type": "DIV",
        "activity_sub_type": "CDIV",
        "created_at": f"2026-11-20T15:{30 + number // 60:02d}:{number % 60:02d}Z",
        "currency": "USD",
        "date": "2026-11-20",
        "net_amount": "1.02",
        "per_share_amount": "0.51",
        "qty": "2",
        "status": "executed",
        "symbol": "AAPL",
    }
    return row | changes


def clock_row(**changes: object) -> dict[str, object]:
    """Return an open market's clock, in New York time as the service sends it."""
    row: dict[str, object] = {
        "timestamp": "2026-11-20T10:30:00.5-05:00",
        "is_open": True,
        "next_open": "2026-11-23T09:30:00-05:00",
        "next_close": "2026-11-20T16:00:00-05:00",
    }
    return row | changes


def snapshot_row(bid: object = 100.1, ask: object = 100.2, last: object = 100.15) -> dict[str, object]:
    """Return a snapshot whose prices are JSON numbers, as the service sends them."""
    return {
        "latestQuote": {"bp": bid, "ap": ask, "bs": 1, "as": 2, "t": "2026-11-20T15:29:59.5Z"},
        "latestTrade": {"p": last, "s": 100, "t": "2026-11-20T15:29:58Z"},
        "minuteBar": None,
        "dailyBar": None,
        "prevDailyBar": {"c": 99.5, "t": "2026-11-19T05:00:00Z"},
    }


def venue(wire: Wire) -> AlpacaVenue:
    """Return the sandbox at the scripted server, asked impatiently."""
    return AlpacaVenue(wire.url, wire.url, "sandbox", "sandbox", "sandbox", Mode.SANDBOX, bounds=QUICK, policy=AT_ONCE)


def reader(wire: Wire, tally: DriftTally | None = None) -> AlpacaReader:
    """Return a reader of the scripted server."""
    return AlpacaReader(venue(wire), tally or DriftTally())


def orders(wire: Wire) -> AlpacaOrders:
    """Return the order port to the scripted server."""
    return AlpacaOrders(venue(wire), DriftTally())


def view_of(wire: Wire, **answers: object) -> Script:
    """Let the venue answer a view with these rows in place of good ones, by the last word of the path."""
    good = {"account": account_row(), "clock": clock_row(), "positions": [position_row()], "orders": [order_row()]}
    wire.script = lambda asked: Scripted(200, (good | answers)[asked.path.rsplit("/", 1)[-1]])
    return wire.script
