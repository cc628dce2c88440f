"""Choose the alerts that count by the source's own parameters, over stored rows: one fetch serves every strategy."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import date, datetime
from functools import cache
from typing import NamedTuple

from tradebot.model.flow import AlertFilters, FlowAlert
from tradebot.model.instrument import Right

Measure = Callable[[FlowAlert, date], float | None]
Flag = Callable[[FlowAlert], bool | None]
Test = Callable[[FlowAlert, date], bool | None]


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
    "premium": lambda alert, today: float(alert.premium),
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
_BOUNDS = {f"{side}_{name}": (measure, side == "min") for name, measure in _MEASURES.items() for side in ("min", "max")}
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
    tests, today, passed, lacking = _tests(filters), now.date(), list[FlowAlert](), 0
    for alert in alerts:
        lacks = False
        for test in tests:
            verdict = test(alert, today)
            # A row that another filter refuses anyway isn't missing anything.
            if verdict is False:
                break
            lacks = lacks or verdict is None
        else:
            if lacks:
                lacking += 1
            else:
                passed.append(alert)
    return Chosen(passed, lacking)


@cache
def _tests(filters: AlertFilters) -> tuple[Test, ...]:
    return tuple(_each_test(filters))


def _each_test(filters: AlertFilters) -> Iterator[Test]:
    for field in fields(filters):
        wanted, name = getattr(filters, field.name), field.name
        if wanted is None:
            continue
        if name in _FLAGS:
            yield _flag(_FLAGS[name], wanted)
        elif name in _WORDS:
            yield _word(_WORDS[name], frozenset(wanted))
        else:
            measure, least = _BOUNDS[name]
            yield _bound(measure, wanted, least=least)


def _bound(measure: Measure, limit: float, *, least: bool) -> Test:
    def test(alert: FlowAlert, today: date) -> bool | None:
        value = measure(alert, today)
        return None if value is None else value >= limit if least else value <= limit

    return test


def _flag(read: Flag, wanted: bool) -> Test:
    def test(alert: FlowAlert, _: date) -> bool | None:
        value = read(alert)
        return None if value is None else value is wanted

    return test


def _word(read: Callable[[FlowAlert], str | None], wanted: frozenset[str]) -> Test:
    def test(alert: FlowAlert, _: date) -> bool | None:
        value = read(alert)
        return None if value is None else value in wanted

    return test
