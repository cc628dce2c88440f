"""Which alerts count, and what they add up to."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from math import fsum
from operator import attrgetter
from typing import NamedTuple

from tradebot.model.candidate import OptionContract
from tradebot.model.flow import FlowAlert, FlowWindow
from tradebot.model.record import SymbolFacts
from tradebot.signals.filters import Chosen, Filter, chosen, filters_on
from tradebot.signals.formula import compiled
from tradebot.signals.kinds import options_volume

MOST = 5
"""How many contracts of an entry are kept, those with the most premium."""


def contracts_behind(alerts: Iterable[FlowAlert], direction: int) -> tuple[OptionContract, ...]:
    """Return the contracts of the alerts that lean in a direction (+1 bullish, -1 bearish), the most premium first."""
    found: dict[str, list[FlowAlert]] = defaultdict(list)
    for alert in alerts:
        if alert.sign == direction:
            found[alert.contract].append(alert)
    contracts = [_contract(symbol, its) for symbol, its in found.items()]
    return tuple(sorted(contracts, key=lambda one: (-abs(one.net_premium), one.symbol))[:MOST])


def _contract(symbol: str, alerts: list[FlowAlert]) -> OptionContract:
    newest_first = sorted(alerts, key=attrgetter("at", "id"), reverse=True)
    newest = newest_first[0]
    return OptionContract(
        symbol=symbol or f"{newest.right.value} {newest.strike:f} {newest.expiry.isoformat()}",
        net_premium=sum(alert.net_premium for alert in alerts),  # type: ignore[arg-type]
        at=newest.at,
        bid=newest.bid,
        ask=newest.ask,
        volume=newest.volume,
        open_interest=newest.open_interest,
        opening=newest.opening,
        sweep=any(alert.has_sweep for alert in alerts),
        alerts=tuple(alert.id for alert in newest_first),
    )


def sizes(alerts: Iterable[FlowAlert], window: timedelta, sign: int) -> list[int]:
    """Return how many alerts each cluster of one direction (+1 bullish, -1 bearish) has, the first cluster first.

    A cluster is of alerts of one symbol and direction, within a window that starts at the first one.
    """
    found: list[int] = []
    until = None
    for at in sorted([alert.at for alert in alerts if alert.sign == sign]):
        if until is None or at > until:
            until = at + window
            found.append(1)
        else:
            found[-1] += 1
    return found


_AT = attrgetter("at")
FLOW = "net / (gross + scale)"
"""What alerts add up to: one more bullish alert never lowers it, and thin flow counts for little."""
_flow = compiled(FLOW, ("net", "gross", "scale"))


class Counting(NamedTuple):
    """Which alerts count at one moment, and against what: the same for all symbols.

    Alerts count that are later than `since`, don't expire before `today`, and pass the filters.
    """

    since: datetime
    today: date
    filters: Sequence[Filter]
    window: FlowWindow


class FlowNow(NamedTuple):
    """The flow of one symbol at one time.

    `alerts` are those that count; `lacking` is how many others lack a field that a filter reads. `scale_usd` is the
    premium that the alerts are measured against, None if too little is known of the symbol's trailing premium. `value`
    is from -1 to 1, None without a scale or without a usable reply about the symbol's alerts.
    """

    alerts: Sequence[FlowAlert]
    lacking: int
    scale_usd: float | None
    value: float | None


def counting(now: datetime, window: FlowWindow) -> Counting:
    return Counting(now - window.lookback, now.date(), filters_on(now.date(), window.filters), window)


def flow_now(facts: SymbolFacts, count: Counting) -> FlowNow:
    (alerts, lacking), scale = recent_alerts(facts, count), scale_usd(facts, count.window)
    at = facts.alerts_fetched_at
    # A reply as old as the lookback says nothing of alerts since, not that there were none.
    known = scale is not None and facts.has_usable_alerts and at is not None and at > count.since
    return FlowNow(alerts, lacking, scale, flow(alerts, scale) if scale is not None and known else None)


def recent_alerts(facts: SymbolFacts, count: Counting) -> Chosen:
    """Return the alerts that count: recent, not expired, and passing the filters."""
    alerts, today = facts.alerts, count.today
    recent = alerts[bisect_right(alerts, count.since, key=_AT) :]
    return chosen([alert for alert in recent if alert.expiry >= today], count.filters)


def scale_usd(facts: SymbolFacts, window: FlowWindow) -> float | None:
    """Return the premium in USD at which one-sided flow scores one half: a share of the symbol's own daily premium.

    None if fewer sessions are known than it takes, or if their median premium is zero: there is no scale to guess.
    """
    trailing = options_volume.KIND.of(facts.known)
    if trailing is None or trailing.sessions < window.min_sessions:
        return None
    return window.scale_share * trailing.trailing_premium_usd or None


def net_and_gross(alerts: Sequence[FlowAlert]) -> tuple[float, float]:
    """Return the sum of the alerts' signed premiums and the sum of their magnitudes, in USD; positive is bullish."""
    signed = [alert.net_usd for alert in alerts]
    # fsum rounds only once, so neither the order of the rows nor their number moves the result.
    return fsum(signed), fsum(map(abs, signed))


def flow(alerts: Sequence[FlowAlert], scale: float) -> float:
    """Return what alerts add up to by `FLOW`, from -1 to 1, measured against a scale in USD."""
    return _flow(*net_and_gross(alerts), scale)
