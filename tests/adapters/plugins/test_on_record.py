"""Promotions, passes and backtests on record outlive code that decides the same, and no code that decides otherwise."""

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
import pytest

from tests.kit.signals.series import full
from tests.kit.strategies import view
from tests.kit.values import NOW
from tests.strategies import test_flow, test_futures, test_rotation
from tradebot.adapters.plugins import code
from tradebot.adapters.plugins.code import Code, built_in_code
from tradebot.adapters.plugins.on_record import ON_RECORD
from tradebot.learning.answers import Answer
from tradebot.learning.ensemble import Combine, combined
from tradebot.model.instrument import Right
from tradebot.model.view import StrategyView
from tradebot.replaying.writing import plain
from tradebot.signals.features import columns, features
from tradebot.strategies.flow import FlowStrategy
from tradebot.strategies.futures import FuturesStrategy
from tradebot.strategies.rotation import RotationStrategy
from tradebot.strategies.smart_money.strategy import SmartMoneyStrategy

GOLDEN = {"b46e759fc69f": "000aa70413ef"}
"""What code on record answers, by its digest."""
ADVICE = """The code of the built-in strategies is new to this table: with it, each promotion of theirs would lapse, and
their time on paper begin anew.
  If it decides as before, no other test of strategies, signals and learning changes either, and it answers as code on
  record does ({matches}): add the row
    "{own}": "{matches}", to ON_RECORD in tradebot/adapters/plugins/on_record.py.
  If it is meant to decide otherwise, add the row
    "{own}": "{golden}", to GOLDEN here, and say in CHANGELOG.md that promotions have to be made again."""


def answers() -> Iterator[object]:
    """Yield features, scores and wants of the built-in strategies in a world that never changes."""
    frame = full(3)
    yield [[name, *map(float, np.asarray(values)[-9:])] for name, values in columns(frame, features()).items()]
    for right in (Right.CALL, Right.PUT):
        seen = StrategyView(NOW, ["AAPL"], {"AAPL": test_flow.full(right)}, test_flow.tide(right))
        yield FlowStrategy(test_flow.SETTINGS).propose(seen)
    for closes in (test_futures.RISING, test_futures.wave([100.6, 100.7, 100.2, 100.4])):
        yield FuturesStrategy({}).propose(test_futures.view({"ESZ6": closes}))
    for returns in ((0.1, 0.3, 0.2, 0.0), (-0.1, -0.2, -0.3, -0.4)):
        yield RotationStrategy(test_rotation.SETTINGS).propose(test_rotation.view(test_rotation.rising(*returns)))
    yield SmartMoneyStrategy({}).propose(view(range(16, 20)))
    for how in Combine:
        yield combined(how, [Answer(1.25, 0.5), Answer(-0.5, 0.25), Answer(2.0, 0.75)], [1.0, 0.5, 0.25])


def flat(value: object) -> str:
    """Return a value as text: floats to the digits in which machines agree."""
    if isinstance(value, list):
        return f"[{','.join(map(flat, value))}]"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def test_code_of_today_answers_as_the_code_that_it_counts_as() -> None:
    own, golden = built_in_code().own_digest, sha256(flat(plain([*answers()])).encode()).hexdigest()[:12]
    counts_as = built_in_code().digest
    alike = next((name for name, one in GOLDEN.items() if one == golden), "none")
    assert GOLDEN.get(counts_as) == golden, ADVICE.format(own=own, matches=alike, golden=golden)


def test_rows_lead_to_code_on_record_and_code_without_a_row_counts_as_itself() -> None:
    assert set(ON_RECORD.values()) <= GOLDEN.keys()
    assert not ON_RECORD.keys() & GOLDEN.keys()
    former = Code({"strategies/lean.py": "0" * 64}, {"numpy": "1.0"})
    assert former.digest == former.own_digest == "1a8d79f09fe7", "what earlier versions wrote"


def test_code_that_decides_the_same_counts_as_the_one_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    moved, record = Code({"built-in strategies": "1"}), Code({"strategies/lean.py": "0"})
    assert moved.digest != record.digest
    monkeypatch.setattr(code, "ON_RECORD", {moved.own_digest: record.own_digest})
    assert moved.digest == record.digest
