"""The strategies section of the configuration: which are in use, their settings, and the resource limits of plug-ins.

The costs and execution sections are here too: each applies to all strategies, and a strategy may have its own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from tradebot.exits.rules import ExitList, Exits, parse
from tradebot.model.costs import CostModel
from tradebot.model.limits import (
    ApprovalRules,
    DisplacementRules,
    Fraction,
    Frozen,
    OwnLimits,
    Seconds,
    TargetBounds,
    Tighter,
)
from tradebot.model.order import Execution, LastStep, Style
from tradebot.model.sentences import NAME_PATTERN, pluralize
from tradebot.strategies.flow_settings import FlowSettings

Bps = Annotated[Decimal, Field(ge=0, le=1000)]


class AssumedCosts(Frozen):
    """Assumed costs; the higher they are, the fewer entries are worth their cost."""

    taker_bps: Annotated[Bps, Tighter.HIGHER]
    maker_bps: Annotated[Bps, Tighter.HIGHER]
    slippage_bps: Annotated[Bps, Tighter.HIGHER]
    funding_day_bps: Annotated[Bps | None, Tighter.HIGHER]
    hold_s: Annotated[Seconds | None, Tighter.HIGHER]

    @property
    def model(self) -> CostModel:
        """Return these assumptions as a cost model."""
        return CostModel(**dict(self))


Patience = Annotated[int, Field(ge=1, le=3600)]
Steps = Annotated[int, Field(ge=0, le=20)]
Share = Annotated[Decimal, Field(gt=0, le=1000)]


class ExecutionSettings(Frozen):
    """How entries are sent; patience, steps and last step apply only to passive entries."""

    style: Annotated[Style, Tighter.SAME]
    patience_s: Annotated[Patience, Tighter.SAME]
    steps: Annotated[Steps, Tighter.SAME]
    last_step: Annotated[LastStep, Tighter.SAME]
    max_quote_share: Annotated[Share | None, Tighter.LOWER]
    fit_to_room: Annotated[bool, Tighter.SAME]


class OwnExecution(Frozen):
    """A strategy's own execution settings; None means the value in the execution section."""

    style: Annotated[Style | None, Tighter.SAME] = None
    patience_s: Annotated[Patience | None, Tighter.SAME] = None
    steps: Annotated[Steps | None, Tighter.SAME] = None
    last_step: Annotated[LastStep | None, Tighter.SAME] = None
    max_quote_share: Annotated[Share | None, Tighter.LOWER] = None
    fit_to_room: Annotated[bool | None, Tighter.SAME] = None


def execution_in_force(common: ExecutionSettings, own: OwnExecution) -> Execution:
    own_values = {name: value for name, value in own if value is not None}
    return Execution(**{**dict(common), **own_values})


def execution_contradictions(execution: Execution, where: str, entry_life_s: int) -> Iterator[str]:
    """Yield a message if a passive entry would be canceled as stale before its last step."""
    if execution.style is Style.PASSIVE and execution.patient_s >= entry_life_s:
        yield (
            f"{where}: {execution.steps} steps and the first price, {execution.patience_s} s each, take "
            f"{execution.patient_s} s, not less than limits.entry_life_s {entry_life_s}: the entry would be canceled "
            "before its last step; lower patience_s or steps, or raise limits.entry_life_s"
        )


STRATEGY_NAME = r"[a-z][a-z0-9_]{0,19}"
BUILT_IN = frozenset({"flow", "futures", "rotation", "smart_money"})
"""The strategies that ship with the bot, and run in its process."""
POLICY = "policy"
"""The strategy that ships with the bot and runs its models in a separate process, with their own time limit."""
UNTIL_PROMOTED = "until_promoted"
Symbol = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class CoreSettings(Frozen):
    """The settings of a strategy's section that the core reads; the strategy itself never sees them.

    `strategy` is the name of an installed strategy, by default the section's name. Without a universe, the bot's is
    used. Without `times`, the times in the strategy's code apply. Strategies without an allotment share what the others
    leave. Without exits, the account's are used; an empty list means none. Without `displacement`, `approval` or
    `costs`, the account's are used. `wants` is the maximum of its targets, which is checked against the limits before
    it runs, and against its answers. If `auction` is true, it takes part in the account's auction instead of
    displacing. In `shadow`, its entries aren't sent but simulated separately; with "until_promoted", that ends once it
    is promoted to paper. `evaluation` is the file with the results of a learned policy, which its promotion also needs.
    """

    strategy: Annotated[str | None, Tighter.SAME] = None
    universe: Annotated[list[Symbol] | None, Field(min_length=1, max_length=5000), Tighter.FEWER] = None
    times: Annotated[str | None, Tighter.SAME] = None
    # A smaller allotment isn't tighter, because strategies without one share the remainder.
    allotment_fraction: Annotated[Fraction | None, Tighter.SAME] = None
    # A default without validation saves building a validator for it at each start.
    limits: OwnLimits = OwnLimits.model_construct()
    exits: Annotated[ExitList | None, Tighter.SAME] = None
    execution: OwnExecution = OwnExecution.model_construct()
    displacement: DisplacementRules | None = None
    auction: Annotated[bool | None, Tighter.SAME] = None
    approval: ApprovalRules | None = None
    wants: TargetBounds | None = None
    costs: AssumedCosts | None = None
    shadow: Annotated[Literal[True, False, "until_promoted"], Tighter.HIGHER] = False
    evaluation: Annotated[str | None, Field(min_length=1, max_length=4096), Tighter.SAME] = None


CORE_KEYS = frozenset(CoreSettings.model_fields)
"""The keys of a strategy's section that aren't passed to its factory."""


class FlowSection(FlowSettings, CoreSettings):
    """The section of the built-in flow strategy, or of a replacement with the same settings."""


class PluginSection(CoreSettings):
    """The section of a plug-in, which validates its own settings.

    `files` are the files that it may read besides its package: full paths, or relative to the folder that the bot is
    started in. The plug-in gets their full paths as a setting.
    """

    model_config = ConfigDict(extra="allow")

    files: Annotated[list[str] | None, Field(min_length=1, max_length=100), Tighter.SAME] = None


class StrategySettings(Frozen):
    """Each strategy's section by name; None turns a strategy off."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, PluginSection | None]

    flow: FlowSection | None

    def sections(self) -> Mapping[str, CoreSettings]:
        named: dict[str, CoreSettings | None] = {"flow": self.flow, **self.__pydantic_extra__}
        return {name: section for name, section in named.items() if section is not None}

    def in_use(self) -> Mapping[str, Mapping[str, object]]:
        """Return the settings to pass to the factory of each strategy in use, the built-in ones first.

        Of the core's settings only a plug-in's files are passed, if set.
        """
        return {
            name: {
                key: dict(value) if isinstance(value, Frozen) else value
                for key, value in section
                if key not in CORE_KEYS and (key, value) != ("files", None)
            }
            for name, section in self.sections().items()
        }

    def installed_as(self) -> Mapping[str, str]:
        """Return the name under which each strategy in use is installed; several may use the same one."""
        return {name: section.strategy or name for name, section in self.sections().items()}

    def allotments(self) -> Mapping[str, Decimal]:
        """Return the share of the account's equity that each strategy in use has as its allotment."""
        fraction_by_strategy = {name: section.allotment_fraction for name, section in self.sections().items()}
        fixed = {name: fraction for name, fraction in fraction_by_strategy.items() if fraction is not None}
        trading = fraction_by_strategy.keys() - self.in_shadow()
        taken = sum((fraction for name, fraction in fixed.items() if name in trading), Decimal(0))
        sharing = max(sum(name not in fixed for name in trading), 1)
        share = max(1 - taken, Decimal(0)) / sharing
        # A simulated strategy takes nothing from the others, so its size is that of its section, or an equal part.
        parts = {
            name: share if name in trading else 1 / Decimal(len(fraction_by_strategy)) for name in fraction_by_strategy
        }
        return {**parts, **fixed}

    def in_shadow(self) -> frozenset[str]:
        """Return the strategies that are in shadow whatever their rung, as their section says `shadow: true`."""
        return frozenset(name for name, section in self.sections().items() if section.shadow is True)

    def until_promoted(self) -> frozenset[str]:
        """Return the strategies that are in shadow until they are promoted; they get allotments as if they were
        trading.
        """
        return frozenset(name for name, section in self.sections().items() if section.shadow == UNTIL_PROMOTED)

    def own_exits(self) -> Mapping[str, Exits]:
        return {name: parse(section.exits) for name, section in self.sections().items() if section.exits is not None}

    def plugins(self) -> int:
        """Return how many plug-ins are in use; they run one after the other."""
        return sum(installed not in {*BUILT_IN, POLICY} for installed in self.installed_as().values())

    def contradictions(self, universe: Sequence[str]) -> Iterator[str]:
        """Yield a message for each inconsistency between the values."""
        if not self.sections():
            yield "all strategies are off, so nothing would ever be proposed; to stop entries, use tradebot halt"
        for name in self.__pydantic_extra__:
            if not re.fullmatch(STRATEGY_NAME, name):
                yield f"strategies.{name}: a name has at most 20 lowercase letters, digits and _"
        for name, installed in self.installed_as().items():
            if installed == "flow" != name:
                yield f"strategies.{name}.strategy: flow can be used once, as strategies.flow, which the core reads too"
        yield from self._universes(universe)
        yield from self._shares()

    def _universes(self, universe: Sequence[str]) -> Iterator[str]:
        for name, section in self.sections().items():
            own = section.universe or []
            outside = [symbol for symbol in own if symbol not in universe]
            if outside:
                yield (
                    f"strategies.{name}.universe has {', '.join(outside[:5])}, and universe doesn't: the bot reads "
                    "prices only for the symbols of universe, so add them there too"
                )
            for symbol in sorted({symbol for symbol in own if own.count(symbol) > 1}):
                yield f"strategies.{name}.universe lists {symbol} twice: it would be scored and limited twice"

    def _shares(self) -> Iterator[str]:
        sections = {name: section for name, section in self.sections().items() if section.shadow is not True}
        fractions = {name: section.allotment_fraction for name, section in sections.items()}
        total = sum((fraction for fraction in fractions.values() if fraction is not None), Decimal(0))
        shares = ", ".join(f"{name} {fraction:f}" for name, fraction in fractions.items() if fraction is not None)
        sharing = [name for name, fraction in fractions.items() if fraction is None]
        if total > 1:
            yield (
                f"allotment_fraction adds up to {total:f} ({shares}), more than 1: together, the strategies would "
                "trade with more equity than the account has"
            )
        elif total == 1 and sharing:
            yield (
                f"allotment_fraction adds up to 1 ({shares}), so nothing is left for {', '.join(sharing)}: "
                "give it an allotment_fraction too, or set it to null"
            )


class PluginSettings(Frozen):
    """The limits on one plug-in call: seconds of real time, and mebibytes of address space."""

    timeout_s: Annotated[float, Field(gt=0, le=600), Tighter.LOWER]
    memory_mb: Annotated[int, Field(ge=128, le=1_048_576), Tighter.LOWER]

    def contradictions(self, plugins: int, max_candidate_age_s: int) -> Iterator[str]:
        """Yield a message if all plug-ins together, each within its time limit, could take longer than a candidate may
        be old.
        """
        longest_s = plugins * self.timeout_s
        if plugins and longest_s >= max_candidate_age_s:
            yield (
                f"{pluralize(plugins, 'plug-in')} may take {longest_s:g} s to answer, but "
                f"limits.max_candidate_age_s is {max_candidate_age_s}: their candidates could expire before they "
                "are evaluated; lower plugins.timeout_s or raise limits.max_candidate_age_s"
            )
