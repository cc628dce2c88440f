"""Define a search space: the settings and their ranges, the objectives, and how trials are judged.

A study's progress is defined here too, so that showing it needn't load its storage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import product
from math import exp, log, prod
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, Protocol

from msgspec import Struct
from pydantic import ConfigDict, Field, ValidationError, model_validator

from tradebot.adapters.text.yaml_edit import with_changed_value
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.baseline import effective
from tradebot.app.settings import Settings, validate
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.lab.selection.multiple_testing import Range, Value
from tradebot.lab.selection.objectives import OBJECTIVES
from tradebot.lab.selection.splits import SessionCut, SplitMethod
from tradebot.model.limits import Frozen
from tradebot.model.sentences import describe_validation_error, pluralize


class TrialCounts(Struct, frozen=True):
    """How many of a study's trials have run, are waiting or running, or were given up, and how many the settings loader
    refused.

    `few` is how many trials ran but were left out, because they had too few trades or lacked an objective.
    """

    played: int
    left: int
    refused: int
    few: int
    given_up: int


Values = Mapping[str, Value]

MOST_TRIALS = 100_000

MOST_CHOICES = 1_000

DRAWN = 100

"""How many drawn combinations are checked before the first trial runs."""

DIGITS = 4

"""The digits to which a value within a range is rounded; more would only fit noise."""

FIXED = frozenset({"mode", "venue", "universe", "sandbox", "backtest", "report", "tax", "serve"})

"""Settings of the market and of the run, which a search can't vary."""

EXPLAINED = "docs/SEARCH.md explains every line of a space"

Number = Annotated[int | Decimal, Field(allow_inf_nan=False)]


class SettingRange(Frozen):
    """The range of a setting, from `low` to `high`.

    With `step`, only these steps are tried. With `log`, values are spread evenly over orders of magnitude.
    """

    model_config = ConfigDict(populate_by_name=True)
    low: Number = Field(alias="from")
    high: Number = Field(alias="to")
    step: Annotated[int | Decimal, Field(gt=0)] | None = None
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> SettingRange:
        if self.low >= self.high:
            raise ValueError("from must be below to")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a range above zero, without a step")
        return self

    @property
    def whole(self) -> bool:
        """Return True if the ends and the step are whole numbers, so that only whole values are tried."""
        return all(isinstance(number, int) for number in (self.low, self.high, 1 if self.step is None else self.step))

    @property
    def step_values(self) -> Sequence[int | Decimal] | None:
        """Return all values of a range that has steps or whole numbers; None for any other range."""
        step = self.step or (1 if self.whole and not self.log else None)
        if step is None or (self.high - self.low) / Decimal(step) > MOST_CHOICES:
            return None
        return [self.low + index * step for index in range(int((self.high - self.low) / Decimal(step)) + 1)]


Choices = Annotated[list[bool | int | Decimal | str], Field(min_length=1, max_length=MOST_CHOICES)]


class JudgedParts(Frozen):
    """How trials are judged: the number of `parts` and, in cross-validation, how many parts are held out at a time."""

    by: SplitMethod = SplitMethod.WALK_FORWARD
    parts: Annotated[int, Field(ge=2, le=20)] = 5
    judged: Annotated[int, Field(ge=1, le=5)] = 2

    @model_validator(mode="after")
    def _leaves_some(self) -> JudgedParts:
        if self.by is SplitMethod.CROSS_VALIDATION and self.judged * 2 > self.parts:
            raise ValueError("at most half of the parts can be judged at once")
        return self


class Space(Frozen):
    """A search's definition, as in its file."""

    settings: Annotated[dict[str, SettingRange | Choices], Field(min_length=1, max_length=20)]
    objectives: Annotated[tuple[str, ...], Field(min_length=1, max_length=4)] = ("sharpe",)
    sampler: Literal["tpe", "random", "grid"] = "random"
    trials: Annotated[int, Field(ge=2, le=MOST_TRIALS)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    min_trades: Annotated[int, Field(ge=1)] = 30
    judge: JudgedParts = JudgedParts()

    @model_validator(mode="after")
    def _fits(self) -> Space:
        unknown = [name for name in self.objectives if name not in OBJECTIVES]
        if unknown or len({*self.objectives}) < len(self.objectives):
            raise ValueError(f"objectives must differ, and each must be one of {', '.join(OBJECTIVES)}")
        if self.sampler == "tpe" and self.judge.by is SplitMethod.CROSS_VALIDATION:
            # With tpe, every session would influence what it tries, so none could test the result.
            raise ValueError("tpe learns from all trials, so cpcv can't judge it: use sampler: random, or walk-forward")
        if self.sampler == "grid":
            if open_ends := [name for name, setting in self.settings.items() if _all_of(setting) is None]:
                raise ValueError(f"a grid needs steps or choices, but there are none for {', '.join(open_ends)}")
            if (count := self.grid_size) > MOST_TRIALS:
                raise ValueError(f"this grid has {count:,} points, and at most {MOST_TRIALS:,} can be played")
        return self

    @property
    def grid_size(self) -> int:
        return prod(len(_all_of(setting) or ()) for setting in self.settings.values())

    @property
    def total(self) -> int:
        """Return how many trials to run.

        A grid runs all its points, but no more than `trials` or, if that isn't set, MOST_TRIALS. Any other sampler runs
        `trials`, or 100 by default.
        """
        return min(self.grid_size, self.trials or MOST_TRIALS) if self.sampler == "grid" else self.trials or 100

    @property
    def learns(self) -> bool:
        return self.sampler == "tpe"

    @property
    def cut(self) -> SessionCut:
        return SessionCut(self.judge.by, self.judge.parts, self.judge.judged)

    @property
    def ranges(self) -> Mapping[str, Range]:
        return {name: _range(choices) for name, choices in self.settings.items()}

    def draw(self, count: int) -> Iterator[Values]:
        """Yield this many combinations, drawn uniformly with the space's seed."""
        chance = Random(self.seed)  # noqa: S311 - replayable
        for _ in range(count):
            yield {name: _draw_value(choices, chance) for name, choices in self.settings.items()}

    def grid(self) -> Iterator[Values]:
        """Yield every combination known before the first trial; yield nothing if the sampler learns from results."""
        if self.sampler == "grid":
            every = product(*map(_choices, self.settings.values()))
            everything = [dict(zip(self.settings, point, strict=True)) for point in every]
            if self.total < len(everything):
                # Trials left out of a grid are chosen at random, not from its end.
                Random(self.seed).shuffle(everything)  # noqa: S311 - replayable
            yield from everything[: self.total]
        elif self.sampler == "random":
            yield from self.draw(self.total)


def plain_value(value: int | Decimal | str | bool) -> Value:
    return float(value) if isinstance(value, Decimal) else value


def round_value(value: Value) -> Value:
    """Round a value to its significant digits."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _all_of(choices: SettingRange | Sequence[Any]) -> Sequence[Any] | None:
    return choices.step_values if isinstance(choices, SettingRange) else choices


def _choices(choices: SettingRange | Sequence[Any]) -> Sequence[Value]:
    return [plain_value(value) for value in _all_of(choices) or ()]


def _range(between: SettingRange | Sequence[Any]) -> Range:
    return Range(float(between.low), float(between.high), between.log) if isinstance(between, SettingRange) else Range()


def _draw_value(choices: SettingRange | Sequence[Any], chance: Random) -> Value:
    if values := _choices(choices):
        return chance.choice(values)
    assert isinstance(choices, SettingRange), "a list of choices can't be empty"
    low, high = float(choices.low), float(choices.high)
    drawn = exp(chance.uniform(log(low), log(high))) if choices.log else chance.uniform(low, high)
    return (
        min(max(round(drawn), int(low)), int(high)) if choices.whole else min(max(float(round_value(drawn)), low), high)
    )


def read_space(path: Path) -> Space:
    """Read a space from a file; raise OperatorError without a file, ConfigurationError naming each invalid line."""
    if not path.is_file():
        raise OperatorError(f"there is no space {path}", f"write one: {EXPLAINED}")
    try:
        return Space.model_validate(load_yaml(path))
    except ValidationError as bad:
        lines = dict.fromkeys(_sentence(error) for error in bad.errors())
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in lines), EXPLAINED) from None


def _sentence(error: Any) -> str:
    kinds = ("Between", "list", "function-after")
    path = ".".join(str(part) for part in error["loc"] if not str(part).startswith(kinds) and part != "[key]")
    if error["type"] == "extra_forbidden":
        return f"{path}: a space has no such key"
    return f"{path}: {describe_validation_error(error)}" if path else describe_validation_error(error)


class CheckedSpace(Protocol):
    """A space that can validate a combination of values; `source` is where the space is written."""

    @property
    def space(self) -> Space: ...

    @property
    def source(self) -> str: ...

    def with_values(self, values: Values) -> object:
        """Return the object built with these values; raise ConfigurationError if they aren't valid together."""


class Spaced(Struct, frozen=True):
    """A space of a bot's settings, validated by the settings' loader."""

    space: Space
    settings: Settings
    source: str

    def with_values(self, values: Values) -> Settings:
        """Return the settings with these values; raise ConfigurationError if the loader or the check for contradictions
        refuses them.
        """
        merged: Mapping[str, object] = effective(self.settings)
        for name, value in values.items():
            exact = Decimal(str(round_value(value))) if isinstance(value, float) else value
            merged = with_changed_value(merged, name.split("."), exact)
        return validate(merged, dict.fromkeys(values, self.source))


class SpaceChecked(Struct, frozen=True):
    """How many drawn combinations the loader refuses because their values contradict each other, and the loader's
    message.
    """

    drawn: int
    refused: int
    why: str


def check(spaced: CheckedSpace) -> SpaceChecked:
    """Check a space before anything runs: each setting's bounds and choices, and some drawn combinations.

    Raise ConfigurationError, with the reason, for a setting that a search can't vary. Raise it too if a choice, or an
    end of a range, is invalid in each of the first ten drawn combinations, or if no drawn combination is valid.
    """
    space = spaced.space
    for name in space.settings:
        if (section := name.split(".")[0]) in FIXED:
            raise ConfigurationError(
                f"{name} ({spaced.source}) belongs to the market or the run, so a search can't vary it",
                f"remove it from the space, and set {section} in your configuration or by an option",
            )
    combinations = [*space.draw(DRAWN)]
    for name, choices in space.settings.items():
        ends = (choices.low, choices.high) if isinstance(choices, SettingRange) else choices
        for value in ends:
            _require_valid(spaced, name, plain_value(value), combinations[:10])
    refusals = [why for values in combinations if (why := _refusal(spaced, values)) is not None]
    if len(refusals) == len(combinations):
        raise ConfigurationError(
            f"none of {pluralize(DRAWN, 'drawn combination')} of values is valid; the first: {refusals[0].message}",
            f"correct {spaced.source}, then search again",
        )
    return SpaceChecked(len(combinations), len(refusals), refusals[0].message if refusals else "")


def _require_valid(spaced: CheckedSpace, name: str, value: Value, others: Sequence[Values]) -> None:
    first = _refusal(spaced, {name: value})
    if first is not None and all(_refusal(spaced, {**other, name: value}) for other in others):
        raise ConfigurationError(first.message, f"correct {spaced.source}, then search again")


def _refusal(spaced: CheckedSpace, values: Values) -> ConfigurationError | None:
    try:
        spaced.with_values(values)
    except ConfigurationError as refused:
        return refused
    return None
