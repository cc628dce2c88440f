"""What is judged is what the account did; a model that fails is no model that earned nothing."""

from datetime import date
from pathlib import Path

import pytest

from tests.kit.fakes.networks import Signed as Keys
from tests.kit.fakes.networks import constant
from tests.lab.learning.test_environment import plan
from tradebot.errors import OperatorError
from tradebot.lab.learning.training.training_rows import EVERY, SessionRange
from tradebot.lab.learning.walking.evaluation import Signed, judged_model


def keys(place: Path) -> tuple[Keys, Signed]:
    made = Keys(place)
    return made, Signed(made.folder, made.public)


def test_model_that_holds_earns_what_holding_does(tmp_path: Path) -> None:
    made, signed = keys(tmp_path)
    found = judged_model(plan(), "policy", signed, made.write(constant([0.5])), EVERY)
    assert (found.sessions, found.trades) == ((date(2026, 11, 16),), 0)
    # A commission and a tick, once more.
    assert found.returns[0] - found.doubled[0] == pytest.approx((0.62 + 1.25) / 100_000, abs=1e-9)
    assert found.returns[0] != 0


def test_model_that_does_not_answer_is_told_and_nothing_is_said_of_it(tmp_path: Path) -> None:
    made, signed = keys(tmp_path)
    model = made.write(constant([0.5]))
    (made.folder / model / "model.onnx").write_bytes(b"changed")
    with pytest.raises(OperatorError, match=r"didn't answer at 2026-11-1\d .*MODEL_"):
        judged_model(plan(), "policy", signed, model, EVERY)


def test_sessions_that_the_market_lacks_are_refused(tmp_path: Path) -> None:
    made, signed = keys(tmp_path)
    late = SessionRange(date(2026, 12, 1), date(2026, 12, 2))
    with pytest.raises(OperatorError, match="no session of the market"):
        judged_model(plan(), "policy", signed, made.write(constant([0.5])), late)
