"""What can be said about an order without knowing the account: every field, every type, every code."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papervenue.engine.orders import Replacement, StopLoss
from papervenue.jsontext import decode_object
from papervenue.market.bars import UNITS
from papervenue.refusal import FORBIDDEN, INVALID, UNPROCESSABLE, Refusal
from papervenue.shares.order_parsing import TIMES_IN_FORCE, TYPES, read_order, read_replacement

MARKET = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "qty": "1"}
LIMIT = MARKET | {"type": "limit", "limit_price": "100"}
STOP = MARKET | {"type": "stop", "stop_price": "100"}
STOP_LIMIT = MARKET | {"type": "stop_limit", "stop_price": "100", "limit_price": "101"}
TRAILING = MARKET | {"type": "trailing_stop", "trail_price": "1.5"}
LEGS = {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "90"}}
BRACKET = MARKET | LEGS | {"order_class": "bracket"}
OCO = MARKET | LEGS | {"side": "sell", "type": "limit", "order_class": "oco"}
OTO = MARKET | {"order_class": "oto", "stop_loss": {"stop_price": "90", "limit_price": "89.5"}}
MISPLACED = "must not have"
ONE_TRAIL = "trailing stop orders must specify one of trail_price or trail_perc"
EXTENDED = "extended hours order must be DAY or GTC limit orders"


@pytest.mark.parametrize(
    ("base", "change", "code", "message"),
    [
        (MARKET, {"qty": "0"}, INVALID, "qty must be > 0"),
        (MARKET, {"qty": "-0.5"}, INVALID, "qty must be > 0"),
        (MARKET, {"qty": "NaN"}, INVALID, "invalid qty"),
        (MARKET, {"qty": True}, INVALID, "invalid qty"),
        (MARKET, {"qty": Decimal("1e400")}, INVALID, "invalid qty"),
        (MARKET, {"qty": None}, INVALID, "qty or notional is required"),
        (MARKET, {"notional": "5"}, INVALID, "only one of qty or notional is accepted"),
        (MARKET, {"qty": None, "notional": "0"}, INVALID, "notional must be > 0"),
        (MARKET, {"qty": None, "notional": "5.001"}, UNPROCESSABLE, "limited to 2 decimal places"),
        (MARKET, {"symbol": ""}, INVALID, "symbol is required"),
        (MARKET, {"symbol": ["AAPL"]}, INVALID, "symbol is required"),
        (MARKET, {"symbol": "AAPL250620C00100000"}, FORBIDDEN, "not eligible to trade option"),
        (MARKET, {"order_class": "mleg"}, FORBIDDEN, "not eligible to trade option"),
        (MARKET, {"legs": 5}, INVALID, "legs are only accepted for mleg orders"),
        (MARKET, {"legs": [{"symbol": "AAPL"}]}, INVALID, "legs are only accepted for mleg orders"),
        (BRACKET, {"legs": {}}, INVALID, "legs are only accepted for mleg orders"),
        (MARKET, {"advanced_instructions": {}}, FORBIDDEN, "not allowed to use advanced_instructions"),
        (MARKET, {"side": None}, INVALID, "side is required"),
        (MARKET, {"side": 1}, INVALID, "invalid side"),
        (MARKET, {"type": "iceberg"}, INVALID, "invalid order type"),
        (MARKET, {"type": {}}, INVALID, "invalid order type"),
        (MARKET, {"time_in_force": "gtd"}, INVALID, "invalid time_in_force"),
        (MARKET, {"order_class": "otoco"}, INVALID, "invalid order_class"),
        (MARKET, {"position_intent": "open"}, INVALID, "invalid position_intent"),
        (MARKET, {"extended_hours": "yes"}, INVALID, "invalid extended_hours"),
        (MARKET, {"extended_hours": True}, UNPROCESSABLE, EXTENDED),
        (MARKET, {"limit_price": "5"}, INVALID, "market orders require no stop or limit price"),
        (MARKET, {"stop_price": "5"}, INVALID, "market orders require no stop or limit price"),
        (MARKET, {"trail_price": "5"}, INVALID, "market orders must not have trail_price"),
        (MARKET, {"qty": "0.5", "time_in_force": "gtc"}, UNPROCESSABLE, "fractional orders must be DAY orders"),
        (LIMIT, {"limit_price": None}, INVALID, "limit orders require a limit price"),
        (LIMIT, {"limit_price": "0"}, INVALID, "limit price must be > 0"),
        (LIMIT, {"limit_price": [1]}, INVALID, "invalid limit_price"),
        (LIMIT, {"stop_price": "5"}, INVALID, MISPLACED),
        (LIMIT, {"limit_price": "290.123"}, UNPROCESSABLE, "invalid limit_price 290.123. sub-penny increment does not"),
        (LIMIT, {"limit_price": "0.12345"}, UNPROCESSABLE, "sub-penny"),
        (LIMIT, {"extended_hours": True, "time_in_force": "ioc"}, UNPROCESSABLE, EXTENDED),
        (LIMIT, {"extended_hours": True, "qty": "0.5"}, UNPROCESSABLE, "fractional orders cannot be extended hours"),
        (STOP, {"stop_price": None}, INVALID, "stop orders require a stop price"),
        (STOP, {"stop_price": "9.999"}, UNPROCESSABLE, "invalid stop_price 9.999. sub-penny"),
        (STOP, {"limit_price": "9"}, INVALID, MISPLACED),
        (STOP, {"time_in_force": "ioc"}, UNPROCESSABLE, "invalid time_in_force ioc for a stop order"),
        (STOP_LIMIT, {"stop_price": None}, INVALID, "stop limit orders require both stop and limit price"),
        (STOP_LIMIT, {"limit_price": None}, INVALID, "stop limit orders require both stop and limit price"),
        (STOP_LIMIT, {"extended_hours": True}, UNPROCESSABLE, EXTENDED),
        (TRAILING, {"trail_price": None}, INVALID, ONE_TRAIL),
        (TRAILING, {"trail_percent": "1"}, INVALID, ONE_TRAIL),
        (TRAILING, {"trail_price": "1.005"}, UNPROCESSABLE, "sub-penny"),
        (TRAILING, {"trail_price": None, "trail_percent": "100"}, INVALID, "trail_percent must be < 100"),
        (TRAILING, {"stop_price": "5"}, INVALID, "trailing stop orders must not have stop_price"),
        (TRAILING, {"qty": "0.5"}, UNPROCESSABLE, "fractional orders must be market, limit, stop or stop_limit"),
        (TRAILING, LEGS | {"order_class": "bracket"}, INVALID, "bracket orders must be market or limit orders"),
        (STOP, LEGS | {"order_class": "bracket"}, INVALID, "bracket orders must be market or limit orders"),
        (BRACKET, {"take_profit": None}, INVALID, "bracket orders require take_profit.limit_price"),
        (BRACKET, {"stop_loss": {}}, INVALID, "bracket orders require stop_loss.stop_price"),
        (BRACKET, {"stop_loss": {"limit_price": "5"}}, INVALID, "stop_loss.stop_price is required"),
        (BRACKET, {"stop_loss": "90"}, INVALID, "invalid stop_loss"),
        (BRACKET, {"take_profit": {"limit_price": "1e9e"}}, INVALID, "invalid take_profit.limit_price"),
        (BRACKET, {"stop_loss": {"stop_price": "90.001"}}, UNPROCESSABLE, "sub-penny"),
        (BRACKET, {"stop_loss": {"stop_price": "110"}}, UNPROCESSABLE, "take_profit.limit_price must be > stop_loss"),
        (BRACKET, {"side": "sell"}, UNPROCESSABLE, "take_profit.limit_price must be < stop_loss.stop_price"),
        (BRACKET, {"qty": "1.5"}, UNPROCESSABLE, "fractional orders must be simple orders"),
        (BRACKET, {"qty": None, "notional": "50"}, UNPROCESSABLE, "fractional orders must be simple orders"),
        (BRACKET, {"time_in_force": "fok"}, UNPROCESSABLE, "bracket orders must be DAY or GTC orders"),
        (BRACKET, {"type": "limit", "limit_price": "100", "extended_hours": True}, UNPROCESSABLE, EXTENDED),
        (BRACKET, {"order_class": ""}, INVALID, "simple orders must not have take_profit or stop_loss"),
        (OCO, {"type": "market"}, INVALID, "oco orders must be limit orders"),
        (OCO, {"side": "buy"}, UNPROCESSABLE, "take_profit.limit_price must be < stop_loss.stop_price"),
        (OTO, LEGS, INVALID, "oto orders require either take_profit or stop_loss"),
        (OTO, {"stop_loss": None}, INVALID, "oto orders require either take_profit or stop_loss"),
        (MARKET, {"client_order_id": "x" * 129}, INVALID, "client_order_id must be no more than 128 characters"),
        (MARKET, {"client_order_id": "a\x00b"}, INVALID, "invalid client_order_id"),
        (MARKET, {"client_order_id": "a\x9fb"}, INVALID, "invalid client_order_id"),
        (MARKET, {"client_order_id": 7}, INVALID, "invalid client_order_id"),
    ],
)
def test_a_request_that_no_account_could_place_is_refused_with_its_code(
    base: dict[str, Any], change: dict[str, Any], code: int, message: str
) -> None:
    with pytest.raises(Refusal) as caught:
        read_order(base | change)
    assert (caught.value.status, caught.value.body["code"]) == (403 if code == FORBIDDEN else 422, code)
    assert message in caught.value.body["message"]


@pytest.mark.parametrize("body", [MARKET, LIMIT, STOP, STOP_LIMIT, TRAILING, BRACKET, OCO, OTO])
def test_every_kind_of_order_is_read_and_what_alpaca_does_not_know_is_ignored(body: dict[str, Any]) -> None:
    request = read_order(body)
    assert (request.type, request.order_class) == (body["type"], body.get("order_class", "simple"))
    assert read_order(body | {"colour": "red", "order_type": 5}) == request
    assert read_order(dict.fromkeys(LEGS) | {"client_order_id": ""} | body) == request


def test_prices_are_units_and_legs_are_read_from_their_objects() -> None:
    assert read_order(STOP_LIMIT).stop == 100 * UNITS
    assert read_order(STOP_LIMIT).limit == 101 * UNITS
    assert read_order(TRAILING).trail_price == 15_000
    assert read_order(TRAILING | {"trail_price": None, "trail_percent": "0.5"}).trail_percent == Decimal("0.5")
    assert read_order(BRACKET).take_profit == 110 * UNITS
    assert read_order(OTO).stop_loss == StopLoss(90 * UNITS, 895_000)
    assert read_order(OCO | {"limit_price": "1"}).limit == 110 * UNITS


def test_numbers_may_be_json_numbers_with_the_noise_of_floats() -> None:
    body = (
        b'{"symbol":"AAPL","side":"buy","type":"limit","time_in_force":"day","qty":0.30000000000000004,"limit_price":9}'
    )
    request = read_order(decode_object(body.decode()))
    assert (request.qty, request.limit) == (Decimal("0.3"), 9 * UNITS)


@pytest.mark.parametrize("order_type", TYPES)
@pytest.mark.parametrize("time_in_force", TIMES_IN_FORCE)
def test_the_times_in_force_of_a_type_are_alpaca_s(order_type: str, time_in_force: str) -> None:
    body = next(one for one in (MARKET, LIMIT, STOP, STOP_LIMIT, TRAILING) if one["type"] == order_type)
    if time_in_force in ("day", "gtc") or order_type in ("market", "limit"):
        assert read_order(body | {"time_in_force": time_in_force}).time_in_force == time_in_force
    else:
        with pytest.raises(Refusal):
            read_order(body | {"time_in_force": time_in_force})


def test_a_client_order_id_of_128_characters_of_any_script_is_kept_as_it_is() -> None:
    name = "ñ漢😀-" * 32
    assert read_order(MARKET | {"client_order_id": name}).client_order_id == name


@pytest.mark.parametrize("name", ["\ud801", "a\u202eb", "a\u2028b", "a\nb", "\x7f", "\ufeffa", "\ue000"])
@pytest.mark.parametrize("read", [lambda given: read_order(MARKET | given), read_replacement])
def test_a_client_order_id_that_cannot_be_printed_is_refused(read: Callable[[Any], object], name: str) -> None:
    with pytest.raises(Refusal) as refused:
        read({"client_order_id": name})
    assert (refused.value.status, refused.value.body["message"]) == (422, "invalid client_order_id")


def test_half_of_a_surrogate_pair_is_refused_wherever_it_stands_and_a_whole_one_is_a_letter() -> None:
    assert decode_object('{"a": ["\\ud83d\\ude00"]}') == {"a": ["\U0001f600"]}
    for text in ('{"a": "\\ud83d"}', '{"a": [{"b": "x\\uDE00"}]}', '{"\\ud83d": 1}', '{"a": "\\ude00\\ud83d"}'):
        with pytest.raises(Refusal) as refused:
            decode_object(text)
        assert refused.value.status == 400


def test_a_replacement_holds_what_is_given() -> None:
    assert read_replacement({}) == Replacement(None, None, None, None, None, None)
    prices = {"limit_price": "5", "stop_price": "6.25", "trail": "0.1"}
    wanted = read_replacement({"qty": "4", **prices, "time_in_force": "gtc", "client_order_id": "a"})
    assert wanted == Replacement(Decimal(4), 5 * UNITS, 62_500, Decimal("0.1"), "gtc", "a")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"qty": "0"}, INVALID),
        ({"qty": "1.5"}, UNPROCESSABLE),
        ({"notional": "5"}, UNPROCESSABLE),
        ({"limit_price": "1.001"}, UNPROCESSABLE),
        ({"stop_price": {}}, INVALID),
        ({"trail": "-1"}, INVALID),
        ({"time_in_force": "never"}, INVALID),
        ({"client_order_id": "x" * 129}, INVALID),
    ],
)
def test_a_replacement_that_makes_no_sense_is_refused(body: dict[str, Any], code: int) -> None:
    with pytest.raises(Refusal) as caught:
        read_replacement(body)
    assert caught.value.body["code"] == code


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["AAPL", "sell", "limit", "gtc", "oco", "bracket", "1", "9.5", "1e400", "-0", "Infinity"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["limit_price", "stop_price"]), inner),
    max_leaves=3,
)
FIELDS = (
    *(*BRACKET, *TRAILING, "limit_price", "stop_price", "notional", "trail_percent", "extended_hours"),
    *("client_order_id", "position_intent", "trail", "advanced_instructions"),
)


def refusal(read: Callable[[dict[str, Any]], object], body: dict[str, Any]) -> int | None:
    try:
        read(body)
    except Refusal as refused:
        return int(refused.body["code"])
    return None


@given(
    base=st.sampled_from([MARKET, LIMIT, TRAILING, BRACKET, OCO]), change=st.dictionaries(st.sampled_from(FIELDS), JSON)
)
def test_any_json_in_any_field_is_a_request_or_a_refusal(base: dict[str, Any], change: dict[str, Any]) -> None:
    for read in (read_order, read_replacement):
        assert refusal(read, base | change) in (None, INVALID, UNPROCESSABLE, FORBIDDEN)
