"""The premium of recent alerts, measured against what is usual for the symbol."""

from collections.abc import Iterator
from typing import NamedTuple

from tradebot.model.candidate import Input
from tradebot.model.kind import AnyKind
from tradebot.signals.alerts import FLOW, net_and_gross
from tradebot.signals.kinds import flow_alerts, options_volume
from tradebot.signals.scoring import USD, Known, ScoreComponent, Shown, shown

READS: tuple[AnyKind, ...] = (flow_alerts.KIND, options_volume.KIND)
"""What the flow is read from, and so what each component that follows it reads too."""


class FlowShare(ScoreComponent, frozen=True, eq=False, kw_only=True):
    """A component that follows the flow; by default it looks at the alerts alone."""

    family: str = "options_flow"
    reads: tuple[AnyKind, ...] = READS
    absent: str = "no direction of the flow"
    follows: str = "flow"


class Premium(NamedTuple):
    """What the alerts that count add up to in USD, and what that is measured against."""

    net: float
    gross: float
    scale: float | None
    trailing_premium: float | None
    trailing_sessions: int
    alerts_known: int
    alerts_that_count: int
    alerts_without_a_field: int


def _premium(known: Known) -> Premium:
    trailing = options_volume.KIND.of(known.facts.known)
    net, gross = net_and_gross(known.alerts)
    return Premium(
        net,
        gross,
        known.scale_usd,
        trailing.trailing_premium_usd if trailing else None,
        trailing.sessions if trailing else 0,
        len(known.facts.alerts),
        len(known.alerts),
        known.lacking,
    )


def _alerts(known: Known) -> Iterator[Input]:
    for alert in sorted(known.alerts, key=lambda alert: (alert.at, alert.id), reverse=True):
        name = f"{alert.right.value} {alert.strike:f} {alert.expiry.isoformat()}"
        yield Input(name, alert.net_premium, USD, alert.at, alert.id)


COMPONENT = ScoreComponent(
    name="flow",
    family="options_flow",
    reads=READS,
    sign="bullish if more premium bought calls and sold puts",
    looks_at=_premium,
    shows={
        **shown(USD, "net", "gross", "scale", "trailing_premium"),
        "trailing_sessions": Shown("sessions"),
        **shown("alerts", "alerts_known", "alerts_that_count", "alerts_without_a_field"),
    },
    formula=FLOW,
    absent="no usable reply about this symbol's alerts, or too few earlier sessions to measure them against",
    details=_alerts,
    # The components that follow flow read it too, so it is computed before any of them.
    computed=lambda known: known.flow,
    after="tradebot; the scale makes the symbol's own usual premium the measure (docs/STRATEGY.md)",
    evidence="Pan & Poteshman 2006, The Information in Option Volume for Future Stock Prices",
    inferred="which side opened a trade: the source derives it from volume and open interest",
)
