"""A position is made smaller near its liquidation, and closed before it."""

from decimal import Decimal

import pytest

from tests.kit.values import held, instrument
from tradebot.app.settings import load
from tradebot.errors import ConfigurationError
from tradebot.exits.kind import Held, Input, Measure, Moment
from tradebot.exits.kinds.liquidation_distance import LiquidationDistance
from tradebot.exits.lists import ExitRulesError, parse
from tradebot.model.position import Kept, Outlook
from tradebot.model.values import replace

D = Decimal
RULE = LiquidationDistance(trim_below=D("0.18"), trim_share=D("0.5"), close_below=D("0.10"))


def near(distance: str | None, quantity: str = "9") -> Held:
    known = Outlook(liquidation=None if distance is None else D(distance))
    return replace(held(quantity), outlook=known, kept=Kept(instrument=instrument()))


@pytest.mark.parametrize(
    ("distance", "closes", "shares", "limit"),
    [
        ("0.18", False, "4", "0.18"),
        ("0.1799", True, "4", "0.18"),
        ("0.10", True, "4", "0.18"),
        ("0.0999", True, None, "0.10"),
        ("0", True, None, "0.10"),
    ],
)
@pytest.mark.parametrize("sign", ["", "-"])
def test_it_trims_whole_lots_below_one_distance_and_closes_below_the_other(
    distance: str, closes: bool, shares: str | None, limit: str, sign: str
) -> None:
    found = RULE.judge(near(distance, f"{sign}9"), Moment())
    assert found == Measure(closes, D(distance), D(limit), None if shares is None else D(shares))


def test_a_single_lot_cannot_be_trimmed_and_is_closed_at_last() -> None:
    answers = [RULE.judge(near(distance, "1"), Moment()) for distance in ("0.17", "0.09")]
    assert [isinstance(answer, Measure) and answer.closes for answer in answers] == [False, True]


def test_a_distance_that_nobody_knows_closes_nothing() -> None:
    assert RULE.judge(near(None), Moment()) is Input.LIQUIDATION


def test_it_must_trim_before_it_closes() -> None:
    settings = {"trim_below": 0.1, "trim_share": 0.5, "close_below": 0.1}
    with pytest.raises(ExitRulesError, match="or it would never trim"):
        parse([{"liquidation_distance": settings}])


LISTED = {"liquidation_distance": {"trim_below": 0.36, "trim_share": 0.5, "close_below": 0.1}}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"strategies": {"flow": {"exits": [LISTED]}}}, "can't act: this venue's accounts pay for what they buy"),
        (
            {"venue": "kraken_futures", "strategies": {"rotation": {"exits": [LISTED]}}},
            r"trim_below 0\.36 is not below limits\.min_liquidation_fraction 0\.35: a position could be made smaller",
        ),
    ],
)
def test_a_rule_that_could_never_act_or_acts_at_once_does_not_load(flags: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load(None, {}, flags)
