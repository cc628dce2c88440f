"""Try a model once in its confined process: test it with its stored observations, and measure how long it takes."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.models.process import ModelLocation, ModelProcess
from tradebot.adapters.plugins.plugin import PluginEnvironment
from tradebot.learning.acting import ModelSelection
from tradebot.learning.card import Model
from tradebot.learning.ensemble import Combine, PolicyMode
from tradebot.model.bar import Session
from tradebot.model.decision import Decision
from tradebot.model.view import FeatureRow, Situation, StrategyView

ASKED = 50
"""How often a model is asked to measure how long it takes."""
ANY = "ANY"
"""The symbol that it is asked about."""


class Took(NamedTuple):
    """The time a model's answers took in milliseconds: the median and the maximum."""

    usual_ms: float
    longest_ms: float


def self_test(model: Model, surroundings: PluginEnvironment) -> Took | Decision:
    """Return how long a model's answers take, or why it can't be used."""
    place = ModelLocation(Path(), "", (model.id,))
    process = ModelProcess(
        place, ModelSelection(PolicyMode.INFERENCE, Combine.MAJORITY, 1, {}), surroundings, "models", (model,)
    )
    try:
        view, took = _view(model), list[float]()
        # The first answer waits for the start.
        for _ in range(ASKED + 1):
            began = time.perf_counter()
            found = process.answer(view)
            if isinstance(found, Decision):
                return found
            took.append((time.perf_counter() - began) * 1000)
    finally:
        process.close()
    took = sorted(took[1:])
    return Took(took[ASKED // 2], took[-1])


def _view(model: Model) -> StrategyView:
    """Return a view with the usual value of each feature, at the open of a session."""
    now = datetime.now(UTC)
    session = Session(now.date(), now, now + timedelta(hours=1))
    card, money = model.card, Decimal(100_000)
    values = dict(zip(card.names, model.scaling.means, strict=True))
    row = {(ANY, card.timeframe): FeatureRow(now, values)}
    return StrategyView(now, (ANY,), features=row, situation=Situation(session, money, money, {}, 0))
