"""The pull of the price at which the next expiring options would cost their writers least."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from tradebot.model.flow import FlowAlert
from tradebot.model.inputs import Input
from tradebot.signals.formula import clamp
from tradebot.signals.kinds import flow_alerts, max_pain
from tradebot.signals.kinds.max_pain import PainAt
from tradebot.signals.rows import new_york_day
from tradebot.signals.scoring import Known, ScoreComponent

REACH_DAYS = 7
WIDTH = 0.05


class Pull(NamedTuple):
    """The next expiry's max pain, how many days away it is, and the newest alert that knows the stock's price."""

    pain: PainAt
    days: int
    alert: FlowAlert
    price: float


def _pull(known: Known) -> Pull | None:
    today, since = new_york_day(known.now), known.now - known.lookback
    pain = _next(max_pain.KIND.of(known.facts.known) or (), today)
    if pain is None or (days := (pain.expiry - today).days) >= REACH_DAYS:
        return None
    for alert in reversed(known.facts.alerts):
        if alert.at <= since:
            break
        if alert.underlying_price is not None:
            return Pull(pain, days, alert, float(alert.underlying_price))
    return None


def _next(levels: Sequence[PainAt], today: date) -> PainAt | None:
    for level in levels:
        if level.expiry >= today:
            return level
    return None


def _value(known: Known) -> float | None:
    """Return the distance to max pain: in full at 5 percent of the price, and the less the later the expiry."""
    pull = _pull(known)
    if pull is None:
        return None
    return clamp((pull.pain.price - pull.price) / (WIDTH * pull.price), -1.0, 1.0) * (1 - pull.days / REACH_DAYS)


def _inputs(known: Known) -> Iterator[Input]:
    pull = _pull(known)
    if pull is not None:
        yield Input("pain", pull.pain.price, "USD", pull.pain.expiry, pull.pain.expiry.isoformat())
        yield Input("price", pull.price, "USD", pull.alert.at, pull.alert.id)
        yield Input("days", pull.days, "days")


COMPONENT = ScoreComponent(
    name="max_pain",
    family="expiry",
    reads=(max_pain.KIND, flow_alerts.KIND),
    sign="bullish if the next expiry's max pain is above the price",
    formula="clamp((pain - price) / (0.05 * price), -1, 1) * (1 - days / 7)",
    absent="no expiry within a week, or no alert within the lookback that says what the stock costs",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{len(max_pain.KIND.of(known.facts.known) or ())} expiries",
    after="tradebot: the distance to the next expiry's level, fading over a week",
    evidence="Ni, Pearson & Poteshman 2005 and Filippou, Garcia-Ares & Zapatero 2022, around monthly expiries",
)
