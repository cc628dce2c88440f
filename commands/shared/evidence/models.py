"""Look at the models of learned policies, as health judges them. None is run."""

from typing import TYPE_CHECKING

from tradebot.adapters.models.folder import RefusedModelError
from tradebot.adapters.models.signing import require_extra
from tradebot.judging.component_health import ModelSeen, ModelsSeen
from tradebot.learning.ensemble import PolicyMode
from tradebot.learning.saying import in_a_word, stood_in
from tradebot.model.record import Job
from tradebot.strategies.policy_settings import PolicySettings
from tradebot.strategies.settings import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradebot.app.settings import Settings
    from tradebot.app.wiring import App


def has_policies(settings: "Settings") -> bool:
    return POLICY in settings.strategies.installed_as().values()


def models_of(app: "App") -> ModelsSeen:
    """Return each model that is to act, and what acted in its place in the last pass of entries."""
    require_extra("a policy")
    return ModelsSeen(tuple(_models(app.settings)), (*_in_training(app.settings), *_instead(app)))


def _in_training(settings: "Settings") -> "Iterator[str]":
    for name, own in _policies(settings):
        if own.mode is PolicyMode.TRAINING:
            yield f"{name} is set to training, and trades nothing"


def _policies(settings: "Settings") -> "Iterator[tuple[str, PolicySettings]]":
    sections = settings.strategies.in_use()
    for name, installed in settings.strategies.installed_as().items():
        if installed == POLICY:
            yield name, PolicySettings.model_validate(sections[name])


def _models(settings: "Settings") -> "Iterator[ModelSeen]":
    from tradebot.adapters.models.files import read_model
    from tradebot.app.policy import place_of

    for name, own in _policies(settings):
        place = place_of(own)
        for model in own.models:
            try:
                found = read_model(place.folder, model, place.public)
                yield ModelSeen(name, model, found.card.created_at, own.max_age_days)
            except RefusedModelError as refused:
                why = refused.decision
                yield ModelSeen(name, model, None, own.max_age_days, f"{why.reason} ({why.observed})")


def _instead(app: "App") -> "Iterator[str]":
    """Yield what acted in the last pass of entries; what is refused as a whole, the strategies are judged by."""
    if app.recorded is not None:
        for cycle in app.recorded.cycles(job=Job.TRADE_ONCE, last=1):
            yield from (in_a_word(name, why) for name, why in stood_in(cycle.candidates).items())
