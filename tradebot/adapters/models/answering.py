"""Answer for learned models; all of this runs in their confined process, which is asked as that of a plug-in is."""

from collections.abc import Mapping, Sequence
from typing import Any

from tradebot.adapters.models.loaded import loaded_from
from tradebot.adapters.models.running import member_of, self_test
from tradebot.learning.acting import Member, Policy
from tradebot.learning.card import Model
from tradebot.model.decision import Decision
from tradebot.model.view import NOTHING, StrategyView, Want


class ModelsStrategy:
    """Runs models. They are tested with their stored observations before they see anything else."""

    name, times, needs = "models", "", NOTHING

    def __init__(self, settings: Mapping[str, Any]) -> None:
        models, acting = loaded_from(settings)
        found = [_tested(model) for model in models]
        self._failed = next((one for one in found if isinstance(one, Decision)), None)
        self._policy = Policy(acting, [one for one in found if isinstance(one, Member)])

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        """Return a target for each symbol, or why there is none; without any symbol, whether the models work."""
        if self._failed is not None:
            return self._failed
        return self._policy.targets(view) if view.universe else ()


def _tested(model: Model) -> Member | Decision:
    member = member_of(model)
    return member if isinstance(member, Decision) else self_test(member, model) or member
