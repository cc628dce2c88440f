"""How much of a stock is sold short."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.formula import clamp
from tradebot.signals.kinds import short_interest
from tradebot.signals.kinds.short_interest import ShortInterest
from tradebot.signals.scoring import Known, ScoreComponent


def report_of(known: Known) -> ShortInterest | None:
    """Return the last report about short interest."""
    return short_interest.KIND.of(known.facts.known)


def crowding(report: ShortInterest) -> tuple[float, float]:
    """Return how crowded short positions are, from 0 to 1: by their share of the float, and by their days to cover."""
    interest, days = float(report.interest), float(report.days_to_cover)
    return clamp((interest - 0.15) / 0.25, 0.0, 1.0), clamp((days - 5) / 10, 0.0, 1.0)


def report_inputs(known: Known) -> Iterator[Input]:
    """Yield what a report says, as inputs of a formula."""
    report = report_of(known)
    if report is not None:
        yield Input("interest", report.interest, "of the float", report.date, report.id)
        yield Input("days_to_cover", report.days_to_cover, "days", report.date, report.id)


def _value(known: Known) -> float | None:
    report = report_of(known)
    return None if report is None else -sum(crowding(report)) / 2


COMPONENT = ScoreComponent(
    name="shorts",
    family="short_interest",
    reads=(short_interest.KIND,),
    sign="bearish if much of the float is sold short, or takes long to buy back; never bullish",
    formula="-(clamp((interest - 0.15) / 0.25, 0, 1) + clamp((days_to_cover - 5) / 10, 0, 1)) / 2",
    absent="no report of the last weeks",
    value=_value,
    inputs=report_inputs,
    source=lambda known: "last report",
    after="the thresholds of an earlier bot: 15 to 40 percent of the float, 5 to 15 days",
    evidence="Boehmer, Jones & Zhang 2008 and Hong, Li, Ni, Scheinkman & Yan 2015, both over weeks to months",
)
