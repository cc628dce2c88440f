"""The premium of recent alerts, measured against what is usual for the symbol."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.alerts import net_and_gross
from tradebot.signals.kinds import flow_alerts, options_volume
from tradebot.signals.scoring import USD, Known, ScoreComponent


def _inputs(known: Known) -> Iterator[Input]:
    net, gross = net_and_gross(known.alerts)
    trailing = options_volume.KIND.of(known.facts.known)
    yield Input("net", net, USD)
    yield Input("gross", gross, USD)
    if known.scale_usd is not None:
        yield Input("scale", known.scale_usd, USD)
    if trailing is not None:
        yield Input("trailing_premium", trailing.trailing_premium_usd, USD)
    yield Input("trailing_sessions", trailing.sessions if trailing else 0, "sessions")
    yield Input("alerts_known", len(known.facts.alerts), "alerts", known.facts.alerts_fetched_at)
    yield Input("alerts_that_count", len(known.alerts), "alerts")
    yield Input("alerts_without_a_field", known.lacking, "alerts")
    # Then each alert's signed premium, newest first.
    for alert in sorted(known.alerts, key=lambda alert: (alert.at, alert.id), reverse=True):
        name = f"{alert.right.value} {alert.strike:f} {alert.expiry.isoformat()}"
        yield Input(name, alert.net_premium, USD, alert.at, alert.id)


COMPONENT = ScoreComponent(
    name="flow",
    family="options_flow",
    reads=(flow_alerts.KIND, options_volume.KIND),
    sign="bullish if more premium bought calls and sold puts",
    formula="net / (gross + scale)",
    absent="no usable reply about this symbol's alerts, or too few earlier sessions to measure them against",
    value=lambda known: known.flow,
    inputs=_inputs,
    source=lambda known: f"{len(known.alerts)} alerts",
    after="tradebot; the scale makes the symbol's own usual premium the measure (docs/STRATEGY.md)",
    evidence="Pan & Poteshman 2006, The Information in Option Volume for Future Stock Prices",
    inferred="which side opened a trade: the source derives it from volume and open interest",
)
