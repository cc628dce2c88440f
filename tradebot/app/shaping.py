"""The settings that shape what a strategy proposes, and what it would have proposed with others of them."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any, get_origin

from pydantic import ValidationError

from tradebot.adapters.plugins.plugin import installed
from tradebot.adapters.text.yaml_edit import changed
from tradebot.app.searched import choices_of, kinds_of, number_of, plain_of, scale_of
from tradebot.app.sections import Sections
from tradebot.model.candidate import Candidate
from tradebot.model.limits import Frozen
from tradebot.ports.strategy import RefilteringStrategy, Strategy, is_separate
from tradebot.ports.world import Rules
from tradebot.replaying.answering import Answering, Answers, Stored
from tradebot.replaying.asking import Changes
from tradebot.replaying.nearest import Path, Setting, Value
from tradebot.replaying.passes import Recorded
from tradebot.signals.components import component_names
from tradebot.strategies.flow_settings import FlowSettings
from tradebot.strategies.futures_settings import FuturesSettings
from tradebot.strategies.rotation_settings import RotationSettings
from tradebot.strategies.settings import BUILT_IN
from tradebot.strategies.smart_money.settings import SmartMoneySettings

OWN: Mapping[str, type[Frozen]] = {
    "flow": FlowSettings, "futures": FuturesSettings, "rotation": RotationSettings, "smart_money": SmartMoneySettings,
}  # fmt: skip
"""The own settings of each strategy that ships with the bot."""
WEIGHTS = "weights"
NUMBERS = frozenset((int, float, Decimal))


def strategy_with(settings: Sections, name: str, changes: Changes = MappingProxyType({})) -> Strategy | None:
    """Return a strategy that ships with the bot, with some of its own settings changed.

    None for another strategy, and for settings that don't make one.
    """
    own, where = settings.strategies.in_use().get(name), settings.strategies.installed_as().get(name)
    return None if own is None or where is None or where not in BUILT_IN else made(where, own, changes)


def made(where: str, own: Mapping[str, object], changes: Changes) -> Strategy | None:
    """Return the strategy installed as `where` with these settings, some of them changed; None if they don't make one.

    The changes are settings by their whole paths.
    """
    for path, value in changes.items():
        own = changed(own, path[2:], plain_of(value))
    try:
        strategy: Strategy = _factory(where)(own)
    except ValueError:
        return None
    return strategy


@cache
def _factory(name: str) -> Any:
    return installed()[name].load()


def shaping(settings: Sections, name: str) -> tuple[Setting, ...]:
    """Return all numbers, switches and choices among a strategy's own settings; none of a plug-in's."""
    own, where = settings.strategies.in_use().get(name), settings.strategies.installed_as().get(name)
    if own is None or where is None or where not in OWN:
        return ()
    try:
        model = OWN[where].model_validate(own)
    except ValidationError:
        return ()
    return tuple(_in(model, ("strategies", name)))


def _in(model: Frozen, path: Path) -> Iterator[Setting]:
    for name in type(model).model_fields:
        value: Any = getattr(model, name)
        if isinstance(value, Frozen):
            yield from _in(value, (*path, name))
        elif name == WEIGHTS:
            scale = scale_of(type(model), name)
            for each in dict.fromkeys((*value, *component_names())):
                yield Setting((*path, name, each), number_of(value.get(each)), scale)
        elif found := _setting(type(model), name, value, (*path, name)):
            yield found


def _setting(owner: type[Frozen], name: str, value: Any, path: Path) -> Setting | None:
    """Return the setting of a field; None for one that is neither a number nor one of a few words."""
    field = owner.model_fields[name]
    kinds = kinds_of(field)
    if any(get_origin(kind) in (list, tuple, dict) for kind in kinds):
        return None
    others = tuple(one for one in choices_of(kinds) if one != value)
    if others:
        return Setting(path, value, choices=others)
    number = number_of(value)
    if not kinds & NUMBERS or (value is not None and number is None):
        return None
    return Setting(path, number, scale_of(owner, name), type(None) in kinds)


class Reproposing:
    """What strategies would have proposed to a recorded pass with other settings of their own.

    Nobody knows that of a plug-in, nor of a strategy that answers otherwise now with the settings of then.
    """

    def __init__(self, recorded: Recorded, settings: Sections, rules: Rules, stored: Stored | None) -> None:
        self._recorded, self._settings, self._rules = recorded, settings, rules
        self._answers = Answers(recorded, rules, stored) if stored else None
        self._strategies: dict[str, Strategy | None] = {}
        self._shaping: dict[str, tuple[Setting, ...] | None] = {}
        # Each candidate of a pass asks many of them again.
        self._made: dict[tuple[str, frozenset[tuple[Path, Value]]], Strategy | None] = {}
        self._sections: dict[str, tuple[str, Mapping[str, object]]] = {}

    def settings_of(self, name: str) -> tuple[Setting, ...] | None:
        """Return the settings that shape what a strategy proposes; None if nobody knows what others would do."""
        if name not in self._shaping:
            found = shaping(self._settings, name)
            strategy = self.strategy(name)
            asked = strategy and self._answers and self._answers.is_as_then(Answering(name, strategy, strategy))
            filters = filters_of(strategy)
            self._shaping[name] = tuple(one for one in found if one.path[2:] not in filters) if asked else None
        return self._shaping[name]

    def is_separate(self, name: str) -> bool:
        """Return True if a strategy judges each symbol by itself, so that it is asked about one of them only."""
        return is_separate(self.strategy(name))

    def strategy(self, name: str) -> Strategy | None:
        """Return a strategy as it was."""
        if name not in self._strategies:
            self._strategies[name] = strategy_with(self._settings, name)
        return self._strategies[name]

    def about(self, name: str, symbol: str, changes: Changes) -> Candidate | None:
        """Return what a strategy proposes about a symbol with changes of its own settings; None if they don't make one.

        Whatever else changes, what the strategy sees is as it was.
        """
        key = name, frozenset(changes.items())
        if key not in self._made:
            self._made[key] = made(*self._own(name), changes)
        strategy = self._made[key]
        if strategy is None or self._answers is None:
            return None
        return self._answers.about(strategy, name, self._rules, symbol)

    def _own(self, name: str) -> tuple[str, Mapping[str, object]]:
        if name not in self._sections:
            strategies = self._settings.strategies
            self._sections[name] = strategies.installed_as()[name], strategies.in_use()[name]
        return self._sections[name]

    def all(self, settings: Sections, rules: Rules, name: str) -> Recorded | None:
        """Return the record with what a strategy proposes with these settings; None if nobody knows."""
        strategy, before = strategy_with(settings, name), self.strategy(name)
        if strategy is None or before is None or self._answers is None:
            return None
        recorded, unknown = self._answers.to([Answering(name, before, strategy, ALL)], rules)
        return None if unknown else recorded


ALL = frozenset({""})
"""What is no setting of a strategy, so that it is asked again for everything."""


def filters_of(strategy: object) -> frozenset[Path]:
    """Return the settings that a strategy's filters can answer again for, by their paths in its section."""
    if not isinstance(strategy, RefilteringStrategy):
        return frozenset()
    return frozenset((name,) for names in strategy.filter_settings.values() for name in names)
