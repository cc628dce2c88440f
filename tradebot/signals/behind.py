"""Find the option contracts behind a proposed entry."""

from collections import defaultdict
from collections.abc import Iterable
from operator import attrgetter

from tradebot.model.candidate import OptionContract
from tradebot.model.flow import FlowAlert

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
