"""The settings that advice doesn't search, each with the reason: the one list of them."""

from collections.abc import Mapping
from types import MappingProxyType

from tradebot.app.supposing import BEFORE, FIXED
from tradebot.replaying.nearest import Path

UNSEARCHED: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(sorted(FIXED), "it would be another bot"),
    **{section: why for section, why in BEFORE.items() if section != "plugins"},
    "approval": "whether a person is asked is that person's choice; advice says it if an order would have waited",
    "strategies.NAME.approval": "whether a person is asked is that person's choice",
    "halts": "they stop the bot, and a halt that is in force stays until a person ends it",
    "auction": "every bid changes what the others are worth, so that a pass has no smallest change for one of them",
    "strategies.NAME.auction": "every bid changes what the others are worth",
    "universe": "it is a list",
    "strategies.NAME.universe": "it is a list",
    "sectors": "they say what a symbol is",
    "themes": "they say what a symbol is",
    "betas": "they say how a symbol moves",
    "strategies.NAME.wants": "it is what a strategy promises, and not what limits it",
    "strategies.NAME.strategy": "it would be another strategy",
    "strategies.NAME.times": "which strategies were due was decided before the pass",
    "strategies.NAME.exits": "it is a list of rules",
    "strategies.NAME.shadow": "it says whether a strategy trades at all",
    "plugins": "a plug-in's own settings aren't searched: each value would start another process of it",
})  # fmt: skip
"""Settings and whole sections by their names, and why no advice changes them."""


def is_searched(path: Path) -> bool:
    """Return True for a setting that advice may change."""
    section, *inner = path
    return section not in UNSEARCHED and not (section == "strategies" and f"strategies.NAME.{inner[1]}" in UNSEARCHED)
