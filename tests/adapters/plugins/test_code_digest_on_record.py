"""Promotions, passes and backtests on record outlive code that decides the same, and no code that decides otherwise."""

from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from tests.kit.signals.series import full
from tests.kit.signals.source_rows import ALL_ALERTS, GOOD, known_of_all, value_of, world
from tests.kit.strategies import view
from tests.kit.values import NOW, ago, alert
from tests.strategies import test_flow, test_futures, test_rotation
from tradebot.adapters.plugins import code_digest
from tradebot.adapters.plugins.code_digest import ON_RECORD, StrategyCode, built_in_code
from tradebot.learning.ensemble import Combine, NetworkAnswer, combine_targets
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts
from tradebot.model.view import StrategyView
from tradebot.replaying.record_writer import plain
from tradebot.signals.components import component_names, component_of
from tradebot.signals.features import columns, features
from tradebot.signals.scoring import ScoreComponent, ScoringInputs
from tradebot.signals.subjects.alerts import FLOW_ALERTS_KIND, counting, flow_now
from tradebot.strategies.flow import FlowStrategy
from tradebot.strategies.futures import FuturesStrategy
from tradebot.strategies.rotation import RotationStrategy
from tradebot.strategies.smart_money.strategy import SmartMoneyStrategy

GOLDEN = Path(__file__).with_name("on_record")
"""What code on record answers: a file for each, named by its digest, with the digest of each answer by its name."""
ADVICE = """The built-in strategies have new code, {own}: with it, each promotion of theirs would lapse, and their time
on paper begin anew. What it answers differs from what {on_record} does in: {differs}.
  If it decides as that code does, no other test of strategies, signals and learning has changed either: add the row
    "{own}": "{on_record}", to ON_RECORD in tradebot/adapters/plugins/code_digest.py.
  If it is meant to decide otherwise, keep what it answers, and say in CHANGELOG.md that each has to be promoted again:
    .venv/bin/python -m tests.adapters.plugins.test_code_digest_on_record"""
SEEDS = (0, 1, 3)
"""Worlds in which nearly every component has a value, and few have none or zero."""


def answers() -> Iterator[tuple[str, object]]:
    """Yield features, scores and wants of the built-in strategies in a world that never changes, each with its name."""
    frame = full(3)
    for name, column in columns(frame, features()).items():
        yield f"feature {name}", [*map(float, np.asarray(column)[-9:])]
    for name in component_names():
        yield f"component {name}", [value_of(name, sees(seed, component_of(name))) for seed in SEEDS]
    flow = FlowStrategy(test_flow.SETTINGS)
    for right in (Right.CALL, Right.PUT):
        seen = StrategyView(NOW, ["AAPL"], {"AAPL": test_flow.full(right)}, test_flow.tide(right))
        yield f"flow {right}", flow.propose(seen)
    for closes in (test_futures.RISING, test_futures.wave([100.6, 100.7, 100.2, 100.4])):
        yield f"futures {closes[-1]}", FuturesStrategy({}).propose(test_futures.view({"ESZ6": closes}))
    for returns in ((0.1, 0.3, 0.2, 0.0), (-0.1, -0.2, -0.3, -0.4)):
        seen = test_rotation.view(test_rotation.rising(*returns))
        yield f"rotation {returns[0]}", RotationStrategy(test_rotation.SETTINGS).propose(seen)
    for want in SmartMoneyStrategy({}).propose(view(range(16, 20))):
        yield f"smart_money {want.symbol}", want
    for how in Combine:
        yield (
            f"policy {how}",
            combine_targets(
                how, [NetworkAnswer(1.25, 0.5), NetworkAnswer(-0.5, 0.25), NetworkAnswer(2.0, 0.75)], [1, 0.5, 0.25]
            ),
        )


def sees(seed: int, component: ScoreComponent) -> ScoringInputs:
    """Return what a component sees in a world of the kinds that it reads, with alerts on both sides."""
    rows = world(seed, names=sorted(kind.name for kind in component.reads))
    own, market = known_of_all({name: [*each, *([GOOD[name]] if name in GOOD else [])] for name, each in rows.items()})
    alerts = FLOW_ALERTS_KIND.condense([bought(number, seed) for number in range(1, 26)])
    facts = SymbolFacts("AAPL", {**own, "flow_alerts": alerts, "options_volume": test_flow.USUAL}, NOW, received=1)
    now = flow_now(facts, counting(NOW, ALL_ALERTS))
    lookback, scale = ALL_ALERTS.lookback, now.scale_usd
    return ScoringInputs(NOW, lookback, market, facts, "technology", now.alerts, now.lacking, scale, now.value)


def bought(number: int, seed: int) -> FlowAlert:
    """Return one of many alerts: calls and some puts, the latest of them in quick succession."""
    large = Decimal(number % 5 + 1)
    return alert(
        number,
        Right.CALL if number % (seed + 3) else Right.PUT,
        at=ago(number * (60 if number > 9 + seed else 20)),
        strike=Decimal(90 + number),
        premium=large * 90_000,
        ask_premium=large * 70_000,
        bid_premium=large * 20_000,
        volume=100 * number,
        has_sweep=number % 3 == 0,
        underlying_price=Decimal(100),
    )


def golden() -> dict[str, str]:
    return {name: sha256(flat(plain(one)).encode()).hexdigest()[:8] for name, one in answers()}


def flat(value: object) -> str:
    """Return a value as text: floats to the digits in which machines agree."""
    if isinstance(value, list):
        return f"[{','.join(map(flat, value))}]"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def on_record(digest: str) -> dict[str, str]:
    """Return what code on record answers."""
    lines = (GOLDEN / f"{digest}.txt").read_text(encoding="utf-8").splitlines()
    return {name: found for name, _, found in (line.rpartition(" ") for line in lines)}


def keep() -> None:
    """Keep what today's code answers, as that of code on record."""
    lines = [f"{name} {found}\n" for name, found in golden().items()]
    (GOLDEN / f"{built_in_code().own_digest}.txt").write_text("".join(lines), encoding="utf-8")


def test_code_of_today_answers_as_the_code_that_it_counts_as() -> None:
    own, counts_as, known = built_in_code().own_digest, built_in_code().digest, {path.stem for path in GOLDEN.iterdir()}
    nearest = counts_as if counts_as in known else [*ON_RECORD.values()][-1]
    now = golden()
    differs = [name for name, found in on_record(nearest).items() if now.get(name) != found]
    advice = ADVICE.format(own=own, on_record=nearest, differs=", ".join(differs) or "nothing")
    assert (counts_as in known, differs) == (True, []), advice


def test_rows_lead_to_code_on_record_and_code_without_a_row_counts_as_itself() -> None:
    known = {path.stem for path in GOLDEN.iterdir()}
    assert set(ON_RECORD.values()) <= known
    assert not ON_RECORD.keys() & known
    former = StrategyCode({"strategies/lean.py": "0" * 64}, {"numpy": "1.0"})
    assert former.digest == former.own_digest == "1a8d79f09fe7", "what earlier versions wrote"


def test_code_that_decides_the_same_counts_as_the_one_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    moved, record = StrategyCode({"built-in strategies": "1"}), StrategyCode({"strategies/lean.py": "0"})
    assert moved.digest != record.digest
    monkeypatch.setattr(code_digest, "ON_RECORD", {moved.own_digest: record.own_digest})
    assert moved.digest == record.digest


if __name__ == "__main__":
    keep()
