"""The settings of learned policies: which models act, where they are, and the fallback."""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from tradebot.learning.ensemble import Combine, PolicyMode
from tradebot.model.limits import Frozen
from tradebot.strategies.futures_settings import FuturesSettings

Path = Annotated[str, Field(min_length=1, max_length=4096)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class PolicySettings(Frozen):
    """Which models act, and how.

    `folder` has the models, each in its own folder, and `public_key` is the signer's key, as tradebot model key shows
    it. In mode inference, one model acts; in mode ensemble, all of `models` act, combined as `combine` says; in mode
    meta, the model with the best results of the last `result_sessions` acts, chosen for each session; in mode training,
    none acts, and none has to exist; in mode rule, the `rule` acts in their place. `results` is a file with the models'
    results since they were trained. `answer_ms` is the time limit of an answer. If the models can't decide, the `rule`
    does; without a rule, nothing is traded. The health check reports models older than `max_age_days`.
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
