"""Read the fields of a source's row. Each function raises BadRowError if the field can't be used.

The names of sectors are the flow source's; `our_sector` translates them.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TypeVar

from tradebot.model.fact_kind import NEW_YORK, Row
from tradebot.model.instrument import Right

SOURCE_SECTORS: Mapping[str, str] = {
    "materials": "Basic Materials",
    "communication": "Communication Services",
    "consumer_cyclical": "Consumer Cyclical",
    "consumer_defensive": "Consumer Defensive",
    "energy": "Energy",
    "financial": "Financial Services",
    "healthcare": "Healthcare",
    "industrial": "Industrials",
    "real_estate": "Real Estate",
    "technology": "Technology",
    "utilities": "Utilities",
}

"""The source's name for each sector of the configuration; it has none for funds."""


def our_sector(written: str) -> str:
    """Return a sector in the configuration's terms: the source's names are translated, others returned unchanged."""
    return next((ours for ours, theirs in SOURCE_SECTORS.items() if theirs.lower() == written.lower()), written)


T = TypeVar("T")

FUTURE_TOLERANCE = timedelta(seconds=5)

LONGEST_TEXT = 128

LONGEST_NUMBER = 100

_ZERO = Decimal()

_LARGEST = Decimal("1e18")

LARGEST_COUNT = int(_LARGEST)

_MOST_PLACES = 99

PLAIN_DIGITS = 18

_NUMBERS = (str, int, Decimal, float)

_TEXTS = (str, int)

_EPOCHS = (int, Decimal)

RIGHTS = {right.value: right for right in Right}


class BadRowError(ValueError):
    """Raised for a row that can't be used. Its message is the reason under which the row is counted."""


def optional(read: Callable[[Row, str], T | None], row: Row, name: str, absent: T | None = None) -> T | None:
    """Return a field as `read` parses it, or `absent` if it is null or left out; a present value must be usable."""
    value = None if row.get(name) is None else read(row, name)
    return absent if value is None else value


def text(row: Row, name: str) -> str:
    """Return a text field of 1 to 128 characters; a whole number counts as text too."""
    value = row.get(name)
    if type(value) is str and len(value) <= LONGEST_TEXT and value and not value.isspace():
        return value
    value = _present(row, name)
    if isinstance(value, bool) or not isinstance(value, _TEXTS):
        raise BadRowError(f"{name} is not text")
    content = str(value)
    if not content.strip():
        raise BadRowError(f"{name} is empty")
    if len(content) > LONGEST_TEXT:
        raise BadRowError(f"{name} is longer than {LONGEST_TEXT} characters")
    return content


def number(row: Row, name: str) -> Decimal:
    """Return a number field, which the source may send as text, as an integer or as a decimal."""
    value = row.get(name)
    if type(value) is not str:
        value = _present(row, name)
        if isinstance(value, bool) or not isinstance(value, _NUMBERS):
            raise BadRowError(f"{name} is not a number")
    digits = str(value)
    if len(digits) > LONGEST_NUMBER:
        raise BadRowError(f"{name} is longer than {LONGEST_NUMBER} characters")
    try:
        decimal = Decimal(digits)
    except InvalidOperation:
        raise BadRowError(f"{name} is not a number") from None
    if not decimal.is_finite() or abs(decimal) > _LARGEST or decimal.adjusted() < -_MOST_PLACES:
        raise BadRowError(f"{name} is not a usable number")
    return decimal


def not_negative(row: Row, name: str) -> Decimal:
    """Return a number field, which must be at least 0."""
    value = row.get(name)
    if type(value) is str and (amount := _plain(value)) is not None:
        return amount
    amount = number(row, name)
    if amount < _ZERO:
        raise BadRowError(f"{name} is negative")
    return amount


def positive(row: Row, name: str) -> Decimal:
    """Return a number field, which must be above 0."""
    value = row.get(name)
    amount = _plain(value) if type(value) is str else None
    if amount:
        return amount
    amount = number(row, name)
    if amount > _ZERO:
        return amount
    raise BadRowError(f"{name} is negative" if amount else f"{name} is zero")


def positive_float(row: Row, name: str) -> float:
    """Return a number field as a float; the number must be above 0."""
    return float(positive(row, name))


def count(row: Row, name: str) -> int:
    """Return a whole-number field, which must be at least 0."""
    value = row.get(name)
    if type(value) is int and 0 <= value <= LARGEST_COUNT:
        return value
    number = not_negative(row, name)
    whole = int(number)
    if number != whole:
        raise BadRowError(f"{name} is not a whole number")
    return whole


def boolean(row: Row, name: str) -> bool | None:
    """Return a boolean field, or None if it is anything other than true or false."""
    value = row.get(name)
    return value if isinstance(value, bool) else None


def right(row: Row, name: str) -> Right:
    value = text(row, name)
    right = RIGHTS.get(value) or RIGHTS.get(value.lower())
    if right is None:
        raise BadRowError(f"{name} is neither call nor put")
    return right


def past_time(row: Row, name: str, at: datetime) -> datetime:
    """Return a time field in UTC, which may be at most 5 s later than `at`."""
    moment = any_time(row, name)
    if moment - at > FUTURE_TOLERANCE:
        raise BadRowError(f"{name} is in the future")
    return moment


@lru_cache(maxsize=512)
def new_york_day(at: datetime) -> date:
    """Return the New York date of a time, for rows without a date of their own."""
    return at.astimezone(NEW_YORK).date()


def day(row: Row, name: str) -> date:
    try:
        return date_of(text(row, name))
    except ValueError:
        raise BadRowError(f"{name} is not a date") from None


def past_day(row: Row, name: str, at: datetime) -> date:
    """Return a date field, which must not be later than the date of `at`."""
    value = day(row, name)
    if value > at.date():
        raise BadRowError(f"{name} is in the future")
    return value


date_of = lru_cache(maxsize=1024)(date.fromisoformat)


def _plain(value: str) -> Decimal | None:
    """Return a number from digits with at most one dot, the usual form; None if the value needs a closer look.

    A string this short is always a usable number, and never negative.
    """
    if len(value) <= PLAIN_DIGITS and value.isascii() and value.replace(".", "", 1).isdigit():
        return Decimal(value)
    return None


def _present(row: Row, name: str) -> object:
    value = row.get(name)
    if value is None:
        raise BadRowError(f"{name} is missing")
    return value


def any_time(row: Row, name: str) -> datetime:
    """Return a time field in UTC, which may be in the future, as in a calendar.

    It is read from ISO text with an offset (T or a space before the time), or epoch seconds or milliseconds.
    """
    value = _present(row, name)
    try:
        if isinstance(value, _EPOCHS) and not isinstance(value, bool):
            return datetime.fromtimestamp(float(value) / (1000 if value > 10**11 else 1), UTC)
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is UTC:
            return moment
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    # Arithmetic errors come from NaN and infinities, and from years that the shift to UTC pushes out of range.
    except (ValueError, ArithmeticError, OSError):
        raise BadRowError(f"{name} is not a time") from None
    raise BadRowError(f"{name} has no time zone")


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
    """Return a row of the websocket in the form of the REST API; `about` is the REST API's data about the symbol.

    The websocket doesn't say when an alert was created, so the time of its last trade is used, which is up to a few
    minutes earlier. Implied volatility is missing. An unreadable field is left out, so that parsing the row gives the
    reason.
    """
    fact = {**about, **{name: row[name] for name in _SAME if name in row}}
    fact |= {name: _text(row[name]) for name in _DECIMALS if name in row}
    fact |= _contract(row.get("option_chain"))
    # If a rule's name isn't known, it is identified by its id.
    fact["alert_rule"] = row.get("rule_name") or row.get("rule_id")
    created = _time(row.get("executed_at", row.get("end_time")))
    return fact if created is None else {**fact, "created_at": created}


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
    """Return milliseconds since 1970 as ISO text in UTC; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value < _LAST_MS:
        return None
    return f"{datetime.fromtimestamp(int(value) / 1000, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
