"""Turn an alert of the feed into the row that the websocket sends: other fields, and numbers that aren't text."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from tradebot.exchange.chance import uuid_of

_SAME = (
    "rule_id", "ticker", "option_chain", "volume", "total_size", "start_time", "end_time", "has_multileg", "has_sweep",
    "has_floor", "open_interest", "all_opening_trades", "id", "has_singleleg", "trade_count", "expiry_count", "bid",
    "ask",
)  # fmt: skip
"""Fields that both have in the same form."""
_NUMBERS = (
    "underlying_price", "total_premium", "total_ask_side_prem", "total_bid_side_prem", "price", "volume_oi_ratio",
)  # fmt: skip
"""Fields that the REST API sends as text, and the websocket as numbers."""
_MOST_TRADES = 500


def streamed(alert: Mapping[str, Any]) -> dict[str, Any]:
    """Return the websocket's row of an alert; what the alert doesn't have is left out."""
    row = {name: alert[name] for name in _SAME if name in alert}
    row |= {name: _number(alert[name]) for name in _NUMBERS if name in alert}
    row |= {"rule_name": alert.get("alert_rule"), "url": "", "executed_at": alert.get("end_time")}
    return row | _trades(alert) | _volumes(alert)


def _trades(alert: Mapping[str, Any]) -> dict[str, Any]:
    count = alert.get("trade_count")
    known = min(count, _MOST_TRADES) if isinstance(count, int) else 0
    return {
        "trade_ids": [uuid_of("trade", alert.get("id"), number) for number in range(known)],
        "upstream_condition_details": ["auto", "isoi"] if alert.get("has_sweep") else ["auto"],
        "exchanges": ["XCBO", "MPRL"] if known > 1 else ["XCBO"],
    }


def _volumes(alert: Mapping[str, Any]) -> dict[str, int]:
    """Split the alert's contracts by side as its premium is split."""
    size, total = _whole(alert.get("total_size")), _float(alert.get("total_premium"))
    sides = (_float(alert.get(f"total_{side}_side_prem")) for side in ("ask", "bid"))
    ask, bid = (int(size * min(1.0, side / total)) if total > 0 else 0 for side in sides)
    multi = size if alert.get("has_multileg") else 0
    return {
        "ask_vol": ask,
        "bid_vol": bid,
        "mid_vol": max(0, size - ask - bid),
        "no_side_vol": 0,
        "multi_vol": multi,
        "stock_multi_vol": 0,
    }


def _number(value: Any) -> Any:
    """Return text as a whole number or a fraction; what can't be read is left as it is, for the client to count."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    if not isfinite(number):
        return value
    return int(number) if number.is_integer() else number


def _float(value: Any) -> float:
    found = _number(value)
    return float(found) if isinstance(found, int | float) else 0.0


def _whole(value: Any) -> int:
    return max(0, int(_float(value)))
