"""Errors, and how they get from one process to another."""

import pickle
from pathlib import Path

import pytest

from tradebot.adapters.models.model_folder import RefusedDraftError, RefusedModelError
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.model.reasons import Reason


@pytest.mark.parametrize(
    "error",
    [
        OperatorError("what", "next", code=ExitCode.REFUSED),
        RefusedModelError(Reason.MODEL_CHANGED, "m", "why"),
        RefusedDraftError(Path("draft"), Reason.MODEL_SLOW, "no answer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_of_another_process_is_raised_here_as_it_was(error: TradebotError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
