"""Pressure on short sellers, in the direction of the flow."""

from datetime import date
from typing import NamedTuple

from tradebot.signals.components.flow import READS, FlowShare
from tradebot.signals.components.shorts import CROWDED, REPORT
from tradebot.signals.kinds import fails_to_deliver, short_interest
from tradebot.signals.kinds.short_interest import ShortInterest
from tradebot.signals.scoring import Known, Shown

THRESHOLD = 0.005
"""The share of a stock at which undelivered shares put it on Regulation SHO's threshold list."""


class Pressure(NamedTuple):
    """What is known of short sellers: the last report, and the balance of undelivered shares."""

    interest: float | None
    days_to_cover: float | None
    float_shares: float | None
    fee_rate: float | None
    report: ShortInterest | None
    fails: float | None
    fails_on: date | None


def pressure(known: Known) -> Pressure:
    shorts, fails = short_interest.KIND.of(known.facts.known), fails_to_deliver.KIND.of(known.facts.known)
    report = shorts and (shorts.interest, shorts.days_to_cover, shorts.float_shares, shorts.fee_rate, shorts.report)
    return Pressure(*(report or (None,) * 5), *((fails.shares, fails.date) if fails else (None, None)))


PRESSURE = {**REPORT, "float_shares": Shown("shares", "report.date", "report.id"), "fails": Shown("shares", "fails_on")}


COMPONENT = FlowShare(
    name="squeeze",
    family="short_interest",
    reads=(short_interest.KIND, fails_to_deliver.KIND, *READS),
    sign="bullish if short sellers are under pressure and the flow is bullish; bearish if the flow is",
    looks_at=pressure,
    shows=PRESSURE,
    formula=f"flow * ({CROWDED} + clamp(fails / ({THRESHOLD} * float_shares), 0, 1)) / 3",
    absent="no flow, no report of short interest, or no balance of undelivered shares",
    source=lambda known: "last report",
    after="the thresholds of the bot before this one, and for undelivered shares those of Regulation SHO",
    inferred="that crowded short positions add to the flow in both directions: buying upward, thin trading downward",
)
