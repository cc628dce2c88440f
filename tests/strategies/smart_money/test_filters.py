"""Each filter's numbers have a unit, whether it passes or not, and people read it."""

import io
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from rich.console import Console

from commands.why_no_orders.report import show_symbol
from tests.kit.strategies import view
from tests.kit.values import NOW
from tests.strategies.smart_money.test_setup_evaluation import RULES
from tradebot.model.decision import Decision, Verdict, units_of
from tradebot.model.reason_codes import Unit
from tradebot.model.struct_tools import replace
from tradebot.signals.structures.bars import exact
from tradebot.signals.structures.structures import Direction, fibonacci_range
from tradebot.strategies.smart_money.coin import Readings, coin_of
from tradebot.strategies.smart_money.filters import FILTERS, SetupSide, decisions
from tradebot.strategies.smart_money.levels import stop_multiple
from tradebot.strategies.smart_money.settings import SetupRegime, SmartMoneySettings
from tradebot.strategies.smart_money.setup_evaluation import side_of
from tradebot.views.why_no_orders import SymbolWhy

EVERYTHING = RULES.model_copy(
    update={
        "weekly": RULES.weekly.model_copy(update={"rule": "required"}),
        "change": RULES.change.model_copy(update={"required": True}),
    }
)
"""The strategy with its two filters on that are off by default."""


@cache
def answers() -> Sequence[Decision]:
    found, readings = view(range(8)), Readings(EVERYTHING)
    coins = [coin_of(found, symbol, readings) for symbol in found.universe]
    both = [side_of(coin, sign, EVERYTHING) for coin in coins for sign in (1, -1)]
    return [decision for side in both for decision in decisions(side, EVERYTHING)]


def test_every_answer_of_every_filter_has_the_unit_that_the_filter_is_defined_with() -> None:
    found = answers()
    assert {decision.about for decision in found} == FILTERS.keys()
    for decision in found:
        in_zone = decision.about == "place" and isinstance(decision.limit, str)
        unit = Unit.OF_RANGE if in_zone else FILTERS[decision.about].unit
        assert decision.units == (unit, unit)
        assert decision.passed or units_of(decision.gate, decision.reason) == (unit, unit), (
            "sums by reason say the same"
        )


def test_numbers_of_filters_that_pass_are_shown_with_their_units() -> None:
    passed = {decision.about: decision for decision in answers() if decision.verdict is Verdict.PASS}
    usual: Any = {"at": NOW, "slot": "", "passes": 1, "reason": None, "sentence": "", "remedy": "", "now": None}
    way = SymbolWhy(symbol="BTC", decisions=tuple(passed.values()), **usual)
    console = Console(file=io.StringIO(), width=160)
    show_symbol(console, way)
    assert isinstance(console.file, io.StringIO)
    shown = " ".join(console.file.getvalue().split())
    for about, numbers in (
        ("bias", r"-?[\d.]+% 0\.10%"),
        ("trend", r"[\d.]+ ADX 25 ADX"),
        ("points", r"\d+ points \d+ points"),
        ("data", r"\d+ bars 250 bars"),
        ("same setup", r"45 min"),
    ):
        assert re.search(rf"strategy: {about} PASS {numbers}", shown), shown


def placed(rules: SmartMoneySettings) -> list[SetupSide]:
    """Return the sides of some coins that have a tight setup and are in place."""
    found, readings = view(range(12)), Readings(rules)
    coins = [coin_of(found, symbol, readings) for symbol in found.universe]
    both = [side_of(coin, sign, rules) for coin in coins for sign in (1, -1)]
    tight = [side for side in both if side.setup and side.setup.regime is SetupRegime.TIGHT]
    return [side for side in tight if all(one.passed for one in decisions(side, rules) if one.about == "place")]


def test_a_tight_entry_is_in_place_only_if_the_order_itself_goes_out_in_the_zone_or_at_a_level() -> None:
    """An entry that chases goes out far from the zone that it was judged by."""
    chasing = SmartMoneySettings.model_validate({"place": {"judges": "zone"}})
    away = {rules.place.judges: [_away(side) for side in placed(rules)] for rules in (RULES, chasing)}
    assert away["price"]
    assert max(away["price"]) <= RULES.fib.near_fraction
    assert max(away["zone"]) > 0.02


def _away(side: SetupSide) -> Decimal:
    """Return how far the price of the quote is from the zone of the range, or from its nearest level."""
    assert side.coin.quote is not None
    price, fib = side.coin.quote.last, fibonacci_range(side.coin.bars, RULES.fib.bars)
    assert fib is not None
    direction = Direction.LONG if side.sign > 0 else Direction.SHORT
    levels = [fib.level(ratio, direction) for ratio in RULES.fib.levels]
    low, high = sorted(fib.level(ratio, direction) for ratio in RULES.fib.zone)
    return Decimal(0) if low <= price <= high else min(abs(price - level) for level in levels) / price


def test_stop_and_target_belong_to_the_structure_wherever_the_order_goes_out() -> None:
    for side in placed(RULES):
        assert side.setup is not None
        if side.levels is None:
            continue
        assert side.coin.quote is not None
        assert side.levels.entry == side.entry == side.coin.quote.last
        assert side.levels.invalid == exact(side.setup.invalid)
        beyond = stop_multiple(RULES.tight, RULES.stop_outs, 0) * exact(side.coin.atr)
        assert side.levels.stop == side.levels.invalid - side.sign * beyond


def test_the_price_of_an_order_is_the_perpetuals_touch_without_its_premium() -> None:
    (symbol,) = (seen := view([1])).universe
    quote = replace(seen.quotes[symbol], bid=Decimal(99), ask=Decimal(101), mark=Decimal("110"), index=Decimal(100))
    coin = coin_of(replace(seen, quotes={symbol: quote}), symbol, Readings(RULES))
    assert (coin.order_price(1), coin.order_price(-1)) == (Decimal(101) / Decimal("1.1"), Decimal(90))
    assert replace(coin, quote=None).order_price(1) == exact(coin.price)
