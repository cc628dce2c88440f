"""The smart-money strategy: it enters where four-hour structures suggest that a large trader is active."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from tradebot.exits.exit_reasons import amount_part, compose
from tradebot.model import candidate
from tradebot.model.candidate import ComponentInputs, OptionContract
from tradebot.model.decision import Decision
from tradebot.model.position import EntryTerms, Position
from tradebot.model.reason_codes import Unit
from tradebot.model.series import DAY, PriceKind, Series, width_of
from tradebot.model.view import BarNeed, Close, Needs, Open, StrategyView
from tradebot.ports.strategy import FilterMatches
from tradebot.signals.structures.bars import exact, seconds_of
from tradebot.strategies.smart_money.coin import CoinInputs, Readings, bias, coin_of, disorder_of
from tradebot.strategies.smart_money.filters import SetupSide, decisions
from tradebot.strategies.smart_money.levels import SetupLevels
from tradebot.strategies.smart_money.scoring import components
from tradebot.strategies.smart_money.settings import SmartMoneySettings
from tradebot.strategies.smart_money.setup_evaluation import inputs_of, side_of

HOUR, QUARTER = "1Hour", "15Min"
HOURS, QUARTERS = 300, 4
PLACES = Decimal("1e-9")


class SmartMoneyStrategy:
    """Proposes the better side of every coin without a position, with the decisions of its own filters."""

    name = "smart_money"
    times = ""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = SmartMoneySettings.model_validate(settings)
        self._readings = Readings(self._settings)
        self.needs = Needs(bars=tuple(_bars(self._settings)), quotes=True, lots=True, trades=True)

    def propose(self, view: StrategyView) -> Sequence[Open | Close]:
        """Return closes of positions with an invalidated setup, and an entry for each other coin, even if refused.

        A coin with unreadable bars is refused without affecting the others.
        """
        gone = closes(view, self._readings)
        free = [symbol for symbol in view.universe if symbol not in view.lots]
        wants = [_answer(view, symbol, self._readings) for symbol in free]
        return [*gone, *sorted(wants, key=lambda want: (-abs(want.score), want.symbol))]

    def inputs(self, view: StrategyView, symbol: str) -> tuple[ComponentInputs, ...]:
        if disorder_of(view, symbol, self._readings):
            return ()
        return inputs_of(_better(view, symbol, self._readings).side, self._settings)

    def variants(self, view: StrategyView) -> Sequence[FilterMatches]:
        """Return which coins pass with the present settings, and with those of each of the `variants`."""
        free = [symbol for symbol in view.universe if symbol not in view.lots]
        answers = [("", self._settings), *self._settings.variations()]
        return [FilterMatches(name, _passing(view, free, settings)) for name, settings in answers]

    def contracts(self, view: StrategyView, symbol: str, direction: int) -> tuple[OptionContract, ...]:
        return ()


def _passing(view: StrategyView, symbols: Sequence[str], settings: SmartMoneySettings) -> Sequence[str]:
    readings = Readings(settings)
    readable = (symbol for symbol in symbols if disorder_of(view, symbol, readings) is None)
    return [symbol for symbol in readable if _better(view, symbol, readings).passes]


def _answer(view: StrategyView, symbol: str, readings: Readings) -> Open:
    disorder = disorder_of(view, symbol, readings)
    if disorder is not None:
        return Open(symbol, candidate.Side.BUY, 0.0, decisions=(disorder,))
    return _want(_better(view, symbol, readings), readings.rules)


class FilteredSide(NamedTuple):
    """A side of a coin with the decisions of all filters about it."""

    side: SetupSide
    decisions: tuple[Decision, ...]

    @property
    def passes(self) -> bool:
        return all(decision.passed for decision in self.decisions)


def _better(view: StrategyView, symbol: str, readings: Readings) -> FilteredSide:
    """Return the side that agrees with the bias, or the better one if there is no bias.

    Scoring and proposing at the same moment evaluate the same inputs, so the last result is cached.
    """
    return readings.of_inputs(coin_of(view, symbol, readings), _better_side)


def _better_side(coin: CoinInputs, settings: SmartMoneySettings) -> FilteredSide:
    leaning = (coin.bias.direction,) if coin.bias.direction else (1, -1)
    sides = (side_of(coin, sign, settings) for sign in leaning)
    filtered = [FilteredSide(side, decisions(side, settings)) for side in sides]
    return max(filtered, key=lambda of: (of.passes, of.side.points, of.side.sign))


def _bars(settings: SmartMoneySettings) -> Sequence[BarNeed]:
    """Return the bars of the spot pair. Orders go to the perpetual, but its own bars have less volume."""
    structure, bias = settings.structure, settings.bias
    depths = {
        DAY: (bias.depth, bias.min_depth),
        HOUR: (HOURS, HOURS),
        QUARTER: (QUARTERS, QUARTERS),
        structure.timeframe: (structure.depth, structure.min_depth),
    }
    return tuple(
        BarNeed(
            timeframe,
            depth,
            price=PriceKind.SPOT,
            least=least,
            max_age_s=seconds_of(timeframe) + settings.max_behind_s,
        )
        for timeframe, (depth, least) in depths.items()
    )


def _want(filtered: FilteredSide, settings: SmartMoneySettings) -> Open:
    side = filtered.side
    levels = side.levels
    return Open(
        side.coin.symbol,
        candidate.Side.of(side.sign),
        side.sign * side.points / 100,
        components=components(side.parts, settings.points, side.sign),
        decisions=filtered.decisions,
        stop_loss_fraction=_distance(levels, levels.stop) if levels else None,
        profit_target_fraction=_distance(levels, levels.target) if levels else None,
        atr_fraction=_fraction(exact(side.coin.atr) / levels.entry) if levels else None,
        invalid_fraction=_distance(levels, levels.invalid) if levels else None,
        hold_s=settings.rules_of(side.setup.regime).hold_s if side.setup else None,
        cluster=f"{side.setup.regime}_{side.setup.kind}" if side.setup else "",
    )


def _distance(levels: SetupLevels, price: Decimal) -> Decimal | None:
    return _fraction(levels.fraction(price))


def _fraction(value: Decimal) -> Decimal | None:
    """Return a fraction rounded to nine decimals; None for None."""
    return value.quantize(PLACES).normalize() or None


PREMISE_GONE, THESIS_GONE = "premise_gone", "thesis_gone"


def closes(view: StrategyView, readings: Readings) -> list[Close]:
    """Return closes of positions with an invalidated setup; a position without bars is left to its exit rules.

    These are the strategy's own exits, besides the configured rules. Trades, positions and notices name them like
    rules. `premise_gone`: the daily bars point the other way; its number is the daily close's distance from its
    average. `thesis_gone`: a bar closed beyond the invalid price; its number is how far beyond. A negative number is
    against the position.
    """
    return [Close(symbol, why) for symbol, lot in view.lots.items() for why in _why(view, symbol, lot, readings)]


def _why(view: StrategyView, symbol: str, lot: Position, readings: Readings) -> Iterator[str]:
    """Yield why a position must be closed, at most one reason."""
    settings = readings.rules
    if symbol not in view.universe or disorder_of(view, symbol, readings):
        return
    direction = 1 if lot.quantity > 0 else -1
    bias_now = bias(view.bars(symbol, DAY, price=PriceKind.SPOT).close, settings.bias)
    if bias_now.direction == -direction:
        yield _distance_text(PREMISE_GONE, bias_now.distance * direction)
        return
    entry_terms, bars = view.kept.get(symbol), view.bars(symbol, settings.structure.timeframe, price=PriceKind.SPOT)
    beyond = None if entry_terms is None else _beyond(lot, direction, entry_terms, bars)
    if beyond is not None and beyond < 0:
        yield _distance_text(THESIS_GONE, beyond)


def _distance_text(name: str, distance: Decimal | float) -> str:
    return compose((amount_part(name, distance, Unit.SHARE_OF_WHOLE),))


def _beyond(lot: Position, direction: int, entry_terms: EntryTerms, bars: Series) -> Decimal | None:
    """Return how far the newest bar that closed since the entry is from the invalid price, as a fraction of that.

    It is negative beyond that price, and None if no bar has closed since, or if the entry gave no invalid price.
    """
    width = width_of(bars.timeframe)
    if entry_terms.invalid_fraction is None or width is None or bars.start_of(-1) + width <= lot.opened_at:
        return None
    invalid = lot.average_price * (1 - direction * entry_terms.invalid_fraction)
    return direction * (exact(bars.close[-1]) - invalid) / invalid
