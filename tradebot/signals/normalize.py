"""Turn the rows of a flow source into facts, one by one. A bad row is counted and skipped; the rest go on."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from tradebot.model.flow import (
    DarkPoolPrint,
    Endpoint,
    Fact,
    FlowAlert,
    FlowPage,
    GreekExposure,
    Intake,
    IvRank,
    OiChange,
    RejectedRow,
    TideTick,
)
from tradebot.model.instrument import Right

Row = Mapping[str, object]

FUTURE_TOLERANCE = timedelta(seconds=5)
LONGEST_TEXT = 128
LONGEST_NUMBER = 100
REGULAR_SETTLEMENT = (None, "regular", "regular_settlement")
_ZERO = Decimal()
_LARGEST = Decimal("1e18")
_LARGEST_COUNT = int(_LARGEST)
_MOST_PLACES = 99
_NUMBERS = (str, int, Decimal, float)
_TEXTS = (str, int)
_EPOCHS = (int, Decimal)
_RIGHTS = {right.value: right for right in Right}
_OCC = re.compile(r"[A-Z0-9.]{1,6}\d{6}([CP])\d{8}")


class BadRowError(ValueError):
    """Raised for a row that can't be used; the message is the reason it is counted under."""


def source_ticker(symbol: str) -> str:
    """Return the ticker as the flow source spells it, without the dot of a share class (BRK.B becomes BRKB)."""
    return symbol.replace(".", "").replace("/", "")


def normalize(page: FlowPage, at: datetime) -> Intake:
    """Return the page's facts and counts of dropped rows; rows later than `at` (trading time) are rejected."""
    parse, symbol = _PARSERS[page.endpoint], page.symbol or ""
    ticker = source_ticker(symbol).upper()
    facts: dict[str, Fact] = {}
    rejected: list[RejectedRow] = []
    foreign = duplicates = 0
    for row in page.rows:
        if page.symbol is not None and _is_foreign(row, ticker):
            foreign += 1
            continue
        try:
            fact = parse(_object(row), symbol, at)
        except BadRowError as bad:
            rejected.append(RejectedRow(str(bad), _excerpt(row)))
            continue
        duplicates += fact.id in facts
        facts[fact.id] = fact
    return Intake(
        page.endpoint,
        page.symbol,
        at,
        len(page.rows),
        tuple(facts.values()),
        foreign,
        duplicates,
        tuple(rejected),
    )


def _is_foreign(row: object, ticker: str) -> bool:
    """Return True if the row belongs to a ticker other than the one asked for."""
    if not isinstance(row, dict):
        return False
    found = row.get("ticker", row.get("underlying_symbol"))
    return isinstance(found, str) and found.upper() != ticker


def _alert(row: Row, symbol: str, at: datetime) -> FlowAlert:
    if row.get("ticker") is None:
        raise BadRowError("ticker is missing")
    return FlowAlert(
        id=_text(row, "id"),
        symbol=symbol,
        at=_past_time(row, "created_at", at),
        right=_right(_text(row, "type")),
        strike=_positive(row, "strike"),
        expiry=_date(row, "expiry"),
        premium=_positive(row, "total_premium"),
        ask_premium=_not_negative(row, "total_ask_side_prem"),
        bid_premium=_not_negative(row, "total_bid_side_prem"),
        volume=_count(row, "volume"),
        open_interest=_count(row, "open_interest"),
        has_sweep=row.get("has_sweep") is True,
        has_floor=row.get("has_floor") is True,
        has_multileg=row.get("has_multileg") is True,
    )


def _print(row: Row, symbol: str, at: datetime) -> DarkPoolPrint:
    if row.get("canceled") is True:
        raise BadRowError("canceled")
    if row.get("trade_settlement") not in REGULAR_SETTLEMENT:
        raise BadRowError("settlement is not regular")
    price, bid, ask = _positive(row, "price"), _positive(row, "nbbo_bid"), _positive(row, "nbbo_ask")
    if bid > ask:
        raise BadRowError("nbbo_bid is above nbbo_ask")
    size = _count(row, "size")
    # Several prints may share a tracking id, so size, price and the day's volume are part of the identity.
    identity = f"{_text(row, 'tracking_id')}/{size}/{price}/{_count(row, 'volume')}"
    when = _past_time(row, "executed_at", at)
    return DarkPoolPrint(identity, symbol, when, price, size, _positive(row, "premium"), bid, ask)


def _tide(row: Row, symbol: str, at: datetime) -> TideTick:
    when = _past_time(row, "timestamp", at)
    calls, puts = _number(row, "net_call_premium"), _number(row, "net_put_premium")
    return TideTick(when.isoformat(), when, calls, puts, int(_number(row, "net_volume")))


def _greek_exposure(row: Row, symbol: str, at: datetime) -> GreekExposure:
    day = _past_date(row, "date", at)
    return GreekExposure(day.isoformat(), symbol, day, _number(row, "call_gamma"), _number(row, "put_gamma"))


def _iv_rank(row: Row, symbol: str, at: datetime) -> IvRank:
    day, rank = _past_date(row, "date", at), _not_negative(row, "iv_rank_1y")
    if rank > 100:
        raise BadRowError("iv_rank_1y is above 100")
    _past_time(row, "updated_at", at)
    return IvRank(day.isoformat(), symbol, day, rank, _positive(row, "volatility"))


def _oi_change(row: Row, symbol: str, at: datetime) -> OiChange:
    contract = _text(row, "option_symbol")
    match = _OCC.fullmatch(contract)
    if match is None:
        raise BadRowError("option_symbol is not an OCC symbol")
    day = _past_date(row, "curr_date", at)
    right = Right.CALL if match[1] == "C" else Right.PUT
    return OiChange(f"{day.isoformat()}/{contract}", symbol, day, contract, right, int(_number(row, "oi_diff_plain")))


_PARSERS: Mapping[Endpoint, Callable[[Row, str, datetime], Fact]] = {
    Endpoint.FLOW_ALERTS: _alert,
    Endpoint.DARK_POOL: _print,
    Endpoint.MARKET_TIDE: _tide,
    Endpoint.GREEK_EXPOSURE: _greek_exposure,
    Endpoint.IV_RANK: _iv_rank,
    Endpoint.OI_CHANGE: _oi_change,
}


def _object(row: object) -> Row:
    if not isinstance(row, dict):
        raise BadRowError("the row is not an object")
    return row


def _excerpt(row: object) -> str:
    return repr(row)[:160]


def _present(row: Row, name: str) -> object:
    value = row.get(name)
    if value is None:
        raise BadRowError(f"{name} is missing")
    return value


def _text(row: Row, name: str) -> str:
    value = _present(row, name)
    if isinstance(value, bool) or not isinstance(value, _TEXTS):
        raise BadRowError(f"{name} is not text")
    text = str(value)
    if not text.strip():
        raise BadRowError(f"{name} is empty")
    if len(text) > LONGEST_TEXT:
        raise BadRowError(f"{name} is longer than {LONGEST_TEXT} characters")
    return text


def _number(row: Row, name: str) -> Decimal:
    """Read a number from text, an integer or a decimal: the source may send the same field as any of these."""
    value = row.get(name)
    text = value if type(value) is str else _number_text(row, name)
    if len(text) > LONGEST_NUMBER:
        raise BadRowError(f"{name} is longer than {LONGEST_NUMBER} characters")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise BadRowError(f"{name} is not a number") from None
    if not number.is_finite() or abs(number) > _LARGEST or number.adjusted() < -_MOST_PLACES:
        raise BadRowError(f"{name} is not a usable number")
    return number


def _number_text(row: Row, name: str) -> str:
    value = _present(row, name)
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise BadRowError(f"{name} is not a number")
    return str(value)


def _not_negative(row: Row, name: str) -> Decimal:
    number = _number(row, name)
    if number < _ZERO:
        raise BadRowError(f"{name} is negative")
    return number


def _positive(row: Row, name: str) -> Decimal:
    number = _number(row, name)
    if number > _ZERO:
        return number
    raise BadRowError(f"{name} is negative" if number else f"{name} is zero")


def _count(row: Row, name: str) -> int:
    value = row.get(name)
    if type(value) is int and 0 <= value <= _LARGEST_COUNT:
        return value
    number = _not_negative(row, name)
    whole = int(number)
    if number != whole:
        raise BadRowError(f"{name} is not a whole number")
    return whole


def _right(text: str) -> Right:
    right = _RIGHTS.get(text.lower())
    if right is None:
        raise BadRowError("type is neither call nor put")
    return right


def _time(row: Row, name: str) -> datetime:
    """Read ISO text with an offset (T or a space before the time), or epoch seconds or milliseconds."""
    value = _present(row, name)
    try:
        if isinstance(value, _EPOCHS) and not isinstance(value, bool):
            return datetime.fromtimestamp(float(value) / (1000 if value > 10**11 else 1), UTC)
        when = datetime.fromisoformat(str(value))
        if when.tzinfo is not None:
            return when.astimezone(UTC)
    # Arithmetic errors come from NaN and infinities, and from years that the shift to UTC pushes out of range.
    except (ValueError, ArithmeticError, OSError):
        raise BadRowError(f"{name} is not a time") from None
    raise BadRowError(f"{name} has no time zone")


def _past_time(row: Row, name: str, at: datetime) -> datetime:
    when = _time(row, name)
    if when - at > FUTURE_TOLERANCE:
        raise BadRowError(f"{name} is in the future")
    return when


def _date(row: Row, name: str) -> date:
    try:
        return date.fromisoformat(_text(row, name))
    except ValueError:
        raise BadRowError(f"{name} is not a date") from None


def _past_date(row: Row, name: str, at: datetime) -> date:
    day = _date(row, name)
    if day > at.date():
        raise BadRowError(f"{name} is in the future")
    return day
