"""Whether the alerts bet on the next earnings report."""

from datetime import date, timedelta
from math import fsum
from typing import NamedTuple

from tradebot.signals.components.flow import READS, FlowShare
from tradebot.signals.events import next_report
from tradebot.signals.kinds import earnings
from tradebot.signals.rows import new_york_day
from tradebot.signals.scoring import USD, Known, Shown

_DAY = timedelta(days=1)
DAYS = 14
"""How many days before a report the alerts are still about something else."""


class Aligned(NamedTuple):
    """The premium in USD of the alerts whose options outlive the next report, and of all of them; and when that is."""

    days: int
    aligned: float
    total: float
    report: date


def _aligned(known: Known) -> Aligned | None:
    today = new_york_day(known.now)
    report = next_report(known.facts, today)
    if report is None or report.next is None:
        return None
    first = report.next + _DAY if report.when == "postmarket" else report.next
    aligned = fsum([alert.usd for alert in known.alerts if alert.expiry >= first])
    return Aligned((report.next - today).days, aligned, fsum([alert.usd for alert in known.alerts]), report.next)


COMPONENT = FlowShare(
    name="event_alignment",
    family="events",
    reads=(earnings.KIND, *READS),
    sign="with the flow if its options outlive an earnings report that is near",
    looks_at=_aligned,
    shows={"days": Shown("days", "report"), "aligned": Shown(USD), "total": Shown(USD)},
    formula=f"flow * max(0, 1 - days / {DAYS}) * aligned / total if total else 0",
    absent="no direction of the flow, or no date of a report known",
    source=lambda known: "next report",
    after="tradebot: the share of the premium that is exposed to the report, fading over two weeks",
    inferred="that an option which outlives a report was bought because of it",
)
