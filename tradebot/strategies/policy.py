"""The learned policy: its inputs, and its fallback if its models can't decide. The models run in another process."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from tradebot.learning.ensemble import Combine, PolicyMode
from tradebot.learning.model_card import Card
from tradebot.learning.policy_decisions import MODEL, passing_decision
from tradebot.model.decision import Decision
from tradebot.model.limits import Frozen
from tradebot.model.series import width_of
from tradebot.model.struct_tools import replace
from tradebot.model.view import FeatureNeed, Needs, StrategyView, Target
from tradebot.strategies.futures import FuturesStrategy
from tradebot.strategies.futures_settings import FuturesSettings

Path = Annotated[str, Field(min_length=1, max_length=4096)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class PolicySettings(Frozen):
    """Which models act, and how.

    `folder` has the models, each in its own folder, and `public_key` is the signer's key, as tradebot model key shows
    it. In mode inference, one model acts. In mode ensemble, all of `models` act, combined as `combine` says. In mode
    meta, the model with the best results of the last `result_sessions` acts; it is chosen anew for each session. In
    mode training, no model acts, and none has to exist. In mode rule, the `rule` acts instead of the models. `results`
    is a file with the models' results since they were trained. `answer_ms` is the time limit of an answer. If the
    models can't decide, the `rule` does; without a rule, nothing is traded. The health check reports models older than
    `max_age_days`.
    """

    mode: PolicyMode = PolicyMode.INFERENCE
    folder: Path = "models"
    public_key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    models: Annotated[tuple[ModelName, ...], Field(max_length=10)] = ()
    combine: Combine = Combine.WEIGHTED
    result_sessions: Annotated[int, Field(ge=1, le=1000)] = 20
    results: Path | None = None
    rule: FuturesSettings | None = FuturesSettings()
    answer_ms: Annotated[int, Field(ge=1, le=60_000)] = 80
    max_behind_s: Annotated[int, Field(ge=1, le=864_000)] = 600
    max_age_days: Annotated[int, Field(ge=1, le=3650)] = 45

    @model_validator(mode="after")
    def _fit_together(self) -> "PolicySettings":
        count = len(self.models)
        if self.mode is PolicyMode.RULE and self.rule is None:
            raise ValueError("mode rule needs a rule")
        if self.mode in (PolicyMode.TRAINING, PolicyMode.RULE):
            return self
        if self.public_key is None:
            raise ValueError("public_key is missing: tradebot model key shows it")
        if len(set(self.models)) < count:
            raise ValueError("models lists a model twice")
        if self.mode is PolicyMode.INFERENCE and count != 1:
            raise ValueError(f"mode inference needs one model, but models lists {count}: use ensemble or meta")
        if self.mode in (PolicyMode.ENSEMBLE, PolicyMode.META) and count < 2:
            raise ValueError(f"mode {self.mode} needs several models, but models lists {count}")
        return self


USUAL = timedelta(minutes=5)


def needs_of(settings: PolicySettings, cards: Sequence[Card], rule: FuturesStrategy | None) -> Needs:
    """Return what the strategy reads: the features on the models' cards, and the bars of the fallback rule."""
    names = dict[str, dict[str, None]]()
    for card in cards:
        names.setdefault(card.timeframe, {}).update(dict.fromkeys(card.names))
    features = tuple(
        FeatureNeed(timeframe, tuple(each), max_age_s=settings.max_behind_s) for timeframe, each in names.items()
    )
    return Needs(bars=rule.needs.bars if rule else (), lots=True, features=features, situation=True)


def times_of(cards: Sequence[Card]) -> str:
    """Return when models decide: at each bar's close of the shortest timeframe, or every five minutes without bars."""
    widths = [width for card in cards if (width := width_of(card.timeframe))]
    minutes = min(widths, default=USUAL) // timedelta(minutes=1)
    return f"every {minutes}m from open+{minutes}m until close"


def fallback_targets(rule: FuturesStrategy | None, view: StrategyView, why: Decision) -> Sequence[Target] | Decision:
    """Return the rule's targets if the models are unavailable, with the reason; without a rule, only the reason."""
    if rule is None:
        return why
    noted = passing_decision(MODEL, why.reason, why.observed or "", why.limit)
    return [replace(target, decisions=(noted, *target.decisions)) for target in rule.propose(view)]
