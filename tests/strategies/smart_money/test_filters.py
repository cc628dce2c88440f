"""Each filter's numbers have a unit, whether it passes or not, and people read it."""

import io
import re
from collections.abc import Sequence
from functools import cache

from rich.console import Console

from commands.why_no_orders.report import show_symbol
from tests.kit.strategies import view
from tests.kit.values import NOW
from tests.strategies.smart_money.test_sides import RULES
from tradebot.model.decision import Decision, Verdict, units_of
from tradebot.model.reason_codes import Unit
from tradebot.strategies.smart_money.filters import FILTERS, decisions
from tradebot.strategies.smart_money.reading import Readings, coin_of
from tradebot.strategies.smart_money.settings import Regime
from tradebot.strategies.smart_money.sides import side_of
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
    way = SymbolWhy(
        symbol="BTC",
        strategy="smart_money",
        at=NOW,
        slot="",
        passes=1,
        side="buy",
        score=0.7,
        coverage=1.0,
        price=None,
        decisions=tuple(passed.values()),
        reason=None,
        sentence="",
        remedy="",
        now=None,
    )
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


def test_as_shipped_nothing_asks_how_far_the_price_is_from_the_zone_of_a_setup() -> None:
    found, readings = view(range(8)), Readings(RULES)
    coins = [coin_of(found, symbol, readings) for symbol in found.universe]
    both = [side_of(coin, sign, RULES) for coin in coins for sign in (1, -1)]
    tight = [side for side in both if side.setup and side.setup.regime is Regime.TIGHT]
    away = [abs(float(side.entry) / side.coin.price - 1) for side in tight]
    assert max(away) > 0.02
    asked = {decision.about for side in tight for decision in decisions(side, RULES)}
    assert "structure change" not in asked, "the page says so"
