"""Choose the alerts that count by the source's own parameters, over stored rows: one fetch serves every strategy."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import date, datetime
from functools import lru_cache
from math import inf
from typing import NamedTuple

from tradebot.model.flow import AlertFilters, FlowAlert
from tradebot.model.instrument import Right

Measure = Callable[[FlowAlert, date], float | None]
Flag = Callable[[FlowAlert], bool | None]
Test = Callable[[FlowAlert], bool | None]


class Chosen(NamedTuple):
    """The alerts that count, and how many of the others lack a field that a filter reads."""

    alerts: Sequence[FlowAlert]
    lacking: int


def _volume_oi_ratio(alert: FlowAlert) -> float:
    """Return volume over open interest; the source counts an open interest of zero as one."""
    return alert.volume / (alert.open_interest or 1)


def _is_out_of_the_money(alert: FlowAlert) -> bool | None:
    price = alert.underlying_price
    if price is None:
        return None
    return alert.strike > price if alert.right is Right.CALL else alert.strike < price


_MEASURES: dict[str, Measure] = {
    "premium": lambda alert, today: alert.usd,
    "dte": lambda alert, today: (alert.expiry - today).days,
    "size": lambda alert, today: alert.size,
    "volume": lambda alert, today: alert.volume,
    "open_interest": lambda alert, today: alert.open_interest,
    "volume_oi_ratio": lambda alert, today: _volume_oi_ratio(alert),
    "ask_perc": lambda alert, today: float(alert.ask_premium / alert.premium),
    "bid_perc": lambda alert, today: float(alert.bid_premium / alert.premium),
}
BOUNDED = tuple(_MEASURES)
"""What has a filter for its least and one for its largest value, min_ and max_ before the name."""
_FLAGS: dict[str, Flag] = {
    "all_opening": lambda alert: alert.opening,
    "is_sweep": lambda alert: alert.has_sweep,
    "is_floor": lambda alert: alert.has_floor,
    "is_multi_leg": lambda alert: alert.has_multileg,
    "is_ask_side": lambda alert: alert.ask_premium > alert.bid_premium,
    "is_bid_side": lambda alert: alert.bid_premium > alert.ask_premium,
    "is_call": lambda alert: alert.right is Right.CALL,
    "is_put": lambda alert: alert.right is Right.PUT,
    "is_otm": _is_out_of_the_money,
    "vol_greater_oi": lambda alert: alert.volume > alert.open_interest,
    "size_greater_oi": lambda alert: None if alert.size is None else alert.size > alert.open_interest,
}
_WORDS: dict[str, Callable[[FlowAlert], str | None]] = {
    "issue_types": lambda alert: alert.issue_type,
    "rule_name": lambda alert: alert.rule or None,
}


def chosen(alerts: Sequence[FlowAlert], now: datetime, filters: AlertFilters) -> Chosen:
    """Return the alerts that pass every filter; a row without a field that a filter reads doesn't pass."""
    tests = _tests(filters, now.date())
    for test in tests:
        alerts = [alert for alert in alerts if test(alert) is not False]
    # A row that another filter refuses anyway isn't missing anything.
    passed = [alert for alert in alerts if None not in [test(alert) for test in tests]]
    return Chosen(passed, len(alerts) - len(passed))


@lru_cache(maxsize=64)
def _tests(filters: AlertFilters, today: date) -> tuple[Test, ...]:
    # Flags first: they are the cheapest to look at, and the order doesn't matter for the verdict.
    return (*_each_test(filters), *_each_bound(filters, today))


def _each_test(filters: AlertFilters) -> Iterator[Test]:
    for field in fields(filters):
        wanted, name = getattr(filters, field.name), field.name
        if wanted is None:
            continue
        if name in _FLAGS:
            yield _flag(_FLAGS[name], wanted)
        elif name in _WORDS:
            yield _word(_WORDS[name], frozenset(wanted))


def _each_bound(filters: AlertFilters, today: date) -> Iterator[Test]:
    for name, measure in _MEASURES.items():
        least, most = getattr(filters, f"min_{name}"), getattr(filters, f"max_{name}")
        if least is not None or most is not None:
            yield _bound(measure, today, -inf if least is None else least, inf if most is None else most)


def _bound(measure: Measure, today: date, least: float, most: float) -> Test:
    def test(alert: FlowAlert) -> bool | None:
        value = measure(alert, today)
        return None if value is None else least <= value <= most

    return test


def _flag(read: Flag, wanted: bool) -> Test:
    def test(alert: FlowAlert) -> bool | None:
        value = read(alert)
        return None if value is None else value is wanted

    return test


def _word(read: Callable[[FlowAlert], str | None], wanted: frozenset[str]) -> Test:
    def test(alert: FlowAlert) -> bool | None:
        value = read(alert)
        return None if value is None else value in wanted

    return test
