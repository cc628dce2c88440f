"""What a plug-in declares is checked before anything is fetched for it."""

import pytest

from tradebot.adapters.plugins.messages import Declared
from tradebot.adapters.plugins.process import require_valid
from tradebot.model.needs import BarNeed, Needs
from tradebot.model.series import MOST_BARS
from tradebot.model.values import replace

DAILY = BarNeed("1Day", 127)
VALID = Declared.of(Needs(frozenset({"flow_alerts"}), (DAILY, BarNeed("5Min", 78, symbols=("SPY",)))), "every 5m")


def test_a_declaration_says_what_the_needs_said() -> None:
    needs = Needs(frozenset({"iv_rank", "flow_alerts"}), (DAILY,), quotes=True, lots=True, equity=True)
    declared = Declared.of(needs, "every 5m")
    assert (declared.needs, declared.times) == (needs, "every 5m")
    require_valid(VALID)


WRONG = [
    ({"facts": ("flow_alerts", "flow_of_news")}, "it needs 'flow_of_news', which isn't a kind of facts; known: "),
    ({"bars": (replace(DAILY, timeframe="1Week"),)}, "'1Week' is not a timeframe"),
    ({"bars": (replace(DAILY, depth=0),)}, "it needs 0 bars of 1Day; the depth is 1 to 100000"),
    ({"bars": (replace(DAILY, depth=MOST_BARS + 1),)}, "it needs 100001 bars"),
    ({"bars": (DAILY,) * 21}, "it needs 21 series of bars per symbol; the most is 20"),
    ({"bars": (replace(DAILY, symbols=("SPY",) * 1001),)}, "a need names at most 1000 symbols"),
    ({"bars": (replace(DAILY, symbols=("",)),)}, "symbols of at most 32 characters"),
    ({"bars": (replace(DAILY, max_age_s=0),)}, "it needs bars that are 0 s old at most; max_age_s is above 0"),
    ({"times": "x" * 201}, "its times are longer than 200 characters"),
]


@pytest.mark.parametrize(("change", "fault"), WRONG, ids=[row[1] for row in WRONG])
def test_needs_that_cannot_be_met_are_named(change: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        require_valid(replace(VALID, **change))  # type: ignore[arg-type]
