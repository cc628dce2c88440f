"""Apply the source's own alert filters to stored rows, so that one fetch serves every strategy."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from math import inf
from operator import attrgetter
from typing import Any, NamedTuple

from tradebot.model.flow import Filters, FlowAlert
from tradebot.model.instrument import Right

Read = Callable[[FlowAlert], Any]
Alerts = Sequence[FlowAlert]


class AlertSelection(NamedTuple):
    """The selected alerts, and how many others lack a field that a filter reads."""

    alerts: Alerts
    lacking: int


def _is_out_of_the_money(alert: FlowAlert) -> bool | None:
    price = alert.underlying_price
    if price is None:
        return None
    return alert.strike > price if alert.right is Right.CALL else alert.strike < price


_MEASURES: dict[str, Read] = {
    "premium": attrgetter("usd"),
    "dte": attrgetter("expiry"),
    "size": attrgetter("size"),
    "volume": attrgetter("volume"),
    "open_interest": attrgetter("open_interest"),
    # The source treats an open interest of zero as one.
    "volume_oi_ratio": lambda alert: alert.volume / (alert.open_interest or 1),
    "ask_perc": lambda alert: float(alert.ask_premium / alert.premium),
    "bid_perc": lambda alert: float(alert.bid_premium / alert.premium),
}
BOUNDED = tuple(_MEASURES)
"""Fields with two filters, a minimum and a maximum, whose names begin with min_ and max_."""
_FLAGS: dict[str, Read] = {
    "all_opening": attrgetter("opening"),
    "is_sweep": attrgetter("has_sweep"),
    "is_floor": attrgetter("has_floor"),
    "is_multi_leg": attrgetter("has_multileg"),
    "is_ask_side": lambda alert: alert.ask_premium > alert.bid_premium,
    "is_bid_side": lambda alert: alert.bid_premium > alert.ask_premium,
    "is_call": lambda alert: alert.right is Right.CALL,
    "is_put": lambda alert: alert.right is Right.PUT,
    "is_otm": _is_out_of_the_money,
    "vol_greater_oi": lambda alert: alert.volume > alert.open_interest,
    "size_greater_oi": lambda alert: None if alert.size is None else alert.size > alert.open_interest,
}
_WORDS: dict[str, Read] = {"issue_types": attrgetter("issue_type"), "rule_name": lambda alert: alert.rule or None}


class Filter(NamedTuple):
    """The effect of a filter: `left` returns the alerts that pass it; `read` returns None for an alert without data."""

    left: Callable[[Alerts], Alerts]
    read: Read


def select_alerts(alerts: Alerts, each: Sequence[Filter]) -> AlertSelection:
    """Return the alerts that pass every filter; a row without a field that a filter reads doesn't pass."""
    for rule in each:
        alerts = rule.left(alerts)
    # A row that another filter refuses anyway isn't lacking anything.
    passed = [alert for alert in alerts if None not in [rule.read(alert) for rule in each]]
    return AlertSelection(passed, len(alerts) - len(passed))


def filters_on(today: date, filters: Filters) -> tuple[Filter, ...]:
    """Return the filters that are set; days to expiry are counted from `today`."""
    return tuple(_each(today, filters))


def _each(today: date, filters: Filters) -> Iterator[Filter]:
    # Flags are tested first because they are cheapest, and the order doesn't affect the result.
    for name, wanted in filters.items():
        if name in _FLAGS:
            yield _one_of(_FLAGS[name], (wanted, None))
        elif name in _WORDS:
            yield _one_of(_WORDS[name], frozenset((*wanted, None)))
    for name, measure in _MEASURES.items():
        least, most = filters.get(f"min_{name}"), filters.get(f"max_{name}")
        if least is not None or most is not None:
            read: Read = (lambda alert: (alert.expiry - today).days) if name == "dte" else measure
            yield _bound(read, -inf if least is None else least, inf if most is None else most)


def _one_of(read: Read, wanted: Collection[object]) -> Filter:
    return Filter(lambda alerts: [alert for alert in alerts if read(alert) in wanted], read)


def _bound(read: Read, least: float, most: float) -> Filter:
    def keep(alerts: Alerts) -> Alerts:
        return [alert for alert in alerts if (value := read(alert)) is None or least <= value <= most]

    return Filter(keep, read)
