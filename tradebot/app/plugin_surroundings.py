"""Define a plug-in's environment: its limits, and environment variables without the bot's keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.adapters.state.user_files import full_paths
from tradebot.adapters.text.redaction import hide_keys
from tradebot.app.keys import is_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tradebot.adapters.plugins.plugin import PluginEnvironment
    from tradebot.app.settings import Settings


def plugin_surroundings(settings: Settings, folder: Path, environ: Mapping[str, str]) -> PluginEnvironment:
    """Return a plug-in's environment: its limits, and paths it can't access (keys, the state folder, the .env file)."""
    from tradebot.adapters.plugins.plugin import PluginEnvironment
    from tradebot.adapters.plugins.protocol import AnswerBounds

    bounds = AnswerBounds(settings.plugins.timeout_s, settings.plugins.memory_mb * 2**20)
    return PluginEnvironment(
        bounds, without_keys(environ, settings.venue), (folder.absolute(), *full_paths(Path(".env")))
    )


def without_keys(environ: Mapping[str, str], venue: str) -> Mapping[str, str]:
    """Return the environment variables for a plug-in, without any variable that may contain one of the bot's keys."""
    return {name: value for name, value in environ.items() if not is_secret(name, venue) and hide_keys(value) == value}
