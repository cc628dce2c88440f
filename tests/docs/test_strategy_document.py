"""The page about the flow strategy quotes the values that are shipped and figures that can be computed."""

import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit.strategies import view
from tests.kit.values import NOW
from tradebot.adapters.plugins.process import require_valid
from tradebot.adapters.plugins.protocol import PluginDeclaration
from tradebot.app.settings import load
from tradebot.desk.want_validation import validate_wants
from tradebot.legacy.strategy import ROWS, THRESHOLD, LegacyInputs, score
from tradebot.model.decision import Verdict
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason
from tradebot.model.view import FeatureRow, Open, StrategyView, Target
from tradebot.strategies.smart_money.strategy import SmartMoneyStrategy

TEXT = (Path(__file__).parents[2] / "docs" / "STRATEGY.md").read_text(encoding="utf-8")


def value_of(path: str) -> Any:
    found: Any = load(None, {}).settings.model_dump()
    for name in path.split("."):
        found = found[name]
    return found


def test_the_defaults_are_those_that_are_shipped() -> None:
    rows = re.findall(r"^\| `(strategies\.[a-z_.]+)` \| ([0-9.]+) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 14
    assert [(path, float(value_of(path))) for path, _ in rows] == [(path, float(value)) for path, value in rows]
    weights = {path.rpartition(".")[2] for path, _ in rows if ".weights." in path}
    assert weights == {name for name, weight in value_of("strategies.flow.weights").items() if weight}


def test_the_figures_of_the_earlier_score_are_what_it_computes() -> None:
    saturated, nothing = score(LegacyInputs(flow_direction=1, flow_conviction=1.0)), score(LegacyInputs())
    assert f"{saturated.score}, above {THRESHOLD}" in TEXT
    assert f"the old score was {nothing.score}." in TEXT
    assert f"{ROWS['flow'][0]} of {sum(abs(weight) for weight, _ in ROWS.values()):.2f}" in TEXT
    assert f"dark pool, absent | pays {nothing.rows['dark_pool']:.2f}" in TEXT
    assert f"insider, absent | pays {nothing.rows['insider']}" in TEXT
    tide = score(LegacyInputs(flow_direction=1, tide_call_premium_usd=-180_800_000, tide_put_premium_usd=-113_600_000))
    assert f"paid {round(tide.rows['market_tide'], 3):g}, three times" in TEXT
    steep, mild = (score(LegacyInputs(toxicity=it)).rows["toxicity_penalty"] for it in (0.51, 0.5))
    assert steep > mild, "0.51 scored above 0.50"
    assert score(LegacyInputs(dark_pool_direction=1, dark_pool_premium_usd=1e9)).rows["dark_pool"] > 0


def test_the_strategy_with_features_answers_what_it_sees() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    made: dict[str, Any] = {}
    exec(block, made)  # noqa: S102 - the page's own example
    strategy = made["Reverting"]({"contracts": 2})
    require_valid(PluginDeclaration.of(strategy.needs, strategy.times))
    low = {"rsi_14": -0.5, "from_vwap": -1.5, "spread": 2.0}
    without = {name: low[name] for name in ("rsi_14", "from_vwap")}
    for values, wanted in ((low, 2), ({**low, "rsi_14": -0.4}, 0), ({**low, "spread": 3.0}, 0), (without, 0)):
        row = FeatureRow(NOW, values)
        view = StrategyView(NOW, ("ESZ6",), features={("ESZ6", "5Min"): row})
        assert validate_wants(view, strategy.propose(view)) == (Target("ESZ6", quantity=Decimal(wanted)),)


SMART_MONEY = (Path(__file__).parents[2] / "docs" / "SMART_MONEY.md").read_text(encoding="utf-8")


def calm(most: float) -> Any:
    (example,) = re.findall(r"^```python\n(.*?)^```$", SMART_MONEY, re.MULTILINE | re.DOTALL)
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
