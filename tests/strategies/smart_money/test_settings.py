"""Settings of the strategy that can't be meant are refused before a bot starts."""

from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from tradebot.strategies.section_validation import validate_section
from tradebot.strategies.smart_money.settings import SmartMoneySettings

NOTHING = ": it changes nothing; write what it changes, such as {fib: {near_fraction: 0.005}}"
OWN = "stop_outs.multiple 1.5 is above stop_outs.max_multiple 0.5"


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"bias": {"depth": 200}}, "bias.min_depth 250 is above bias.depth 200"),
        ({"structure": {"depth": 100}}, "structure.min_depth 250 is above structure.depth 100"),
        ({"bias": {"length": 251}}, "bias.length 251 needs that many bars, but min_depth 250 allows fewer"),
        ({"fib": {"bars": 300}}, "fib.bars 300 needs that many bars, but min_depth 250 allows fewer"),
        ({"fib": {"zone": [0.8, 0.6]}}, "fib.zone must be a lower and a higher level, not 0.8 and 0.6"),
        ({"stop_outs": {"multiple": 3}}, "stop_outs.multiple 3 is above stop_outs.max_multiple 2"),
        ({"structure": {"timeframe": "2Hour"}}, "4Hour"),
        ({"structure": {"smoothing": "sma"}}, "wilder"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(section: Mapping[str, object], problem: str) -> None:
    with pytest.raises(ValidationError) as refused:
        SmartMoneySettings.model_validate(section)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "own", "problem"),
    [
        ({"nope": 1}, {}, ".variants.x.nope: there is no such setting"),
        ({"fib": {"nope": 1}}, {}, ".variants.x.fib.nope: there is no such setting"),
        ({"fib": {"near_fraction": ".nan"}}, {}, ".variants.x.fib.near_fraction: must be a number"),
        ({"fib": 3}, {}, ".variants.x.fib: must be a section with its own KEY: VALUE lines"),
        ({"fib": {"bars": 300}}, {}, ".variants.x: fib.bars 300 needs that many bars, but min_depth 250 allows fewer"),
        ({"variants": {"y": {"fib": {"bars": 90}}}}, {}, ".variants.x.variants: there is no such setting"),
        ({}, {}, f".variants.x{NOTHING}"),
        ({"fib": {}}, {}, f".variants.x{NOTHING}"),
        ({"fib": {"bars": 90}}, {"stop_outs": {"max_multiple": 0.5}}, f": {OWN}"),
    ],
)
def test_a_mistake_in_a_variant_or_in_the_settings_is_named_in_the_words_of_every_other_setting(
    changes: Mapping[str, object], own: Mapping[str, object], problem: str
) -> None:
    section = {**own, "variants": {"x": changes, "fine": {"fib": {"bars": 90}}}}
    found = list(validate_section("smart_money", SmartMoneySettings, section))
    assert found == [f"strategies.smart_money{problem}"]
