"""The strategies section of the configuration: which are in use, their settings, and the cost limits of plug-ins."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import ConfigDict, Field

from tradebot.limits import Frozen, Tighter
from tradebot.strategies.flow import FlowSettings
from tradebot.text import counted

STRATEGY_NAME = r"[a-z][a-z0-9_]{0,19}"


class StrategySettings(Frozen):
    """Each strategy's settings by name; None turns a strategy off. A plug-in validates its own settings."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, object] | None]

    flow: FlowSettings | None

    def in_use(self) -> Mapping[str, Mapping[str, object]]:
        """Return the settings to pass to the factory of each strategy in use, the built-in one first."""
        named = {"flow": self.flow.model_dump() if self.flow else None, **self.__pydantic_extra__}
        return {name: settings for name, settings in named.items() if settings is not None}

    def plugins(self) -> int:
        """Return how many plug-ins are in use; they are asked one after the other."""
        return len(self.in_use().keys() - {"flow"})

    def contradictions(self) -> Iterator[str]:
        """Yield a message for each inconsistency between the values."""
        if not self.in_use():
            yield "all strategies are off, so nothing would ever be proposed; to stop entries, use tradebot halt"
        for name in self.__pydantic_extra__:
            if not re.fullmatch(STRATEGY_NAME, name):
                yield f"strategies.{name}: a name has at most 20 lowercase letters, digits and _"


class PluginSettings(Frozen):
    """The limits on one plug-in call: seconds of real time, and mebibytes of address space."""

    timeout_s: Annotated[float, Field(gt=0, le=600), Tighter.LOWER]
    memory_mb: Annotated[int, Field(ge=128, le=1_048_576), Tighter.LOWER]

    def contradictions(self, plugins: int, max_candidate_age_s: int) -> Iterator[str]:
        """Yield a message if plug-ins that stay within their time could still answer too late."""
        longest_s = plugins * self.timeout_s
        if plugins and longest_s >= max_candidate_age_s:
            yield (
                f"{counted(plugins, 'plug-in')} may take {longest_s:g} s to answer, not less than "
                f"limits.max_candidate_age_s {max_candidate_age_s}: their candidates could expire before they are "
                "judged; lower plugins.timeout_s or raise limits.max_candidate_age_s"
            )
