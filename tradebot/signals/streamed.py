"""Give an alert from the flow source's websocket the form in which the REST API has it, so that one kind reads both."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from tradebot.model.kind import Row

ABOUT_SYMBOL = ("issue_type", "sector", "marketcap", "er_time", "next_earnings_date")
"""Fields about the symbol rather than the alert. Only the REST API has them."""
_SAME = (
    "id", "ticker", "option_chain", "rule_id", "volume", "open_interest", "total_size", "trade_count", "expiry_count",
    "start_time", "end_time", "has_sweep", "has_floor", "has_multileg", "has_singleleg", "all_opening_trades",
)  # fmt: skip
_DECIMALS = (
    "price", "bid", "ask", "underlying_price", "total_premium", "total_ask_side_prem", "total_bid_side_prem",
    "volume_oi_ratio",
)  # fmt: skip
"""Numbers that the REST API sends as text."""
_CONTRACT = re.compile(r"[A-Z0-9.]{1,6}([0-9]{2})([0-9]{2})([0-9]{2})([CP])([0-9]{8})", re.ASCII)
_RIGHTS = {"C": "call", "P": "put"}
_STRIKE_UNITS = Decimal(1000)
_LAST_MS = 10**14


def about_symbol(row: Row) -> Row:
    return {name: row[name] for name in ABOUT_SYMBOL if name in row}


def as_polled(row: Row, about: Row) -> Row:
    """Return a row of the websocket in the form of the REST API; `about` is what that said about the symbol.

    The websocket doesn't say when an alert was created. The time of its last trade takes that place; it is earlier, by
    up to some minutes. Implied volatility isn't known. A field that can't be read is left out, so that reading the row
    gives the reason.
    """
    found = {**about, **{name: row[name] for name in _SAME if name in row}}
    found |= {name: _text(row[name]) for name in _DECIMALS if name in row}
    found |= _contract(row.get("option_chain"))
    # A rule whose name isn't known is told by its id.
    found["alert_rule"] = row.get("rule_name") or row.get("rule_id")
    created = _time(row.get("executed_at", row.get("end_time")))
    return found if created is None else {**found, "created_at": created}


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


def _contract(value: object) -> Mapping[str, str]:
    """Read an option's OCC symbol, such as AAPL241018C00415000: expiry, right, and strike in thousandths of a USD."""
    match = _CONTRACT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return {}
    year, month, day, right, strike = match.groups()
    expiry = f"20{year}-{month}-{day}"
    return {"expiry": expiry, "type": _RIGHTS[right], "strike": format((int(strike) / _STRIKE_UNITS).normalize(), "f")}


def _time(value: object) -> str | None:
    """Return milliseconds since 1970 as text in UTC."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value < _LAST_MS:
        return None
    return f"{datetime.fromtimestamp(int(value) / 1000, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
