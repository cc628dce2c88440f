"""Find out which flow facts are needed, so that nothing else is fetched."""

from collections.abc import Mapping, Sequence

from tradebot.adapters.plugins.plugin import Surroundings, close, installed, strategies
from tradebot.desk.fetching import needed_facts
from tradebot.model.kind import AnyKind
from tradebot.ports.world import Rules


def facts_needed_by(
    in_use: Mapping[str, Mapping[str, object]], rules: Rules, surroundings: Surroundings
) -> Mapping[AnyKind, Sequence[str]]:
    """Return the kinds of facts that strategies need, each with its symbols.

    Each plug-in is asked once, in a process of its own. A strategy that isn't installed needs nothing, so that it
    doesn't hold back the flow of the others.
    """
    available = installed()
    found = {name: settings for name, settings in in_use.items() if name in available}
    asked = strategies(found, surroundings)
    try:
        return needed_facts(asked, rules)
    finally:
        close(asked)
