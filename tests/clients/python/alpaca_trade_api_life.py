"""An order's whole life through the Python client that came before alpaca-py, with its own requests and streams."""

import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable

from alpaca_trade_api import REST, Stream
from alpaca_trade_api.rest import APIError

URL = os.environ["EXCHANGE_URL"]
KEY, SECRET = os.environ["APCA_API_KEY_ID"], os.environ["APCA_API_SECRET_KEY"]
steps: list[tuple[str, object]] = []


def saw(step: str, value: object) -> None:
    """Note what a step showed."""
    steps.append((step, value))


def tick(seconds: int) -> None:
    """Let engine time pass."""
    connection = http.client.HTTPConnection(URL.removeprefix("http://"), timeout=60)
    connection.request("POST", "/exchange/v1/tick", json.dumps({"seconds": seconds}))
    assert connection.getresponse().status == 200


def until(what: str, condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most four seconds."""
    for _ in range(200):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"waited in vain until {what}")


def refused(attempt: Callable[[], object]) -> dict[str, object]:
    """Return how an attempt was refused."""
    try:
        attempt()
    except APIError as error:
        return {"status": error.status_code, "code": error.code}
    return {"status": 200}


def listen(events: list[str], bars: list[str]) -> None:
    """Hear of orders and bars in its own thread."""
    stream = Stream(KEY, SECRET, base_url=URL, data_stream_url=URL, data_feed="iex")

    async def updated(update: object) -> None:
        events.append(update.event)  # type: ignore[attr-defined]

    async def bar(row: object) -> None:
        bars.append(row.symbol)  # type: ignore[attr-defined]

    stream.subscribe_trade_updates(updated)
    stream.subscribe_bars(bar, "SPY")
    threading.Thread(target=stream.run, daemon=True).start()


def story() -> None:
    """Live through it."""
    events: list[str] = []
    bars: list[str] = []
    listen(events, bars)
    api = REST(KEY, SECRET, URL, raw_data=False)
    saw("clock open", api.get_clock().is_open)
    saw("account", {"cash": api.get_account().cash, "status": api.get_account().status})
    time.sleep(0.5)
    resting = api.submit_order("SPY", 2, "buy", "limit", "day", limit_price=100, client_order_id="py-rest")
    saw("resting", {"status": resting.status, "type": resting.order_type})
    saw("client id again", refused(lambda: api.submit_order("SPY", 2, client_order_id="py-rest")))
    replaced = api.replace_order(resting.id, limit_price="101")
    saw("replaced", replaced.limit_price)
    api.cancel_order(replaced.id)
    until("canceled", lambda: api.get_order(replaced.id).status == "canceled")
    bought = api.submit_order("SPY", 3)
    tick(120)
    until("filled", lambda: api.get_order(bought.id).status == "filled")
    saw("position", api.get_position("SPY").qty)
    bracket = api.submit_order(
        "AAPL", 1, order_class="bracket", take_profit={"limit_price": 5000}, stop_loss={"stop_price": 1}
    )
    tick(120)
    saw("legs", sorted(leg.status for leg in api.get_order(bracket.id, nested=True).legs))
    api.cancel_all_orders()
    tick(1)
    api.close_all_positions()
    tick(120)
    saw("flat", len(api.list_positions()))
    saw("fills", len(api.get_activities("FILL")) >= 4)
    saw("history", len(api.get_portfolio_history(period="1D", timeframe="5Min").equity) > 0)
    saw("assets", len(api.list_assets(status="active")) >= 3)
    saw("unknown", refused(lambda: api.submit_order("NOSUCH", 1)))
    until("streams told", lambda: events.count("fill") >= 2 and bool(bars))
    saw("events", sorted(set(events)))
    saw("streamed bar", bars[0])


if __name__ == "__main__":
    try:
        story()
    finally:
        sys.stdout.write(json.dumps({"steps": steps}) + "\n")
