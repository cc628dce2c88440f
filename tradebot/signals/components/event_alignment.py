"""Whether the alerts bet on the next earnings report."""

from collections.abc import Iterator
from datetime import timedelta
from math import fsum

from tradebot.model.inputs import Input
from tradebot.signals.following import flow_input, followed
from tradebot.signals.kinds import earnings, flow_alerts, options_volume
from tradebot.signals.kinds.earnings import EarningsFacts
from tradebot.signals.reports import next_report
from tradebot.signals.rows import new_york_day
from tradebot.signals.scoring import USD, Known, ScoreComponent

_DAY = timedelta(days=1)
DAYS = 14
"""How many days before a report the alerts are still about something else."""


def _report(known: Known) -> tuple[EarningsFacts, int] | None:
    """Return the next report, and how many days away it is in New York."""
    today = new_york_day(known.now)
    report = next_report(known.facts, today)
    return (report, (report.next - today).days) if report and report.next else None


def _premiums(known: Known, report: EarningsFacts) -> tuple[float, float]:
    """Return the premium of the alerts whose options outlive the report, and of all of them, in USD."""
    total = fsum([alert.usd for alert in known.alerts])
    if report.next is None:
        return 0.0, total
    first = report.next + _DAY if report.when == "postmarket" else report.next
    return fsum([alert.usd for alert in known.alerts if alert.expiry >= first]), total


def _value(known: Known) -> float | None:
    """Return the flow times the share of it that bets on the report, which counts more the closer the report is."""
    found = _report(known)
    if found is None:
        return None
    report, days = found
    if days >= DAYS:
        return followed(known, 0.0)
    aligned, total = _premiums(known, report)
    return followed(known, (1 - days / DAYS) * aligned / total if total else 0.0)


def _inputs(known: Known) -> Iterator[Input]:
    found = _report(known)
    if found is not None:
        report, days = found
        aligned, total = _premiums(known, report)
        yield Input("days", days, "days", report.next)
        yield Input("aligned", aligned, USD)
        yield Input("total", total, USD)
    yield from flow_input(known)


COMPONENT = ScoreComponent(
    name="event_alignment",
    family="events",
    follows="flow",
    reads=(earnings.KIND, flow_alerts.KIND, options_volume.KIND),
    sign="with the flow if its options outlive an earnings report that is near",
    formula=f"flow * max(0, 1 - days / {DAYS}) * aligned / total if total else 0",
    absent="no direction of the flow, or no date of a report known",
    value=_value,
    inputs=_inputs,
    source=lambda known: "next report",
    after="tradebot: the share of the premium that is exposed to the report, fading over two weeks",
    inferred="that an option which outlives a report was bought because of it",
)
