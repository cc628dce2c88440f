"""Evaluate one side of a coin: its setup, its entry, and the evidence for it."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from tradebot.model import candidate
from tradebot.model.candidate import ComponentInputs, Input
from tradebot.model.costs import BASIS_POINTS, Costs, round_trip
from tradebot.model.struct_tools import replace
from tradebot.signals.structures.bars import exact
from tradebot.signals.structures.structures import (
    Direction,
    FibonacciRange,
    ReadingKind,
    StructureReading,
    fibonacci_range,
)
from tradebot.strategies.smart_money.coin import CoinInputs, recent
from tradebot.strategies.smart_money.filters import SetupSide, regime_of
from tradebot.strategies.smart_money.levels import Setup, levels, stop_multiple
from tradebot.strategies.smart_money.scoring import RangeZone, SetupEvidence, points
from tradebot.strategies.smart_money.settings import FibSettings, SetupRegime, SmartMoneySettings, Zone

ZONES, MOVES = (ReadingKind.BLOCK, ReadingKind.GAP), (ReadingKind.BREAK, ReadingKind.CHANGE)
"""Zones are entered when the price returns to them; moves are followed at once."""
Found = Mapping[ReadingKind, StructureReading]


def side_of(coin: CoinInputs, sign: int, rules: SmartMoneySettings) -> SetupSide:
    """Return the filters' input for one side of a coin: +1 is long, and -1 is short."""
    direction = Direction.LONG if sign > 0 else Direction.SHORT
    newest = {kind: coin.structures.newest(kind, direction) for kind in ReadingKind}
    structure_reading_by_reading_kind = {kind: reading for kind, reading in newest.items() if reading is not None}
    setup = _setup(coin, sign, structure_reading_by_reading_kind, rules)
    if rules.place.judges == "price":
        price = entry = coin.order_price(sign)
        setup = setup and replace(setup, entry=float(price))
    else:
        price = exact(coin.price)
        entry = price if setup is None else exact(setup.entry)
    fib, regime = fibonacci_range(coin.bars, rules.fib.bars), regime_of(setup)
    costs = _costs(coin, sign, regime, rules)
    change, change_limit = _from_change(coin, price, structure_reading_by_reading_kind.get(ReadingKind.CHANGE), rules)
    weekly = coin.weeks and position_in(coin.weeks, direction, entry)
    outside = rules.weekly.rule == "points" and not is_within(weekly, rules.weekly.zone)
    evidence = SetupEvidence(
        ReadingKind.BLOCK in structure_reading_by_reading_kind,
        ReadingKind.GAP in structure_reading_by_reading_kind,
        ReadingKind.BREAK in structure_reading_by_reading_kind,
        RangeZone.NOWHERE if fib is None else _range_zone(fib, direction, entry, rules.fib),
        coin.bias.lean(sign),
        coin.strength,
        None if costs is None or costs.total is None else float(costs.total * BASIS_POINTS),
        rules.change.required and change is not None and 0 < change <= change_limit,
        rules.weekly.points if outside else 0,
    )
    ahead = coin.swing_highs if sign > 0 else coin.swing_lows
    priced = None
    if setup is not None:
        priced = levels(setup, rules.rules_of(regime), _multiple(coin, regime, rules), coin.atr, ahead)
    return SetupSide(
        coin,
        sign,
        setup,
        priced,
        structure_reading_by_reading_kind,
        entry,
        None if fib is None else position_in(fib, direction, entry),
        None if fib is None else _near(fib, direction, entry, rules.fib.levels),
        change,
        change_limit,
        weekly,
        costs,
        evidence,
        points(evidence, rules.points),
    )


def _setup(coin: CoinInputs, sign: int, evidence: Found, rules: SmartMoneySettings) -> Setup | None:
    """Return the best setup there is: a zone to return to, or else a move to follow; None without either.

    If the settings require a block, there is no setup without one.
    """
    if rules.setups_need_a_block and ReadingKind.BLOCK not in evidence:
        return None
    kind = next((kind for kind in (*ZONES, *MOVES) if kind in evidence), None)
    if kind is None:
        return None
    reading = evidence[kind]
    if kind in ZONES:
        near, far = (reading.high, reading.low) if sign > 0 else (reading.low, reading.high)
        return Setup(kind, sign, SetupRegime.TIGHT, near, far, reading.known_at)
    far = _farthest(coin, sign, rules.structure.far_bars)
    return Setup(kind, sign, SetupRegime.WIDE, coin.bars.close[-1], far, reading.known_at)


def _farthest(coin: CoinInputs, sign: int, bars: int) -> float:
    """Return the lowest low of the last bars for a long, and the highest high for a short."""
    return min(coin.bars.low[-bars:]) if sign > 0 else max(coin.bars.high[-bars:])


def position_in(fib: FibonacciRange, direction: Direction, price: Decimal) -> Decimal | None:
    """Return a price's level in a range; None if the range has no width."""
    width = fib.high - fib.low
    if not width:
        return None
    return (fib.high - price if direction is Direction.LONG else price - fib.low) / width


def is_within(position: Decimal | None, zone: Zone) -> bool:
    """Return True if a position is known and in a zone, including its ends."""
    return position is not None and zone[0] <= position <= zone[1]


def _near(fib: FibonacciRange, direction: Direction, entry: Decimal, ratios: Iterable[Decimal]) -> Decimal:
    """Return how far an entry is from the nearest of these levels, as a fraction of the entry."""
    return min(abs(entry - fib.level(ratio, direction)) for ratio in ratios) / entry


def _range_zone(fib: FibonacciRange, direction: Direction, entry: Decimal, rules: FibSettings) -> RangeZone:
    if is_within(position_in(fib, direction, entry), rules.zone):
        return RangeZone.ZONE
    if _near(fib, direction, entry, rules.scored_levels) <= rules.near_fraction:
        return RangeZone.LEVEL
    if _near(fib, direction, entry, rules.extensions) <= rules.near_fraction:
        return RangeZone.EXTENSION
    return RangeZone.NOWHERE


def _from_change(
    coin: CoinInputs, price: Decimal, change: StructureReading | None, rules: SmartMoneySettings
) -> tuple[Decimal | None, Decimal]:
    """Return how far the price is from the zone of a change of structure, and the farthest allowed, as fractions.

    The distance is None without a change.
    """
    of = rules.change
    limit = min(of.tolerance_fraction + of.atr_multiple * exact(coin.atr) / price, of.max_tolerance_fraction)
    if change is None:
        return None, limit
    low, high = exact(change.low), exact(change.high)
    return max(low - price, price - high, Decimal(0)) / price, limit


def _costs(coin: CoinInputs, sign: int, regime: SetupRegime, rules: SmartMoneySettings) -> Costs | None:
    """Return the expected cost of a round trip; None if no costs are assumed, or without a quote."""
    if coin.costs is None or coin.quote is None:
        return None
    return round_trip(coin.costs, candidate.Side.of(sign), coin.quote, rules.rules_of(regime).hold_s)


def _multiple(coin: CoinInputs, regime: SetupRegime, rules: SmartMoneySettings) -> Decimal:
    outs = rules.stop_outs
    count = len(recent(coin.past.trades, coin.now, outs.within_s, rules.rest.loss_fraction))
    return stop_multiple(rules.rules_of(regime), outs, count)


def inputs_of(side: SetupSide, rules: SmartMoneySettings) -> tuple[ComponentInputs, ...]:
    """Return the inputs of each component; its formula gives the points as a fraction of the maximum."""
    return tuple(
        ComponentInputs(
            name,
            "points / most" if side.sign > 0 else "-points / most",
            (
                Input("points", value, "points"),
                Input("most", getattr(rules.points, name), "points"),
                *_behind(side, name),
            ),
        )
        for name, value in side.parts.items()
    )


def _behind(side: SetupSide, part: str) -> Sequence[Input]:
    """Return the numbers that decide a component's points."""
    coin = side.coin
    of_part: dict[str, Sequence[Input]] = {
        "order_block": _prices(side, ReadingKind.BLOCK),
        "gap": _prices(side, ReadingKind.GAP),
        "break_of_structure": _prices(side, ReadingKind.BREAK),
        "fib": (
            *_input_if_known("entry", side.entry, "USD"),
            *_input_if_known("place_in_range", side.position, "level"),
            *_input_if_known("from_nearest_level", side.near, "fraction"),
        ),
        "bias": (Input("close_from_average", coin.bias.distance, "fraction"),),
        "strength": _input_if_known("adx", coin.strength, "ADX"),
        "cost": _input_if_known("round_trip", side.evidence.cost_bps, "bps"),
        "tolerance": _input_if_known("from_change", side.change, "fraction"),
    }
    return of_part[part]


def _input_if_known(name: str, value: Decimal | float | None, unit: str) -> tuple[Input, ...]:
    return () if value is None else (Input(name, float(value), unit),)


def _prices(side: SetupSide, kind: ReadingKind) -> tuple[Input, ...]:
    """Return the prices of the newest valid reading of a kind, and how many readings these bars have shown."""
    reading, so_far = side.found.get(kind), sum(reading.kind is kind for reading in side.coin.structures.readings)
    prices = () if reading is None else (Input("low", reading.low, "USD"), Input("high", reading.high, "USD"))
    return *prices, Input("known_so_far", so_far, "readings")
