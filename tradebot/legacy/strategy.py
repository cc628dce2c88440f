"""Score as the previous bot did, so that both can be compared; nothing here should be imitated.

The score is a magnitude from 0 to 8: the sum of 21 rows, times freshness. Its faults are kept on purpose, among them
rows that reward absent data, a tide ratio that can leave the range 0 to 1, and a size that depends on binary rounding.
docs/STRATEGY.md compares it with the signed score. The formulas are from that bot's scorer of December 2025.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import exp, fsum, log10

from msgspec import Struct

from tradebot.model.candidate import Component, ComponentInputs, Input, Side
from tradebot.model.decision import Decision
from tradebot.model.instrument import Right
from tradebot.model.reasons import Reason
from tradebot.model.view import Open, StrategyView
from tradebot.signals.scoring import ScoringInputs, sign
from tradebot.signals.subjects.dark_pool import DARK_POOL_KIND
from tradebot.signals.subjects.market import MARKET_TIDE_KIND
from tradebot.signals.subjects.open_interest import GREEK_EXPOSURE_KIND, OI_CHANGE_KIND
from tradebot.signals.subjects.volatility import IV_RANK_KIND
from tradebot.strategies.filters import StrategyFilter
from tradebot.strategies.flow import FlowStrategy

LARGEST = 8.0
THRESHOLD = 2.7
"""The lowest score with which the earlier bot entered."""
THRESHOLD_MET, NOT_TOXIC, FRESH = StrategyFilter("threshold"), StrategyFilter("toxicity"), StrategyFilter("freshness")
MOST_TOXICITY, LEAST_FRESHNESS = 0.90, 0.30
_SUMMED_TO_4_PLACES = frozenset({"congress", "shorts_squeeze", "institutional", "market_tide", "calendar"})


class LegacyInputs(Struct, frozen=True):
    """The inputs of the earlier score; absent records have the earlier bot's defaults.

    Directions are +1, -1 or 0. Premiums and values are in USD, fails in shares, short interest in percent of the float.
    """

    flow_direction: int = 0
    flow_conviction: float = 0.0
    dark_pool_direction: int = 0
    dark_pool_premium_usd: float = 0.0
    insider_direction: int = 0
    insider_conviction_modifier: float = 0.0
    insider_buys: int = 0
    insider_sells: int = 0
    insider_value_usd: float = 0.0
    iv_term_skew: float = 0.0
    smile_slope: float = 0.0
    toxicity: float = 0.0
    event_alignment: float = 0.0
    freshness: float = 1.0
    staircase_steps: int | None = None
    staircase_slope: float = 0.0
    burst_updates_per_minute: float = 0.0
    sweep_block_immediate: bool = False
    whale_mean_conviction: float | None = None
    regime: str = "neutral"
    congress_trades: int = 0
    congress_buys: int = 0
    congress_sells: int = 0
    congress_boost: float = 0.0
    short_interest_float_pct: float = 0.0
    short_interest_days_to_cover: float = 0.0
    short_interest_fails_shares: float = 0.0
    short_interest_squeeze_flag: bool = False
    tide_call_premium_usd: float = 0.0
    tide_put_premium_usd: float = 0.0
    calendar_earnings_in_days: float | None = None
    calendar_fda_event: bool = False
    calendar_economic_events: int = 0
    gamma_exposure: float = 0.0
    gamma_squeeze_flag: bool = False
    fails_shares: float = 0.0
    fails_pressure_flag: bool = False
    iv_rank: float = 50.0
    open_interest_net_change_contracts: float = 0.0
    open_interest_direction: int = 0
    etf_direction: int = 0
    etf_risk_on: bool = False
    squeeze_signals: int = 0
    squeeze_high_flag: bool = False


class LegacyScore(Struct, frozen=True):
    """The score before rounding (0 to 8), its rows, and the values derived from it.

    `sizing_overlay` is a fraction of the quantity. The gate compares the score rounded to three decimals.
    """

    rows: Mapping[str, float]
    unrounded: float
    sizing_overlay: float
    entry_delay_s: int
    passes: bool

    @property
    def score(self) -> float:
        return round(self.unrounded, 3)

    def quantity(self, base: int) -> int:
        """Return the quantity: a base quantity times the sizing factor, which is between 0.6 and 1.4, truncated."""
        return max(int(base * 0.6), min(int(base * (1 + self.sizing_overlay)), int(base * 1.4)))


def score(read: LegacyInputs) -> LegacyScore:
    exact = {name: row(weight, read) for name, (weight, row) in ROWS.items()}
    rows = {name: round(row, 4) if name in _SUMMED_TO_4_PLACES else row for name, row in exact.items()}
    unrounded = max(0.0, min(LARGEST, sum(rows.values()) * read.freshness))
    fit = read.toxicity <= MOST_TOXICITY and read.freshness >= LEAST_FRESHNESS
    return LegacyScore(rows, unrounded, _overlay(read, rows), _delay_s(read), round(unrounded, 3) >= THRESHOLD and fit)


def tide_of(ticks: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the sums, in USD, of net call premium and of the absolute net put premium, for the market tide.

    `ticks` are oldest first. Like the earlier bot, this reads only the first five.
    """
    return sum(call for call, _ in ticks[:5]), sum(abs(put) for _, put in ticks[:5])


def _dark_pool(read: LegacyInputs) -> float:
    if not read.dark_pool_direction:
        return 0.2
    return 0.5 + min(0.8, log10(max(1.0, read.dark_pool_premium_usd)) / 7.5)


def _insider(read: LegacyInputs) -> float:
    if not read.insider_direction:
        return 0.25
    modifier = read.insider_conviction_modifier
    return 0.5 + (modifier if read.insider_direction > 0 else -abs(modifier))


# Four rows multiply by their weight first: the last bit of a product decides how it is rounded.


def _skew(weight: float, read: LegacyInputs) -> float:
    return weight * abs(read.iv_term_skew) * (1.3 if sign(read.iv_term_skew) == read.flow_direction else 0.7)


def _motifs(weight: float, read: LegacyInputs) -> float:
    return weight * read.staircase_slope * 3 + weight * min(1.0, read.burst_updates_per_minute / 2)


def _toxicity(weight: float, read: LegacyInputs) -> float:
    if read.toxicity > 0.5:
        return weight * (read.toxicity - 0.5) * 1.5
    return weight * (read.toxicity - 0.3) * 0.5 if read.toxicity > 0.3 else 0.0


def _regime(weight: float, read: LegacyInputs) -> float:
    factors = {"risk_on": (1.15, 0.95), "risk_off": (1.10, 0.90)}.get(read.regime, (1.0, 1.0))
    return weight * (factors[read.flow_direction <= 0] - 1) * 2


def _congress(read: LegacyInputs) -> float:
    activity, lean = min(1.0, read.congress_trades / 10), sign(read.congress_buys - read.congress_sells)
    if not read.congress_trades or not read.flow_direction or not lean:
        return 0.2 * activity
    if lean != read.flow_direction:
        return -0.4 * activity
    return (0.6 + 0.4 * activity) * (1 + read.congress_boost)


def _shorts(read: LegacyInputs) -> float:
    interest, days, direction = read.short_interest_float_pct, read.short_interest_days_to_cover, read.flow_direction
    if not interest:
        return 0.0
    total = 0.0
    if direction > 0 and interest > 15:
        total += 0.5 * min(1.0, (interest - 15) / 25)
    if direction > 0 and days > 5:
        total += 0.3 * min(1.0, (days - 5) / 10)
    if read.short_interest_fails_shares > 100_000:
        total += 0.2 * min(1.0, log10(read.short_interest_fails_shares) / 7)
    if read.short_interest_squeeze_flag:
        total += 0.3
    return total - 0.2 if direction < 0 and interest > 20 else total


def _institutional(read: LegacyInputs) -> float:
    """Compute the row named after institutions, which read insiders' trades."""
    trades, lean = read.insider_buys + read.insider_sells, sign(read.insider_buys - read.insider_sells)
    activity = min(1.0, trades / 20)
    if not read.flow_direction or not lean:
        return 0.15 * activity
    if lean != read.flow_direction:
        return -0.3 * activity
    value = min(0.3, 0.15 * log10(read.insider_value_usd / 1e6)) if read.insider_value_usd > 1e6 else 0.0
    return 0.5 + 0.5 * activity + value


def _tide(read: LegacyInputs) -> float:
    """Compute the row of the market tide, which has no cap: with a negative call premium, its ratio leaves 0 to 1."""
    whole = read.tide_call_premium_usd + abs(read.tide_put_premium_usd)
    ratio = read.tide_call_premium_usd / whole if whole else 0.5
    lean, imbalance = (ratio > 0.55) - (ratio < 0.45), 2 * abs(ratio - 0.5)
    if not read.flow_direction or not lean:
        return 0.1 if imbalance > 0.3 else 0.0
    return 0.4 + 0.6 * imbalance if lean == read.flow_direction else -0.25 * imbalance


def _calendar(read: LegacyInputs) -> float:
    days = read.calendar_earnings_in_days
    earnings = 0.4 * (1 - days / 7) if days is not None and days <= 7 else 0.0
    return earnings + (0.5 if read.calendar_fda_event else 0.0) + 0.2 * min(1.0, read.calendar_economic_events / 3)


def _step(value: float, flagged: bool, *steps: tuple[float, float]) -> float:
    """Return the points of the first of `steps` whose limit the value exceeds, or 0; always return 1 if `flagged`.

    Each step is a limit and its points.
    """
    return 1.0 if flagged else next((pays for limit, pays in steps if value > limit), 0.0)


def _gamma(read: LegacyInputs) -> float:
    return _step(abs(read.gamma_exposure), read.gamma_squeeze_flag, (500_000, 0.5), (100_000, 0.25))


def _fails(read: LegacyInputs) -> float:
    return _step(read.fails_shares, read.fails_pressure_flag, (200_000, 1.0), (100_000, 0.67), (50_000, 0.33))


def _iv_rank(read: LegacyInputs) -> float:
    rank = read.iv_rank
    return _step(-rank, False, (-20, 1.0), (-30, 0.5)) - _step(rank, False, (80, 1.0), (70, 0.5))


def _open_interest(read: LegacyInputs) -> float:
    change, bullish = read.open_interest_net_change_contracts, read.open_interest_direction > 0
    if change > 50_000 and bullish and read.flow_direction > 0:
        return 1.0
    if change > 20_000 and bullish:
        return 0.57
    return 0.29 if abs(change) > 10_000 else 0.0


def _etf(read: LegacyInputs) -> float:
    if read.etf_direction < 0:
        return -0.3
    return (1.0 if read.etf_risk_on else 0.5) if read.etf_direction else 0.0


def _overlay(read: LegacyInputs, rows: Mapping[str, float]) -> float:
    """Return the sum of the size adjustments, which were recorded and never applied."""
    total, skew = 0.0, read.iv_term_skew
    if abs(skew) > 0.08:
        total += 0.25 if sign(skew) == read.flow_direction else -0.30
    total += 0.20 if read.whale_mean_conviction is not None else 0.0
    total += 0.15 if rows["congress"] > 0.3 else 0.0
    total += 0.20 if rows["shorts_squeeze"] > 0.3 else 0.0
    return total - (0.25 if read.toxicity > 0.85 else 0.0)


def _delay_s(read: LegacyInputs) -> int:
    """Return how long an entry was to wait; the last condition that holds decides."""
    delay = 120 if read.staircase_steps is not None and read.staircase_steps < 4 else 0
    if read.sweep_block_immediate:
        delay = 0
    return 180 if read.burst_updates_per_minute > 2 else delay


def _by(factor: Callable[[LegacyInputs], float]) -> Callable[[float, LegacyInputs], float]:
    return lambda weight, read: weight * factor(read)


ROWS: Mapping[str, tuple[float, Callable[[float, LegacyInputs], float]]] = {
    "flow": (2.4, _by(lambda read: read.flow_conviction)),
    "dark_pool": (1.3, _by(_dark_pool)),
    "insider": (0.5, _by(_insider)),
    "iv_skew": (0.6, _skew),
    "smile": (0.35, _by(lambda read: abs(read.smile_slope))),
    "whale": (0.7, _by(lambda read: read.whale_mean_conviction or 0.0)),
    "event": (0.4, _by(lambda read: read.event_alignment)),
    "motif_bonus": (0.5, _motifs),
    "toxicity_penalty": (-0.9, _toxicity),
    "regime": (0.3, _regime),
    "congress": (0.9, _by(_congress)),
    "shorts_squeeze": (0.7, _by(_shorts)),
    "institutional": (0.5, _by(_institutional)),
    "market_tide": (0.4, _by(_tide)),
    "calendar": (0.45, _by(_calendar)),
    "greeks_gamma": (0.4, _by(_gamma)),
    "ftd_pressure": (0.3, _by(_fails)),
    "iv_rank": (0.2, _by(_iv_rank)),
    "oi_change": (0.35, _by(_open_interest)),
    "etf_flow": (0.3, _by(_etf)),
    "squeeze_score": (0.2, _by(lambda read: _step(read.squeeze_signals, read.squeeze_high_flag, (0, 0.5)))),
}
"""The weight of each row, and its components."""


_NEUTRAL_USD, _SATURATED_USD = 100_000.0, 5_000_000.0
_BULLISH_PRINTS_USD = 1_000_000.0
_FADES_IN_MINUTES = 45.0


class LegacyStrategy(FlowStrategy):
    """The previous bot's strategy; it replaces the flow strategy and uses its settings.

    The weights in the settings only determine which facts are fetched, because the rows of the score have fixed
    weights.
    """

    def _wants(self, view: StrategyView) -> list[Open]:
        count = self._counting(view)
        return [self._score_facts(self._scoring_inputs(view, symbol, count)) for symbol in view.universe]

    def inputs(self, view: StrategyView, symbol: str) -> tuple[ComponentInputs, ...]:
        inputs = _inputs(self._scoring_inputs(view, symbol, self._counting(view)))
        made, direction = score(inputs), Input("direction", inputs.flow_direction, "-1, 0 or 1")
        formula, freshness = f"clamp(direction * row * freshness / {LARGEST:g}, -1, 1)", inputs.freshness
        return tuple(
            ComponentInputs(
                part.name,
                formula,
                (direction, Input("row", made.rows[part.name], "points of 8"), Input("freshness", freshness, "factor")),
            )
            for part in _components(inputs, made)
        )

    def _score_facts(self, scoring_inputs: ScoringInputs) -> Open:
        inputs = _inputs(scoring_inputs)
        legacy_score = score(inputs)
        signed = inputs.flow_direction * legacy_score.unrounded / LARGEST
        side, parts = Side.BUY if signed >= 0 else Side.SELL, tuple(_components(inputs, legacy_score))
        # What was absent counted as known there.
        decisions = (self._side(signed), *_filters(inputs, legacy_score))
        return Open(scoring_inputs.facts.symbol, side, signed, coverage=1.0, components=parts, decisions=decisions)


def _filters(read: LegacyInputs, legacy_score: LegacyScore) -> Iterator[Decision]:
    """Yield a decision for each of the three conditions that `LegacyScore.passes` combines."""
    declined, fresh = Reason.STRATEGY_DECLINED, read.freshness
    yield THRESHOLD_MET.answer(legacy_score.score >= THRESHOLD, declined, legacy_score.score, THRESHOLD)
    yield NOT_TOXIC.answer(read.toxicity <= MOST_TOXICITY, declined, read.toxicity, MOST_TOXICITY)
    yield FRESH.answer(fresh >= LEAST_FRESHNESS, declined, fresh, LEAST_FRESHNESS)


def _components(inputs: LegacyInputs, legacy_score: LegacyScore) -> Iterator[Component]:
    """Yield what each row adds to the score; rows of zero are left out."""
    share = inputs.flow_direction * inputs.freshness / LARGEST
    for name, row in legacy_score.rows.items():
        if row:
            yield Component(name, max(-1.0, min(1.0, row * share)), 1.0, f"{row:.3f} of {LARGEST:g}")


def _inputs(inputs: ScoringInputs) -> LegacyInputs:
    """Return the earlier bot's inputs, taken from our facts; rows that it never had data for keep their defaults."""
    facts = inputs.facts.known
    gamma, rank, changes = GREEK_EXPOSURE_KIND.of(facts), IV_RANK_KIND.of(facts), OI_CHANGE_KIND.of(facts)
    net, prints, ticks = _net_flow(inputs), DARK_POOL_KIND.of(facts), MARKET_TIDE_KIND.of(inputs.market) or ()
    prints_usd = fsum(prints.usd if prints else ())
    calls, puts = tide_of([(float(tick.net_call_premium), float(tick.net_put_premium)) for tick in ticks])
    return LegacyInputs(
        flow_direction=sign(net),
        flow_conviction=min(1.0, abs(net) / _SATURATED_USD),
        # Much of it was bullish, and nothing was ever bearish.
        dark_pool_direction=int(prints_usd > _BULLISH_PRINTS_USD),
        dark_pool_premium_usd=prints_usd,
        freshness=_freshness(inputs),
        tide_call_premium_usd=calls,
        tide_put_premium_usd=puts,
        gamma_exposure=0.0 if gamma is None else gamma.gex,
        iv_rank=50.0 if rank is None else float(rank.rank),
        open_interest_net_change_contracts=changes.net if changes else 0,
        open_interest_direction=sign(changes.net) if changes else 0,
    )


def _net_flow(inputs: ScoringInputs) -> float:
    """Return call premium minus put premium in USD, whichever side traded; 0 for a difference up to 100,000 USD."""
    calls, puts = (
        fsum(float(alert.premium) for alert in inputs.alerts if alert.right is right)
        for right in (Right.CALL, Right.PUT)
    )
    return calls - puts if abs(calls - puts) > _NEUTRAL_USD else 0.0


def _freshness(inputs: ScoringInputs) -> float:
    if not inputs.alerts:
        return 1.0
    age_s = (inputs.now - max(alert.at for alert in inputs.alerts)).total_seconds()
    return max(0.1, min(1.0, exp(-age_s / 60 / _FADES_IN_MINUTES)))
