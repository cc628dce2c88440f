"""Find the venues at which a bot can trade, by name.

A package adds a venue through the entry-point group `tradebot.venues`: a function without arguments that returns a
`VenueDriver`, like those in `tradebot/venues/alpaca/door.py` and its siblings. Installed packages are searched only if
a bot names such a venue.
"""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import chain

from tradebot.model.sentences import known_name
from tradebot.venues.alpaca import capabilities as alpaca
from tradebot.venues.door import Key, VenueDriver
from tradebot.venues.ibkr import capabilities as ibkr
from tradebot.venues.kraken import capabilities as kraken

GROUP = "tradebot.venues"
KEYS: Mapping[str, tuple[Key, ...]] = {
    alpaca.ALPACA.name: alpaca.KEYS,
    kraken.KRAKEN.name: kraken.KEYS,
    ibkr.IBKR.name: ibkr.KEYS,
}
"""The key variables of the shipped venues, so that every text can hide keys without loading a driver."""
EARLIER_NAMES: Mapping[str, Mapping[str, str]] = {ibkr.IBKR.name: ibkr.EARLIER_NAMES}
"""An earlier system's variables for settings of a bot at a venue, by the end of our own variables' names."""
EARLIER = alpaca.ALPACA.name
"""The venue of bots from before the configuration had a venue."""


def driver_for(name: str) -> VenueDriver:
    """Return the driver of a venue; raise ValueError with the nearest match if the name is unknown."""
    shipped = _SHIPPED.get(name)
    return shipped() if shipped else _load_installed(name)


@cache
def _load_installed(name: str) -> VenueDriver:
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=GROUP)}
    known_name(name, [*_SHIPPED, *sorted(points)], "venue")
    door = points[name].load()()
    if not isinstance(door, VenueDriver) or door.capabilities.name != name:
        raise ValueError(f"the package installed as {name!r} has no venue of that name")
    return door


def keys_of(name: str) -> tuple[Key, ...]:
    """Return the key variables of this venue and of every shipped one: a leftover key of another venue is secret
    too.
    """
    own = KEYS[name] if name in KEYS else driver_for(name).keys
    return tuple(dict.fromkeys((*own, *chain.from_iterable(KEYS.values()))))


def _alpaca() -> VenueDriver:
    from tradebot.venues.alpaca.door import door

    return door()


def _kraken() -> VenueDriver:
    from tradebot.venues.kraken.door import door

    return door()


def _ibkr() -> VenueDriver:
    from tradebot.venues.ibkr.door import door

    return door()


_SHIPPED: Mapping[str, Callable[[], VenueDriver]] = {
    alpaca.ALPACA.name: cache(_alpaca),
    kraken.KRAKEN.name: cache(_kraken),
    ibkr.IBKR.name: cache(_ibkr),
}
"""The venues that come with the bot, by name."""
