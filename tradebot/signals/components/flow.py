"""The premium of recent alerts."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.alerts import net_and_gross
from tradebot.signals.kinds import flow_alerts
from tradebot.signals.scoring import USD, Known, ScoreComponent


def _inputs(known: Known) -> Iterator[Input]:
    net, gross = net_and_gross(known.alerts)
    yield Input("net", net, USD)
    yield Input("gross", gross, USD)
    yield Input("scale", known.premium_scale_usd, USD)
    yield Input("alerts_known", len(known.facts.alerts), "alerts", known.facts.alerts_fetched_at)
    yield Input("alerts_that_count", len(known.alerts), "alerts")
    # Then each alert's signed premium, newest first.
    for alert in sorted(known.alerts, key=lambda alert: (alert.at, alert.id), reverse=True):
        name = f"{alert.right.value} {alert.strike:f} {alert.expiry.isoformat()}"
        yield Input(name, alert.net_premium, USD, alert.at)


COMPONENT = ScoreComponent(
    name="flow",
    family="options_flow",
    reads=(flow_alerts.KIND,),
    sign="bullish if more premium bought calls and sold puts",
    formula="net / (gross + scale)",
    absent="no usable reply about this symbol's alerts",
    value=lambda known: known.flow,
    inputs=_inputs,
    source=lambda known: f"{len(known.alerts)} alerts",
)
