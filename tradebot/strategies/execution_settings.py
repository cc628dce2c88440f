"""The execution section of the configuration: how entries are sent, for all strategies and for one."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from tradebot.model.limits import Frozen, Tighter
from tradebot.model.order import Execution, LastStep, Style

Patience = Annotated[int, Field(ge=1, le=3600)]
Steps = Annotated[int, Field(ge=0, le=20)]
Share = Annotated[Decimal, Field(gt=0, le=1000)]


class ExecutionSettings(Frozen):
    """How entries are sent; patience, steps and last step are about passive ones."""

    style: Annotated[Style, Tighter.SAME]
    patience_s: Annotated[Patience, Tighter.SAME]
    steps: Annotated[Steps, Tighter.SAME]
    last_step: Annotated[LastStep, Tighter.SAME]
    max_quote_share: Annotated[Share | None, Tighter.LOWER]
    fit_to_room: Annotated[bool, Tighter.SAME]


class OwnExecution(Frozen):
    """What a strategy has for itself; what isn't given is as the execution section says."""

    style: Annotated[Style | None, Tighter.SAME] = None
    patience_s: Annotated[Patience | None, Tighter.SAME] = None
    steps: Annotated[Steps | None, Tighter.SAME] = None
    last_step: Annotated[LastStep | None, Tighter.SAME] = None
    max_quote_share: Annotated[Share | None, Tighter.LOWER] = None
    fit_to_room: Annotated[bool | None, Tighter.SAME] = None


def in_force(common: ExecutionSettings, own: OwnExecution) -> Execution:
    given = {name: value for name, value in own if value is not None}
    return Execution(**{**dict(common), **given})


def contradictions(execution: Execution, where: str, entry_life_s: int) -> Iterator[str]:
    """Yield a scenario if a passive entry would be canceled as stale before its last step."""
    if execution.style is Style.PASSIVE and execution.patient_s >= entry_life_s:
        yield (
            f"{where}: {execution.steps} steps and the first price, {execution.patience_s} s each, take "
            f"{execution.patient_s} s, not less than limits.entry_life_s {entry_life_s}: the entry would be canceled "
            "before its last step; lower patience_s or steps, or raise limits.entry_life_s"
        )
