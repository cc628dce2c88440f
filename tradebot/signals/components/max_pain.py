"""The pull of the price at which the next expiring options would cost their writers least."""

from datetime import date, datetime
from typing import NamedTuple

from tradebot.signals.kinds import flow_alerts, max_pain
from tradebot.signals.rows import new_york_day
from tradebot.signals.scoring import Known, ScoreComponent, Shown

REACH_DAYS = 7


class Pull(NamedTuple):
    """The next expiry's max pain, how many days away it is, and the price by the newest alert that knows it."""

    pain: float
    expiry: date
    days: int
    price: float
    at: datetime
    alert: str


def _pull(known: Known) -> Pull | None:
    today, since = new_york_day(known.now), known.now - known.lookback
    levels = max_pain.KIND.of(known.facts.known) or ()
    pain = next((level for level in levels if level.expiry >= today), None)
    if pain is None or (days := (pain.expiry - today).days) >= REACH_DAYS:
        return None
    for alert in reversed(known.facts.alerts):
        if alert.at <= since:
            break
        if alert.underlying_price is not None:
            return Pull(pain.price, pain.expiry, days, float(alert.underlying_price), alert.at, alert.id)
    return None


COMPONENT = ScoreComponent(
    name="max_pain",
    family="expiry",
    reads=(max_pain.KIND, flow_alerts.KIND),
    sign="bullish if the next expiry's max pain is above the price",
    looks_at=_pull,
    shows={"pain": Shown("USD", "expiry", "expiry"), "price": Shown("USD", "at", "alert"), "days": Shown("days")},
    formula=f"clamp((pain - price) / (0.05 * price), -1, 1) * (1 - days / {REACH_DAYS})",
    absent="no expiry within a week, or no alert within the lookback that says what the stock costs",
    source=lambda known: f"{len(max_pain.KIND.of(known.facts.known) or ())} expiries",
    after="tradebot: the distance to the next expiry's level, fading over a week",
    evidence="Ni, Pearson & Poteshman 2005 and Filippou, Garcia-Ares & Zapatero 2022, around monthly expiries",
)
