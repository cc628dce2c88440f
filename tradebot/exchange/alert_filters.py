"""The filters of the flow-alerts endpoint: each a parameter's name and what it asks of an alert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from tradebot.exchange.params import Params

Fields = dict[str, Any]
_LARGEST = 10**9


def _number(name: str) -> Callable[[Fields], float]:
    return lambda alert: float(alert[name] or 0)


def _days_to_expiry(alert: Fields) -> float:
    created, expiry = str(alert["created_at"])[:10], str(alert["expiry"])
    return (date.fromisoformat(expiry) - date.fromisoformat(created)).days


def _at_ask(alert: Fields) -> bool:
    return float(alert["total_ask_side_prem"]) > float(alert["total_bid_side_prem"])


def _out_of_the_money(alert: Fields) -> bool:
    strike, price = float(alert["strike"]), float(alert["underlying_price"])
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
    "vol_greater_oi": lambda alert: bool(alert["volume"] > alert["open_interest"]),
    "size_greater_oi": lambda alert: bool(alert["total_size"] > alert["open_interest"]),
}


def matcher(params: Params, rules: Sequence[str], issue_types: Sequence[str]) -> Callable[[Fields], bool]:
    """Return what decides whether an alert is asked for; raises the face's refusal on a bad value."""
    tests = [*_range_tests(params), *_flag_tests(params)]
    if rules:
        tests.append(lambda alert: alert["alert_rule"] in rules)
    if issue_types:
        tests.append(lambda alert: alert["issue_type"] in issue_types)
    return lambda alert: all(test(alert) for test in tests)


def _range_tests(params: Params) -> list[Callable[[Fields], bool]]:
    tests: list[Callable[[Fields], bool]] = []
    for name, value in _RANGES.items():
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
