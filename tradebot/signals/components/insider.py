"""Whether a company's insiders bought or sold its shares."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.kinds import insider
from tradebot.signals.kinds.insider import InsiderFacts
from tradebot.signals.scoring import Known, ScoreComponent

UNIT = "insiders"


def _days(known: Known) -> InsiderFacts | None:
    return insider.KIND.of(known.facts.known)


def _value(known: Known) -> float | None:
    """Return purchases less a quarter of the sales, over both: insiders sell for many reasons, but buy for one."""
    days = _days(known)
    if days is None or not days.buyers + days.sellers:
        return None
    return (days.buyers - 0.25 * days.sellers) / (days.buyers + days.sellers)


def _inputs(known: Known) -> Iterator[Input]:
    days = _days(known)
    if days is not None:
        yield Input("buyers", days.buyers, UNIT, days.last)
        yield Input("sellers", days.sellers, UNIT, days.last)


COMPONENT = ScoreComponent(
    name="insider",
    family="insiders",
    reads=(insider.KIND,),
    sign="bullish if insiders bought; selling counts a quarter as much",
    formula="(buyers - 0.25 * sellers) / (buyers + sellers)",
    absent="no trade by an insider in the past half-year",
    value=_value,
    inputs=_inputs,
    source=lambda known: "past half-year",
    after="the net purchase ratio of Lakonishok & Lee 2001, with insiders counted once a day and sales weighed less",
    evidence="Lakonishok & Lee 2001: purchases predict returns over months, and sales hardly do",
    inferred="how much less a sale counts",
)
