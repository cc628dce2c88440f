"""List a configuration's thresholds: the settings that a check reads, and the values that each setting can take.

The values are numbers that a user would type, such as 0.034 and 5300, but not 0.0333333. Apart from zeros and the
decimal point, each number is one from 30 to 299, so neighbors differ by at most about three percent. All whole numbers
up to 299 are included.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from msgspec import Struct
from pydantic.fields import FieldInfo

from tradebot.adapters.plugins.plugin import installed_strategies
from tradebot.app.settings_schema import Sections
from tradebot.gates.evaluation import READS
from tradebot.gates.gate_declarations import NOTHING, SIZED, SWITCH, GateSettings
from tradebot.model.decision import Gate
from tradebot.model.limits import NESTED, OF_EQUITY, OPTIONAL_OF_EQUITY, Frozen, Tighter
from tradebot.ports.strategy import RefilteringStrategy
from tradebot.strategies.settings import BUILT_IN

FEWEST, MOST = 30, 300

"""The significant digits of numbers are from FEWEST to below MOST in each decade."""

DECADE = MOST - FEWEST

SMALLEST = -9

"""The decade of the smallest fractions; the only smaller number is zero."""

ZERO = Decimal(0)


class Scale(Struct, frozen=True):
    """The numbers that a setting can take, in order, each with an index; with `whole`, only whole numbers.

    `least` and `most` are included, unless `above` excludes `least`.
    """

    whole: bool
    least: Decimal
    most: Decimal
    above: bool = False

    def at(self, index: int) -> Decimal:
        """Return the number at an index; beyond an end, the number at that end."""
        return min(max(self._value_at(index), self.least), self.most)

    @property
    def first(self) -> int:
        """Return the index of the lowest number."""
        return self.next_to(self.least, 1) if self.above else self.index_of(self.least, ROUND_FLOOR)

    @property
    def last(self) -> int:
        """Return the index of the highest number."""
        return self.index_of(self.most, ROUND_CEILING)

    def index_of(self, number: Decimal, rounding: str) -> int:
        """Return a number's index; if it is between two, return the lower one (ROUND_FLOOR) or the higher one
        (ROUND_CEILING).
        """
        if number <= 0:
            return self._zero
        decade = self._decade(number)
        digits = int((number / Decimal(10) ** decade).to_integral_value(rounding))
        return max(decade * DECADE + digits - FEWEST, self._zero)

    def next_to(self, number: Decimal, step: int) -> int:
        """Return the index of the nearest number above a value (`step` 1) or below it (-1); the value needn't be on the
        scale.
        """
        rounding = ROUND_FLOOR if step > 0 else ROUND_CEILING
        return self.index_of(number, rounding) + step

    @property
    def _zero(self) -> int:
        return -FEWEST if self.whole else SMALLEST * DECADE - 1

    def _decade(self, number: Decimal) -> int:
        decade = number.adjusted() - (1 if number.scaleb(-number.adjusted()) >= FEWEST // 10 else 2)
        return max(decade, 0 if self.whole else SMALLEST)

    def _value_at(self, index: int) -> Decimal:
        if index <= self._zero:
            return ZERO
        decade, digits = divmod(index, DECADE)
        if self.whole and decade < 0:
            decade, digits = 0, digits - DECADE
        return (digits + FEWEST) * Decimal(10) ** decade


def format_typed(number: Decimal) -> str:
    """Format a number as a user would type it."""
    return f"{number.normalize():f}"


LOOSER = 1

PRICING = frozenset({"limit_offset_fraction"})

"""Settings that determine an order's price, so that a tighter value may help as well."""

Path = tuple[str, ...]

"""The names of a setting's sections, and its own."""

SHARES = frozenset((*OF_EQUITY, *OPTIONAL_OF_EQUITY))


class ThresholdQuestion(NamedTuple):
    """One of the checks that decide about a candidate: a gate, or a named filter of the candidate's strategy."""

    gate: Gate
    about: str = ""


class ThresholdSetting(Struct, frozen=True):
    """A numeric setting: its path, its value, and the numbers that it can take.

    `toward` is 1 if only higher values can help, -1 if only lower ones can, and 0 if unknown.
    """

    path: Path
    value: Decimal
    scale: Scale
    toward: int = 0

    @property
    def key(self) -> str:
        """Return the setting's dotted name."""
        return ".".join(self.path)


def settings_read_by(
    settings: Sections, strategy: str, question: ThresholdQuestion, filters: Mapping[str, Sequence[str]]
) -> list[ThresholdSetting]:
    """Return the settings that a check reads for a strategy's candidate, starting with the limits.

    `filters` maps each of the strategy's filters to the settings that the filter reads.
    """
    if question.gate is Gate.STRATEGY:
        gate_settings = NOTHING
        limits: list[Path] = [("strategies", strategy, name) for name in filters.get(question.about, ())]
    else:
        gate_settings = READS[question.gate]
        limits = [*_paths(settings, strategy, gate_settings)]
    fits = settings.execution_of(strategy if strategy in settings.strategies.sections() else None).fit_to_room
    sizes = [path for path in _paths(settings, strategy, SIZED) if _sizes(path[-1], gate_settings.sized, fits=fits)]
    tried = [(path, LOOSER) for path in limits] + [(path, gate_settings.sized) for path in sizes if path not in limits]
    settings_found = (setting_at(settings, path, way) for path, way in tried)
    return list({setting.path: setting for setting in settings_found if setting}.values())


def threshold_of(
    settings: Sections, strategy: str, question: ThresholdQuestion, limit: object
) -> ThresholdSetting | None:
    """Return the setting with which a gate compares a candidate, if the setting's value equals `limit`."""
    number = number_of(limit)
    if number is None:
        return None
    filters = filter_settings(settings, strategy) if question.gate is Gate.STRATEGY else {}
    return next(
        (read for read in settings_read_by(settings, strategy, question, filters) if read.value == number), None
    )


def _sizes(name: str, way: int, *, fits: bool) -> bool:
    """Return True if a setting can make an order larger (`way` 1) or smaller (-1); with `fits`, as a limit."""
    if name == "max_symbol_fraction":
        return fits and way != 0
    return way != 0 and (name != "fit_to_room" or fits is (way > 0))


def _paths(settings: Sections, strategy: str, gate_settings: GateSettings) -> Iterator[Path]:
    own = ("strategies", strategy)
    yield from (("limits", name) for name in gate_settings.account)
    for name in gate_settings.own:
        yield from _in_force(settings, strategy, name)
    for name in gate_settings.execution:
        yield (*own, "execution", name)
        yield ("execution", name)
    section = settings.strategies.sections().get(strategy)
    costs, room = (
        (*own, name) if getattr(section, name, None) is not None else (name,) for name in ("costs", "displacement")
    )
    yield from ((*costs, name) for name in gate_settings.costs)
    enabled = section is None or settings.displacement_of(strategy).enabled
    yield from ((*room, name) for name in gate_settings.displacement if enabled or name == SWITCH)
    yield from (("exits", name) for name in gate_settings.exits)
    if SHARES & {*gate_settings.own}:
        yield (*own, "allotment_fraction")


def _in_force(settings: Sections, strategy: str, name: str) -> Iterator[Path]:
    """Yield the settings that determine a strategy's limit: its own, the account's, and the larger limits it must fit
    into.

    The larger ones only matter if the strategy has no limit of its own.
    """
    section = settings.strategies.sections().get(strategy)
    yield from ((*_own(strategy), name), ("limits", name))
    if section is not None and getattr(section.limits, name, None) is None:
        yield from ((*_own(strategy), larger) for larger in _larger(name))


def _own(strategy: str) -> Path:
    return "strategies", strategy, "limits"


@cache
def _larger(name: str) -> tuple[str, ...]:
    """Return the limits that a limit must fit into, and theirs in turn."""
    outer = [large for small, large in NESTED if small == name]
    return tuple(dict.fromkeys((*outer, *(value for each in outer for value in _larger(each)))))


def setting_at(settings: Sections, path: Path, way: int = 0) -> ThresholdSetting | None:
    """Return the setting at a path if its value is a number.

    `way` is LOOSER (1) if only looser values can help, and -1 if only tighter ones can.
    """
    model: Any = settings
    for part in path[:-1]:
        model = (
            model.sections().get(part) if path[0] == "strategies" and part == path[1] else getattr(model, part, None)
        )
        if not isinstance(model, Frozen):
            return None
    owner: type[Frozen] = type(model)
    value, field = number_of(getattr(model, path[-1], None)), owner.model_fields.get(path[-1])
    if field is None or value is None:
        return None
    toward = 0 if path[-1] in PRICING else way * _looser(field)
    return ThresholdSetting(path, value, scale_of(owner, path[-1]), toward)


def filter_settings(settings: Sections, name: str) -> Mapping[str, Sequence[str]]:
    """Return the settings that each filter of a strategy reads, by filter name; empty for a plug-in."""
    own, where = settings.strategies.in_use().get(name), settings.strategies.installed_as().get(name)
    if own is None or where not in BUILT_IN:
        return {}
    strategy = installed_strategies()[where].load()(own)
    return strategy.filter_settings if isinstance(strategy, RefilteringStrategy) else {}


def number_of(value: object) -> Decimal | None:
    """Return a value as a number; None if it isn't one."""
    return Decimal(str(value)) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def _looser(field: FieldInfo) -> int:
    """Return 1 if higher values of a setting allow more, -1 if lower ones do, and 0 if neither."""
    return 1 if Tighter.LOWER in field.metadata else -1 if Tighter.HIGHER in field.metadata else 0


@cache
def scale_of(model: type[Frozen], name: str) -> Scale:
    """Return the numbers to which a field can be set."""
    field = model.model_fields[name]
    least, most, above = Decimal(0), Decimal(10) ** 8, False
    for mark in _marks(field):
        least = _decimal(getattr(mark, "ge", None), getattr(mark, "gt", None), least)
        most = _decimal(getattr(mark, "le", None), getattr(mark, "lt", None), most)
        above = above or getattr(mark, "gt", None) is not None
    return Scale(int in kinds_of(field), least, most, above)


def _decimal(*values: Any) -> Decimal:
    return next(Decimal(str(value)) for value in values if value is not None)


def _marks(field: FieldInfo) -> Iterator[Any]:
    """Yield an annotation's constraints, at any depth."""
    yield from field.metadata
    yield from _inner_marks(field.annotation)


def _inner_marks(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        for mark in annotation.__metadata__:
            yield from mark.metadata if isinstance(mark, FieldInfo) else (mark,)
    for inner in get_args(annotation):
        yield from _inner_marks(inner)


def kinds_of(field: FieldInfo) -> frozenset[Any]:
    """Return the possible types of a field's values."""
    return frozenset(_inner_kinds(field.annotation))


def _inner_kinds(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _inner_kinds(inner)
