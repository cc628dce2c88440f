"""The strategy's own filters for one side of a coin; all of them run even after a refusal."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from tradebot.model.costs import Costs
from tradebot.model.decision import Decision, Number
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.signals.structures.bars import seconds_of
from tradebot.signals.structures.structures import ReadingKind, StructureReading
from tradebot.strategies.filters import StrategyFilter
from tradebot.strategies.smart_money.coin import CoinInputs, loss_of, recent
from tradebot.strategies.smart_money.levels import Setup, SetupLevels
from tradebot.strategies.smart_money.scoring import Lean, RangeZone, SetupEvidence, total
from tradebot.strategies.smart_money.settings import RestSettings, SetupRegime, SmartMoneySettings, Zone

FILTERS: Mapping[str, StrategyFilter] = {
    name: StrategyFilter(name, unit)
    for name, unit in (
        ("data", Unit.BARS),
        ("bias", Unit.SHARE_OF_WHOLE),
        ("setup", Unit.BARS),
        ("regime", Unit.ADX),
        ("weekly zone", Unit.OF_RANGE),
        ("structure change", Unit.SHARE_OF_WHOLE),
        ("trend", Unit.ADX),
        ("place", Unit.SHARE_OF_WHOLE),
        ("points", Unit.POINTS),
        ("cost", Unit.SHARE_OF_WHOLE),
        ("cost of the stop", Unit.SHARE_OF_WHOLE),
        ("funding", Unit.SHARE_OF_WHOLE),
        ("same setup", Unit.SECONDS),
        ("rest", Unit.SECONDS),
    )
}
"""Every filter by its name."""


class SetupSide(Struct, frozen=True):
    """What the filters read: one side of a coin, with its points, and with its setup and levels if there are any.

    `sign` is +1 for a long, -1 for a short. `found` are the newest readings that hold on this side. `entry` is the
    price to evaluate: the order's, or that of the setup's zone. `position` is its level in the last bars' range, and
    `near` its distance from the nearest of the listed levels; both are None if the range has no width or too few bars.
    `change` is the price's distance from a confirmed change of structure, or None without one. These are fractions of a
    price. `weekly` is the level in the last weeks' range, or None if unused. `costs` are those of a round trip, None if
    unknown.
    """

    coin: CoinInputs
    sign: int
    setup: Setup | None
    levels: SetupLevels | None
    found: Mapping[ReadingKind, StructureReading]
    entry: Decimal
    position: Decimal | None
    near: Decimal | None
    change: Decimal | None
    change_limit: Decimal
    weekly: Decimal | None
    costs: Costs | None
    evidence: SetupEvidence
    parts: Mapping[str, int]

    @property
    def points(self) -> int:
        return total(self.parts)


def decisions(side: SetupSide, rules: SmartMoneySettings) -> tuple[Decision, ...]:
    """Return the decisions of all filters that are on, in order."""
    return tuple(_filter_side(side, rules))


def _filter_side(side: SetupSide, rules: SmartMoneySettings) -> Iterator[Decision]:
    coin = side.coin
    yield _data(coin, rules)
    against = side.evidence.lean is Lean.COUNTER
    yield _answer("bias", not against, Reason.AGAINST_BIAS, coin.bias.distance, rules.bias.band_fraction)
    yield _setup(side, rules)
    yield _regime(side, rules)
    if rules.weekly.rule == "required":
        low, high = rules.weekly.zone
        inside = side.weekly is not None and low <= side.weekly <= high
        yield _answer("weekly zone", inside, Reason.OUTSIDE_WEEKLY_ZONE, side.weekly, _span(rules.weekly.zone))
    if rules.change.required:
        is_near_change = side.change is not None and side.change <= side.change_limit
        yield _answer("structure change", is_near_change, Reason.CHANGE_UNCONFIRMED, side.change, side.change_limit)
    strong = coin.strength is not None and coin.strength >= rules.min_strength
    yield _answer("trend", strong, Reason.TREND_TOO_WEAK, coin.strength, rules.min_strength)
    yield from _range_filters(side, rules)
    yield _points(side, rules)
    yield from _cost_filters(side, rules)
    yield _same_setup(side, rules.rest)
    yield _rest_decision(coin, rules.rest)


def _data(coin: CoinInputs, rules: SmartMoneySettings) -> Decision:
    """Return UNKNOWN if bars are missing in the range that is read, because they may hide a structure."""
    bars = coin.bars
    since_s = bars.starts[-min(rules.fib.bars, len(bars))]
    missing = sum(hole.to_s - hole.from_s for hole in coin.holes if hole.to_s > since_s) // seconds_of(bars.timeframe)
    if missing:
        return FILTERS["data"].unknown(Reason.BARS_HAVE_HOLES, missing, 0)
    return _answer("data", True, None, len(bars), rules.structure.min_depth)


def _setup(side: SetupSide, rules: SmartMoneySettings) -> Decision:
    setup = side.setup
    if setup is None:
        return _answer("setup", False, Reason.NO_SETUP, 0, len(side.coin.bars))
    if side.levels is None:
        return _answer("setup", False, Reason.NO_SETUP, f"{setup.kind} without room for a stop")
    return _answer("setup", True, None, setup.kind.value)


def _regime(side: SetupSide, rules: SmartMoneySettings) -> Decision:
    strength, least = side.coin.strength, rules.consolidation_strength
    trending = strength is not None and strength >= least
    return _answer("regime", trending or side.evidence.order_block, Reason.CONSOLIDATION, strength, least)


def _range_filters(side: SetupSide, rules: SmartMoneySettings) -> Iterator[Decision]:
    """Decide whether a tight setup's price is in the zone of the range, or near enough to a level."""
    if regime_of(side.setup) is not SetupRegime.TIGHT:
        return
    if side.evidence.place is RangeZone.ZONE:
        within = _answer("place", True, None, side.position, _span(rules.fib.zone))
        yield replace(within, unit=Unit.OF_RANGE.code)
    else:
        near = side.near is not None and side.near <= rules.fib.near_fraction
        yield _answer("place", near, Reason.ENTRY_OUT_OF_PLACE, side.near, rules.fib.near_fraction)


def regime_of(setup: Setup | None) -> SetupRegime:
    """Return a setup's regime; a side without a setup is evaluated as wide."""
    return SetupRegime.WIDE if setup is None else setup.regime


def least_points(side: SetupSide, rules: SmartMoneySettings) -> int:
    """Return the fewest points with which the side passes."""
    of = rules.rules_of(regime_of(side.setup))
    return of.min_points if side.evidence.lean is Lean.ALIGNED else of.min_points_neutral


def _points(side: SetupSide, rules: SmartMoneySettings) -> Decision:
    least = least_points(side, rules)
    return _answer("points", side.points >= least, Reason.POINTS_TOO_FEW, side.points, least)


def _cost_filters(side: SetupSide, rules: SmartMoneySettings) -> Iterator[Decision]:
    """Compare the cost of a round trip with what its regime allows; an unknown cost or a missing stop doesn't pass."""
    of, costs, levels = rules.rules_of(regime_of(side.setup)), side.costs, side.levels
    total, funding = (None, None) if costs is None else (costs.total, costs.funding)
    of_stop = None if total is None or levels is None else total / levels.fraction(levels.stop)
    for about, value, limit in (
        ("cost", total, of.max_cost_fraction),
        ("cost of the stop", of_stop, of.max_cost_of_stop_fraction),
        ("funding", funding, of.max_funding_fraction),
    ):
        if limit is not None:
            yield _answer(about, value is not None and value <= limit, Reason.TRADE_TOO_DEAR, value, limit)


def _same_setup(side: SetupSide, rest: RestSettings) -> Decision:
    """Fail if the coin was entered after this setup was known, less than `same_setup_s` ago."""
    entered, setup = side.coin.past.entered_at, side.setup
    passed = None if entered is None else (side.coin.now - entered).total_seconds()
    same = entered is not None and setup is not None and entered.timestamp() >= setup.known_at
    fresh = not same or passed is None or passed >= rest.same_setup_s
    return _answer("same setup", fresh, Reason.SETUP_REPEATED, passed if same else None, rest.same_setup_s)


def _rest_decision(coin: CoinInputs, rest: RestSettings) -> Decision:
    """Fail while any of the waits lasts; report the one that ends last, with the time since it began."""
    waits = [(since, wait_s) for since, wait_s in _waits(coin, rest) if since + timedelta(seconds=wait_s) > coin.now]
    if not waits:
        return _answer("rest", True, None, None, None)
    since, wait_s = max(waits, key=lambda wait: wait[0] + timedelta(seconds=wait[1]))
    return _answer("rest", False, Reason.SYMBOL_RESTING, (coin.now - since).total_seconds(), wait_s)


def _waits(coin: CoinInputs, rest: RestSettings) -> Iterator[tuple[datetime, int]]:
    """Yield the start and the length of each wait, in seconds."""
    past = coin.past
    if past.entered_at is not None:
        yield past.entered_at, rest.after_entry_s
    if past.trades:
        last = past.trades[-1]
        yield last.closed_at, rest.after_loss_s if loss_of(last) > 0 else rest.after_gain_s
    losses = recent(past.trades, coin.now, rest.losses_within_s, rest.loss_fraction)
    if len(losses) >= rest.losses:
        yield losses[-1].closed_at, rest.after_losses_s


def _span(zone: Zone) -> str:
    return f"{zone[0]:f} to {zone[1]:f}"


def _answer(
    about: str,
    passed: bool,
    reason: Reason | None,
    observed: Number | str | None = None,
    limit: Number | str | None = None,
) -> Decision:
    """Return one filter's decision; an unknown value doesn't pass."""
    return FILTERS[about].answer(passed, reason, _plain(observed), _plain(limit))


def _plain(value: Number | str | None) -> Number | str | None:
    """Return a number of this strategy as a float; it is an exact decimal only for comparisons."""
    return float(value) if isinstance(value, Decimal) else value
