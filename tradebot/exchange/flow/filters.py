"""Filter flow alerts and dark-pool prints by request parameters.

A row whose fields can't be read passes every filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from tradebot.exchange.flow.rows import lenient, number
from tradebot.exchange.params import Params

Fields = dict[str, Any]
_LARGEST = 10**9
PRINT_NUMBERS = ("premium", "size", "volume")


def _number(name: str) -> Callable[[Fields], float]:
    return lambda alert: number(alert, name)


def _days_to_expiry(alert: Fields) -> float:
    created, expiry = str(alert["created_at"])[:10], str(alert["expiry"])
    return (date.fromisoformat(expiry) - date.fromisoformat(created)).days


def _at_ask(alert: Fields) -> bool:
    return number(alert, "total_ask_side_prem") > number(alert, "total_bid_side_prem")


def _out_of_the_money(alert: Fields) -> bool:
    strike, price = number(alert, "strike"), number(alert, "underlying_price")
    return strike > price if alert["type"] == "call" else strike < price


_RANGES: dict[str, Callable[[Fields], float]] = {
    "premium": _number("total_premium"),
    "size": _number("total_size"),
    "volume": _number("volume"),
    "open_interest": _number("open_interest"),
    "dte": _days_to_expiry,
}
_EXCLUDES_WHEN_FALSE: dict[str, Callable[[Fields], bool]] = {
    "is_call": lambda alert: alert["type"] == "call",
    "is_put": lambda alert: alert["type"] == "put",
    "is_sweep": lambda alert: bool(alert["has_sweep"]),
    "is_floor": lambda alert: bool(alert["has_floor"]),
    "is_ask_side": _at_ask,
    "is_bid_side": lambda alert: not _at_ask(alert),
}
_MUST_EQUAL: dict[str, Callable[[Fields], bool]] = {
    "is_otm": _out_of_the_money,
    "is_multi_leg": lambda alert: bool(alert["has_multileg"]),
    "vol_greater_oi": lambda alert: number(alert, "volume") > number(alert, "open_interest"),
    "size_greater_oi": lambda alert: number(alert, "total_size") > number(alert, "open_interest"),
}


def matcher(params: Params, rules: Sequence[str], issue_types: Sequence[str]) -> Callable[[Fields], bool]:
    """Return the function that selects the requested alerts; raise a Refusal for an invalid value."""
    tests = [*_range_tests(params, _RANGES), *_flag_tests(params)]
    if rules:
        tests.append(lambda alert: alert["alert_rule"] in rules)
    if issue_types:
        tests.append(lambda alert: alert["issue_type"] in issue_types)
    return _every(tests)


def matcher_of_prints(params: Params) -> Callable[[Fields], bool]:
    """Return the function that selects the requested dark-pool prints; raise a Refusal for an invalid value."""
    return _every(_range_tests(params, {name: _number(name) for name in PRINT_NUMBERS}))


def _every(tests: Sequence[Callable[[Fields], bool]]) -> Callable[[Fields], bool]:
    if not tests:
        return _anything
    lenient_tests = [lenient(test) for test in tests]
    return lambda fields: all(test(fields) for test in lenient_tests)


def _anything(fields: Fields) -> bool:
    return True


def _range_tests(params: Params, ranges: dict[str, Callable[[Fields], float]]) -> list[Callable[[Fields], bool]]:
    """Return the tests for the min_NAME and max_NAME parameters that were given."""
    tests: list[Callable[[Fields], bool]] = []
    for name, value in ranges.items():
        if params.text(f"min_{name}"):
            tests.append(_at_least(value, params.count(f"min_{name}", 0, _LARGEST, 0)))
        if params.text(f"max_{name}"):
            tests.append(_at_most(value, params.count(f"max_{name}", 0, _LARGEST, 0)))
    return tests


def _at_least(value: Callable[[Fields], float], bound: int) -> Callable[[Fields], bool]:
    return lambda alert: value(alert) >= bound


def _at_most(value: Callable[[Fields], float], bound: int) -> Callable[[Fields], bool]:
    return lambda alert: value(alert) <= bound


def _flag_tests(params: Params) -> list[Callable[[Fields], bool]]:
    tests = [_not(test) for name, test in _EXCLUDES_WHEN_FALSE.items() if not params.flag(name, True)]
    for name, test in _MUST_EQUAL.items():
        if params.text(name):
            tests.append(test if params.flag(name, True) else _not(test))
    return tests


def _not(test: Callable[[Fields], bool]) -> Callable[[Fields], bool]:
    return lambda alert: not test(alert)
