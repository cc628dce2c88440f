"""Filter flow alerts and dark-pool prints by request parameters.

A row whose fields can't be read passes every filter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

from papervenue.flow.series import accept_unreadable, number
from papervenue.params import Params

Fields = dict[str, Any]
Value = Callable[[Fields], float]
Test = Callable[[Fields], bool]
_LARGEST = 10**9
PRINT_NUMBERS = ("premium", "size", "volume")


def _number(name: str) -> Value:
    return lambda alert: number(alert, name)


def _days_to_expiry(alert: Fields) -> float:
    created, expiry = str(alert["created_at"])[:10], str(alert["expiry"])
    return (date.fromisoformat(expiry) - date.fromisoformat(created)).days


def _at_ask(alert: Fields) -> bool:
    return number(alert, "total_ask_side_prem") > number(alert, "total_bid_side_prem")


def _out_of_the_money(alert: Fields) -> bool:
    strike, price = number(alert, "strike"), number(alert, "underlying_price")
    return strike > price if alert["type"] == "call" else strike < price


_RANGES: dict[str, Value] = {
    "premium": _number("total_premium"),
    "size": _number("total_size"),
    "volume": _number("volume"),
    "open_interest": _number("open_interest"),
    "dte": _days_to_expiry,
}
_EXCLUDES_WHEN_FALSE: dict[str, Test] = {
    "is_call": lambda alert: alert["type"] == "call",
    "is_put": lambda alert: alert["type"] == "put",
    "is_sweep": lambda alert: bool(alert["has_sweep"]),
    "is_floor": lambda alert: bool(alert["has_floor"]),
    "is_ask_side": _at_ask,
    "is_bid_side": lambda alert: not _at_ask(alert),
}
_MUST_EQUAL: dict[str, Test] = {
    "is_otm": _out_of_the_money,
    "is_multi_leg": lambda alert: bool(alert["has_multileg"]),
    "vol_greater_oi": lambda alert: number(alert, "volume") > number(alert, "open_interest"),
    "size_greater_oi": lambda alert: number(alert, "total_size") > number(alert, "open_interest"),
}


def build_alert_filter(params: Params, rules: Sequence[str], issue_types: Sequence[str]) -> Test:
    """Return the function that selects the requested alerts; raise a Refusal for an invalid parameter."""
    tests = [*range_tests(_RANGES, partial(_bound, params)), *_flag_tests(params)]
    if rules:
        tests.append(lambda alert: alert["alert_rule"] in rules)
    if issue_types:
        tests.append(lambda alert: alert["issue_type"] in issue_types)
    return _every(tests)


def matcher_of_prints(params: Params) -> Test:
    """Return the function that selects the requested dark-pool prints; raise a Refusal for an invalid parameter."""
    return _every(range_tests({name: _number(name) for name in PRINT_NUMBERS}, partial(_bound, params)))


def _every(tests: Sequence[Test]) -> Test:
    if not tests:
        return lambda fields: True
    lenient_tests = [accept_unreadable(test) for test in tests]
    return lambda fields: all(test(fields) for test in lenient_tests)


def _bound(params: Params, name: str) -> int | None:
    return params.count(name, 0, _LARGEST, 0) if params.text(name) else None


def range_tests(ranges: Mapping[str, Value], bound: Callable[[str], float | None]) -> list[Test]:
    """Return the tests for the min_NAME and max_NAME bounds in the request."""
    bounds = ((value, bound(f"min_{name}"), bound(f"max_{name}")) for name, value in ranges.items())
    return [_within(value, low, high) for value, low, high in bounds if (low, high) != (None, None)]


def _within(value: Value, low: float | None, high: float | None) -> Test:
    return lambda fields: (low is None or value(fields) >= low) and (high is None or value(fields) <= high)


def _flag_tests(params: Params) -> list[Test]:
    tests = [_not(test) for name, test in _EXCLUDES_WHEN_FALSE.items() if not params.flag(name, True)]
    for name, test in _MUST_EQUAL.items():
        if params.text(name):
            tests.append(test if params.flag(name, True) else _not(test))
    return tests


def _not(test: Test) -> Test:
    return lambda alert: not test(alert)
