"""The strategy that `tradebot strategy new NAME --kind target` writes, and its test."""

SUMMARY = """\
Once a month, it ranks the symbols by their return over 126 sessions (half a year), and holds the strongest three in
equal parts. It only says how much to hold; the bot works out what to sell and buy.

`exits: []` below lets it hold them until the next month: the account's exit rules would close them within hours. A
third of its equity in one symbol also needs wider limits than the shipped ones, as in config/profiles/rotation.yaml:
`tradebot config check` compares them with `wants`, and names each that is too low.
"""

STRATEGY = '''\
"""The $name strategy: once a month, hold the symbols with the largest return over half a year in equal parts."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field
from tradebot.ports import BarNeed, Needs, StrategyView, Target


class Settings(BaseModel):
    """The strategy's own settings, from `strategies: {$name: ...}` in the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lookback_sessions: int = Field(126, ge=1, le=1000)
    holdings: int = Field(3, ge=1)


class $title:
    """Rank the universe by momentum."""

    name = "$name"
    times = "first session of month at open+5m"

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = Settings.model_validate(settings)
        self.needs = Needs(bars=(BarNeed("1Day", self._settings.lookback_sessions + 1),), lots=True)

    def propose(self, view: StrategyView) -> Sequence[Target]:
        """Return an equal share of the allotment for each of the strongest, and a weight of 0 for other positions.

        A symbol whose bars are missing isn't in the universe, so a position in it stays as it is.
        """
        strongest = sorted(view.universe, key=lambda symbol: momentum(view, symbol), reverse=True)
        chosen = strongest[: self._settings.holdings]
        share = Decimal(1) / self._settings.holdings
        sold = [symbol for symbol in view.universe if symbol in view.lots and symbol not in chosen]
        return [*(Target(symbol, Decimal(0)) for symbol in sold), *(Target(symbol, share) for symbol in chosen)]


def momentum(view: StrategyView, symbol: str) -> float:
    """Return a symbol's return from the first to the last bar, splits and dividends included."""
    closes = view.bars(symbol).close
    return closes[-1] / closes[0] - 1
'''

TEST = '''\
"""Tests of the $name strategy: what it wants, and that the bot accepts its answer."""

from array import array
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from tradebot.desk.want_validation import validate_wants
from tradebot.ports import Decision, Lot, Position, Series, StrategyView, Target

from tradebot_$name.strategy import $title

NOW = datetime(2026, 12, 1, 14, 35, tzinfo=UTC)
RETURNS = {"AAA": 0.10, "BBB": 0.30, "CCC": -0.10, "DDD": 0.20, "EEE": 0.00}


def bars(symbol: str, change: float) -> Series:
    """Return 127 daily bars whose price changes once, on the last day."""
    day, last = 86_400, int(NOW.timestamp())
    starts = array("q", range(last - 127 * day, last, day))
    prices = array("d", [100.0] * 126 + [100 * (1 + change)])
    return Series(symbol, "1Day", True, starts, prices, prices, prices, prices, array("d", [1e6] * 127))


def wanted(returns: Mapping[str, float], *held: str) -> dict[str, Decimal | None]:
    """Return the weight of each symbol that these returns lead to, checked as the bot checks them."""
    series = [bars(symbol, change) for symbol, change in returns.items()]
    lots = {s: Position("$name", s, (Lot(Decimal(10), Decimal(100), NOW),), Decimal(0), NOW) for s in held}
    view = StrategyView(NOW, tuple(returns), series={each.key: each for each in series}, lots=lots)
    found = validate_wants(view, $title({}).propose(view))
    assert not isinstance(found, Decision), found
    return {want.symbol: want.weight for want in found if isinstance(want, Target)}


def test_the_strongest_three_get_equal_parts() -> None:
    third = Decimal(1) / 3
    assert wanted(RETURNS) == {"BBB": third, "DDD": third, "AAA": third}


def test_what_is_held_and_no_longer_strong_is_sold() -> None:
    assert wanted(RETURNS, "CCC", "DDD")["CCC"] == 0


def test_what_is_held_and_has_no_bars_stays_as_it_is() -> None:
    assert "ZZZ" not in wanted(RETURNS, "ZZZ")
'''
