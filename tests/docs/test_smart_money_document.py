"""The page's example of a filter of one's own does what the page says: it stands beside the strategy's, and refuses."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.strategies import view
from tradebot.desk.want_validation import validate_wants
from tradebot.model.decision import Verdict
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason
from tradebot.model.view import Open
from tradebot.strategies.smart_money.strategy import SmartMoneyStrategy

TEXT = (Path(__file__).parents[2] / "docs" / "SMART_MONEY.md").read_text(encoding="utf-8")


def calm(most: float) -> Any:
    (example,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 - it is our own page
    return names["Calm"]({"max_atr_fraction": most})


def opens(wants: Iterable[object]) -> dict[str, Open]:
    return {want.symbol: want for want in wants if isinstance(want, Open)}


@pytest.mark.parametrize(("most", "passing"), [(0.0, False), (1.0, True)])
def test_an_own_filter_answers_beside_the_strategys_own_and_refuses(most: float, passing: bool) -> None:
    seen = view(range(4))
    answer = validate_wants(seen, calm(most).propose(seen))
    assert isinstance(answer, tuple), "the bot takes its answer"
    plain, found = opens(SmartMoneyStrategy({}).propose(seen)), opens(answer)
    assert plain.keys() == found.keys()
    with_prices = 0
    for symbol, want in found.items():
        *others, own = want.decisions
        assert (tuple(others), want.score) == (plain[symbol].decisions, plain[symbol].score)
        assert (own.about, own.units) == ("calm", (Unit.SHARE_OF_WHOLE, Unit.SHARE_OF_WHOLE))
        if want.atr_fraction is None:
            continue
        with_prices += 1
        expected = (Verdict.PASS, None) if passing else (Verdict.FAIL, Reason.STRATEGY_DECLINED)
        assert (own.verdict, own.reason) == expected
    assert with_prices
