"""The configuration's section of strategies: which are in use, what each is told, what a plug-in may cost."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import ConfigDict, Field

from tradebot.limits import Frozen, Tighter
from tradebot.model.candidate import ComponentName
from tradebot.strategies.flow import FlowSettings

STRATEGY_NAME = r"[a-z][a-z0-9_]{0,19}"


class StrategySettings(Frozen):
    """The strategies in use, by name, each with its settings; None is off. A plug-in checks its own settings."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, object] | None]

    flow: FlowSettings | None

    def in_use(self) -> Mapping[str, Mapping[str, object]]:
        """Return the settings that each strategy's factory is handed, the built-in first."""
        named = {"flow": self.flow.model_dump() if self.flow else None, **self.__pydantic_extra__}
        return {name: settings for name, settings in named.items() if settings is not None}

    def contradictions(self) -> Iterator[str]:
        """Yield what is wrong between the values."""
        unweighted = set(ComponentName) - set(self.flow.weights) if self.flow else set()
        if unweighted:
            yield f"strategies.flow.weights lacks {', '.join(sorted(unweighted))}"
        if not self.in_use():
            yield "strategies are all off: nothing would ever be proposed; tradebot halt is how entries are stopped"
        for name in self.__pydantic_extra__:
            if not re.fullmatch(STRATEGY_NAME, name):
                yield f"strategies.{name}: a name is lower-case letters, digits and _, at most 20"


class PluginSettings(Frozen):
    """What one answer of a plug-in may cost: real seconds, and mebibytes of address space."""

    timeout_s: Annotated[float, Field(gt=0, le=600), Tighter.LOWER]
    memory_mb: Annotated[int, Field(ge=128, le=1_048_576), Tighter.LOWER]
