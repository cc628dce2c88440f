"""Define the strategy `policy`: learned models in a separate process, and a fallback rule if they are unavailable."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tradebot.adapters.models.process import ModelLocation, ModelProcess
from tradebot.adapters.models.signing import require_extra
from tradebot.adapters.plugins.plugin import PluginEnvironment
from tradebot.learning.ensemble import PolicyMode
from tradebot.learning.inference import ModelSelection
from tradebot.learning.model_card import Card
from tradebot.learning.policy_decisions import refusal
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.view import Needs, StrategyView, Target
from tradebot.strategies.futures import FuturesStrategy
from tradebot.strategies.policy import PolicySettings, fallback_targets, needs_of, times_of


class PolicyStrategy(ModelProcess):
    """Proposes the models' target for each contract with complete features."""

    surrounded = True
    """It needs the plug-ins' environment, because its models run in the same kind of process."""

    def __init__(self, settings: Mapping[str, object], surroundings: PluginEnvironment, name: str) -> None:
        """Read the settings; raise OperatorError without the extra that models need."""
        require_extra(f"strategies.{name}")
        self._settings = PolicySettings.model_validate(settings)
        acting = ModelSelection(self._settings.mode, self._settings.combine, self._settings.result_sessions, {})
        model_location = model_storage(self._settings)
        if surroundings.noted is not None:
            noted = None if name in surroundings.promoted_only else surroundings.noted
            model_location = replace(model_location, noted=noted, answer_ms=self._settings.answer_ms)
        super().__init__(model_location, acting, surroundings, name)
        rule = self._settings.rule
        self._rule = None if rule is None else FuturesStrategy(dict(rule))

    @property
    def needs(self) -> Needs:
        """Return the data that the models and the fallback rule need."""
        return needs_of(self._settings, self._cards(), self._rule)

    @property
    def times(self) -> str:
        """Return when the strategy runs: at the close of each of its models' bars, as in training."""
        return times_of(self._cards())

    def _cards(self) -> Sequence[Card]:
        models = () if self._settings.mode is PolicyMode.RULE else self.models()
        return () if isinstance(models, Decision) else [model.card for model in models]

    def propose(self, view: StrategyView) -> Sequence[Target] | Decision:
        """Return a target for each symbol: the models' target, or the fallback rule's with the reason."""
        if self._settings.mode is PolicyMode.TRAINING:
            return refusal(Reason.MODEL_TRAINING, "mode training")
        if self._settings.mode is PolicyMode.RULE:
            return fallback_targets(self._rule, view, refusal(Reason.MODEL_RETIRED, "mode rule"))
        targets = self.answer(view)
        return fallback_targets(self._rule, view, targets) if isinstance(targets, Decision) else targets


def model_storage(settings: PolicySettings) -> ModelLocation:
    """Return the location of the models in the settings, with absolute paths."""
    results = None if settings.results is None else _full(settings.results)
    return ModelLocation(_full(settings.folder), settings.public_key or "", settings.models, results=results)


def _full(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))
