"""Score as the bot before this one did, so that the two can be compared; nothing here is meant to be imitated.

The score is a magnitude from 0 to 8: the sum of 21 rows, times freshness. Its faults are kept on purpose, among them
rows that pay for absent data, a tide whose ratio leaves 0 to 1, and a size that depends on binary rounding.
docs/STRATEGY.md compares it with the signed score. The formulas are its scorer's of December 2025.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

from tradebot.signals.legacy_inputs import (
    Calendar,
    Congress,
    DarkPool,
    Etf,
    Fails,
    Gamma,
    Insider,
    LegacyInputs,
    OpenInterest,
    ShortInterest,
    Squeeze,
    Tide,
)

WEIGHTS: Mapping[str, float] = {
    "flow": 2.4,
    "dark_pool": 1.3,
    "insider": 0.5,
    "iv_skew": 0.6,
    "smile": 0.35,
    "whale": 0.7,
    "event": 0.4,
    "motif_bonus": 0.5,
    "toxicity_penalty": -0.9,
    "regime": 0.3,
    "congress": 0.9,
    "shorts_squeeze": 0.7,
    "institutional": 0.5,
    "market_tide": 0.4,
    "calendar": 0.45,
    "greeks_gamma": 0.4,
    "ftd_pressure": 0.3,
    "iv_rank": 0.2,
    "oi_change": 0.35,
    "etf_flow": 0.3,
    "squeeze_score": 0.2,
}
"""The weight of each row."""
LARGEST = 8.0
THRESHOLD = 2.7
"""The score that an entry took."""
MOST_TOXICITY, LEAST_FRESHNESS = 0.90, 0.30
_SUMMED_TO_4_PLACES = frozenset({"congress", "shorts_squeeze", "institutional", "market_tide", "calendar"})


@dataclass(frozen=True, slots=True)
class LegacyScore:
    """The score before rounding (0 to 8), its rows, and what followed from it.

    `sizing_overlay` is a fraction of the quantity. The gate compares the score rounded to three decimals.
    """

    rows: Mapping[str, float]
    unrounded: float
    sizing_overlay: float
    entry_delay_s: int
    passes: bool

    @property
    def score(self) -> float:
        """Return the score as it was shown and compared."""
        return round(self.unrounded, 3)

    def quantity(self, base: int) -> int:
        """Return the quantity made of a base quantity: truncated, and held between 0.6 and 1.4 times."""
        return max(int(base * 0.6), min(int(base * (1 + self.sizing_overlay)), int(base * 1.4)))


def score(inputs: LegacyInputs) -> LegacyScore:
    """Return the earlier bot's score of these inputs."""
    rows = {name: _rounded(name, value) for name, value in _rows(inputs).items()}
    unrounded = max(0.0, min(LARGEST, sum(rows.values()) * inputs.freshness))
    fit = inputs.toxicity <= MOST_TOXICITY and inputs.freshness >= LEAST_FRESHNESS
    return LegacyScore(
        rows, unrounded, _overlay(inputs, rows), _delay_s(inputs), round(unrounded, 3) >= THRESHOLD and fit
    )


def tide_of(rows: Sequence[tuple[float, float]]) -> Tide:
    """Return the tide of pairs of net call and net put premium, oldest first: the first five alone were read."""
    first = rows[:5]
    return Tide(sum(call for call, _ in first), sum(abs(put) for _, put in first))


def _rounded(name: str, value: float) -> float:
    return round(value, 4) if name in _SUMMED_TO_4_PLACES else value


def _rows(inputs: LegacyInputs) -> dict[str, float]:
    w, sign = WEIGHTS, inputs.flow.direction
    return {
        "flow": w["flow"] * inputs.flow.conviction,
        "dark_pool": w["dark_pool"] * _dark_pool(inputs.dark_pool),
        "insider": w["insider"] * _insider(inputs.insider),
        "iv_skew": w["iv_skew"] * abs(inputs.iv_term_skew) * (1.3 if _sign(inputs.iv_term_skew) == sign else 0.7),
        "smile": w["smile"] * abs(inputs.smile_slope),
        "whale": w["whale"] * (inputs.whale_conviction or 0.0),
        "event": w["event"] * inputs.event_alignment,
        "motif_bonus": _motifs(w["motif_bonus"], inputs),
        "toxicity_penalty": _toxicity(w["toxicity_penalty"], inputs.toxicity),
        "regime": _regime(w["regime"], inputs.regime, sign),
        "congress": w["congress"] * _congress(inputs.congress, sign),
        "shorts_squeeze": w["shorts_squeeze"] * _shorts(inputs.short_interest, sign),
        "institutional": w["institutional"] * _institutional(inputs.insider, sign),
        "market_tide": w["market_tide"] * _tide(inputs.tide, sign),
        "calendar": w["calendar"] * _calendar(inputs.calendar),
        "greeks_gamma": w["greeks_gamma"] * _gamma(inputs.gamma),
        "ftd_pressure": w["ftd_pressure"] * _fails(inputs.fails),
        "iv_rank": w["iv_rank"] * _iv_rank(inputs.iv_rank),
        "oi_change": w["oi_change"] * _open_interest(inputs.open_interest, sign),
        "etf_flow": w["etf_flow"] * _etf(inputs.etf),
        "squeeze_score": w["squeeze_score"] * _squeeze(inputs.squeeze),
    }


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _dark_pool(record: DarkPool) -> float:
    if not record.direction:
        return 0.2
    return 0.5 + min(0.8, log10(max(1.0, record.premium_usd)) / 7.5)


def _insider(record: Insider) -> float:
    if not record.direction:
        return 0.25
    modifier = record.conviction_modifier
    return 0.5 + (modifier if record.direction > 0 else -abs(modifier))


# Three rows multiply by their weight first: the last bit of a product decides how it is rounded.


def _motifs(weight: float, inputs: LegacyInputs) -> float:
    steps = weight * inputs.staircase.slope * 3 if inputs.staircase else 0.0
    return steps + weight * min(1.0, (inputs.burst_updates_per_minute or 0.0) / 2)


def _toxicity(weight: float, toxicity: float) -> float:
    if toxicity > 0.5:
        return weight * (toxicity - 0.5) * 1.5
    return weight * (toxicity - 0.3) * 0.5 if toxicity > 0.3 else 0.0


def _regime(weight: float, regime: str, sign: int) -> float:
    factor = {"risk_on": (1.15, 0.95), "risk_off": (1.10, 0.90)}.get(regime, (1.0, 1.0))[sign <= 0]
    return weight * (factor - 1) * 2


def _congress(record: Congress | None, sign: int) -> float:
    if record is None or not record.trades:
        return 0.0
    activity, lean = min(1.0, record.trades / 10), _sign(record.buys - record.sells)
    if not sign or not lean:
        return 0.2 * activity
    return (0.6 + 0.4 * activity) * (1 + record.boost) if lean == sign else -0.4 * activity


def _shorts(record: ShortInterest | None, sign: int) -> float:
    if record is None or not record.float_pct:
        return 0.0
    total, interest, days = 0.0, record.float_pct, record.days_to_cover
    if sign > 0 and interest > 15:
        total += 0.5 * min(1.0, (interest - 15) / 25)
    if sign > 0 and days > 5:
        total += 0.3 * min(1.0, (days - 5) / 10)
    if record.fails_shares > 100_000:
        total += 0.2 * min(1.0, log10(record.fails_shares) / 7)
    if record.squeeze_flag:
        total += 0.3
    return total - 0.2 if sign < 0 and interest > 20 else total


def _institutional(record: Insider, sign: int) -> float:
    """Compute the row named after institutions, which read insiders' trades."""
    trades, lean = record.buys + record.sells, _sign(record.buys - record.sells)
    if not trades:
        return 0.0
    activity = min(1.0, trades / 20)
    if not sign or not lean:
        return 0.15 * activity
    if lean != sign:
        return -0.3 * activity
    value = min(0.3, 0.15 * log10(record.value_usd / 1e6)) if record.value_usd > 1e6 else 0.0
    return 0.5 + 0.5 * activity + value


def _tide(record: Tide | None, sign: int) -> float:
    """Compute a row whose ratio leaves 0 to 1 where the call premium is negative, which has no cap."""
    if record is None or not (whole := record.call_premium_usd + abs(record.put_premium_usd)):
        return 0.0
    ratio = record.call_premium_usd / whole
    lean, imbalance = (ratio > 0.55) - (ratio < 0.45), 2 * abs(ratio - 0.5)
    if not sign or not lean:
        return 0.1 if imbalance > 0.3 else 0.0
    return 0.4 + 0.6 * imbalance if lean == sign else -0.25 * imbalance


def _calendar(record: Calendar | None) -> float:
    if record is None:
        return 0.0
    days = record.earnings_in_days
    earnings = 0.4 * (1 - days / 7) if days is not None and days <= 7 else 0.0
    return earnings + (0.5 if record.fda_event else 0.0) + 0.2 * min(1.0, record.economic_events / 3)


def _step(value: float, *steps: tuple[float, float]) -> float:
    """Return what the first limit that the value exceeds pays, or 0."""
    return next((pays for limit, pays in steps if value > limit), 0.0)


def _gamma(record: Gamma | None) -> float:
    if record is None:
        return 0.0
    return 1.0 if record.squeeze_flag else _step(abs(record.exposure), (500_000, 0.5), (100_000, 0.25))


def _fails(record: Fails | None) -> float:
    if record is None:
        return 0.0
    return 1.0 if record.pressure_flag else _step(record.shares, (200_000, 1.0), (100_000, 0.67), (50_000, 0.33))


def _iv_rank(rank: float) -> float:
    return _step(-rank, (-20, 1.0), (-30, 0.5)) - _step(rank, (80, 1.0), (70, 0.5))


def _open_interest(record: OpenInterest | None, sign: int) -> float:
    if record is None:
        return 0.0
    change, bullish = record.net_change_contracts, record.direction > 0
    if change > 50_000 and bullish and sign > 0:
        return 1.0
    if change > 20_000 and bullish:
        return 0.57
    return 0.29 if abs(change) > 10_000 else 0.0


def _etf(record: Etf | None) -> float:
    if record is None or not record.direction:
        return 0.0
    if record.direction < 0:
        return -0.3
    return 1.0 if record.risk_on else 0.5


def _squeeze(record: Squeeze | None) -> float:
    if record is None:
        return 0.0
    return 1.0 if record.high_flag else 0.5 if record.signals >= 1 else 0.0


def _overlay(inputs: LegacyInputs, rows: Mapping[str, float]) -> float:
    """Return the sum of the size adjustments, which were recorded and never applied."""
    skew = inputs.iv_term_skew
    total = 0.0
    if abs(skew) > 0.08:
        total += 0.25 if _sign(skew) == inputs.flow.direction else -0.30
    total += 0.20 if inputs.whale_conviction is not None else 0.0
    total += 0.15 if rows["congress"] > 0.3 else 0.0
    total += 0.20 if rows["shorts_squeeze"] > 0.3 else 0.0
    return total - (0.25 if inputs.toxicity > 0.85 else 0.0)


def _delay_s(inputs: LegacyInputs) -> int:
    """Return how long an entry was to wait; the last condition that holds decides."""
    delay = 120 if inputs.staircase and inputs.staircase.steps < 4 else 0
    if inputs.sweep_immediate:
        delay = 0
    return 180 if (inputs.burst_updates_per_minute or 0.0) > 2 else delay
