"""Determine which flow facts the strategies need, so that nothing else is fetched."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tradebot.adapters.plugins.plugin import PluginEnvironment, begin_pass, close, installed_strategies, strategies
from tradebot.desk.fetching import needed_facts
from tradebot.model.fact_kind import AnyKind
from tradebot.ports.world import Rules


class Readers:
    """Loads the installed strategies in use, just to list the facts that they need.

    A strategy that isn't installed is skipped, so that it doesn't block the others' flow.
    """

    def __init__(
        self,
        in_use: Mapping[str, Mapping[str, object]],
        surroundings: PluginEnvironment,
        installed_as: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        available = installed_strategies([installed_as.get(name, name) for name in in_use])
        sections = {name: settings for name, settings in in_use.items() if installed_as.get(name, name) in available}
        self._strategies = strategies(sections, surroundings, installed_as)

    def needed_facts(self, rules: Rules) -> Mapping[AnyKind, Sequence[str]]:
        """Return the kinds of facts that the strategies need, each with its symbols.

        A plug-in is asked in its own process, which ends right after; its reply is cached.
        """
        begin_pass(self._strategies)
        try:
            return needed_facts(self._strategies, rules)
        finally:
            close(self._strategies)
