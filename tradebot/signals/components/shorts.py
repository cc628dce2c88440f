"""How much of a stock is sold short."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.formula import clamp
from tradebot.signals.kinds import short_interest
from tradebot.signals.kinds.short_interest import ShortFacts
from tradebot.signals.scoring import Known, ScoreComponent


def shorts_of(known: Known) -> ShortFacts | None:
    """Return what is known of short interest."""
    return short_interest.KIND.of(known.facts.known)


def crowding(shorts: ShortFacts) -> float:
    """Return how crowded short positions are, each from 0 to 1: by share of the float plus by days to cover."""
    return clamp((shorts.interest - 0.15) / 0.25, 0.0, 1.0) + clamp((shorts.days_to_cover - 5) / 10, 0.0, 1.0)


def report_inputs(known: Known) -> Iterator[Input]:
    """Yield what the last report says, as inputs of a formula."""
    shorts = shorts_of(known)
    if shorts is not None:
        report = shorts.report
        yield Input("interest", report.interest, "of the float", report.date, report.id)
        yield Input("days_to_cover", report.days_to_cover, "days", report.date, report.id)


def _value(known: Known) -> float | None:
    shorts = shorts_of(known)
    return None if shorts is None else -crowding(shorts) / 2


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
    after="the bot before this one: 15 to 40 percent of the float, 5 to 15 days",
    evidence="Boehmer, Jones & Zhang 2008 and Hong, Li, Ni, Scheinkman & Yan 2015, both over weeks to months",
)
