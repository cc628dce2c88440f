"""Profiles: settings that a new bot's own configuration begins with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.shared.completion import profiles
from commands.shared.light_helpers import clean
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from tradebot.app.settings import Settings

SHIPPED_PROFILE = "flow"
"""The profile that is the shipped configuration itself, so that it needs no file."""


def profile_content(name: str) -> dict[str, Any]:
    """Return what a profile sets; nothing for the shipped configuration itself, or a name that is none."""
    from tradebot.adapters.text.yaml_loader import load_yaml
    from tradebot.app.settings import shipped_path

    if name == SHIPPED_PROFILE or name not in profiles(""):
        return {}
    return load_yaml(shipped_path("profiles") / f"{name}.yaml", shipped=True)


def begins_with(profile: str, config: str | None) -> dict[str, Any]:
    """Return what a new bot's own configuration sets: a named file's content, or else the profile's.

    A file that can't be read says nothing here; loading it reports that.
    """
    from tradebot.adapters.text.yaml_loader import load_yaml

    if config is None:
        return profile_content(profile)
    try:
        return load_yaml(Path(config))
    except OperatorError:
        return {}


def profile_file(name: str, file: Path | None, flags: dict[str, Any]) -> Path | None:
    """Return the shipped file of a profile, or None for the shipped configuration itself.

    Raises OperatorError for an unknown name, beside a configuration file, at another venue than its own,
    and if an option and the profile both say which symbols to trade.
    """
    from tradebot.app.settings import shipped_path
    from tradebot.app.venues import EARLIER

    if name not in profiles(""):
        raise OperatorError(f"there is no profile {clean(name)[:20]!r}", f"choose one of {', '.join(profiles(''))}")
    if name == SHIPPED_PROFILE:
        return None
    if file is not None:
        message = f"{file} is a configuration already, and a profile would be the start of another one"
        raise OperatorError(message, "leave out --profile, or move the file away")
    content = profile_content(name)
    its, asked = str(content.get("venue", EARLIER)), str(flags.get("venue", content.get("venue", EARLIER)))
    if asked != its:
        raise OperatorError(
            f"profile {name} is for {its}, and you asked for {clean(asked)}",
            f"leave out --profile or --venue; without a profile, a bot begins with what {clean(asked)} comes with",
        )
    if ("universe" in flags or "path" in flags.get("sandbox", {})) and "universe" in content:
        message = f"profile {name} has its own symbols"
        raise OperatorError(message, "leave out --symbols and --bars, or the profile")
    return shipped_path("profiles") / f"{name}.yaml"


def require_strategies(profile: str, settings: "Settings") -> None:
    """Raise OperatorError if the profile's strategy isn't installed; then the bot couldn't trade at all."""
    from tradebot.adapters.plugins.plugin import installed_strategies

    missing = [name for name in settings.strategies.installed_as().values() if name not in installed_strategies()]
    if profile != SHIPPED_PROFILE and missing:
        raise OperatorError(
            f"profile {profile} trades with the strategy {missing[0]}, which isn't installed",
            "it is part of this program: install tradebot again, then run init again",
        )
