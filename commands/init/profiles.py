"""Profiles: initial settings for a new bot's own configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.shared.completion import profiles
from commands.shared.light_helpers import clean, did_you_mean
from tradebot.adapters.state.state_folder import EXCHANGE, option
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from tradebot.app.settings import Settings

MOST_SYMBOLS = 5000
MOST_NAMED = 5


def invented_symbols_note(settings: "Settings", universe: Sequence[str]) -> tuple[str, ...]:
    """Return a warning about symbols that tradebot doesn't know, which a generated market makes up prices for.

    It is empty if there are none, or if the venue lists its own symbols.
    """
    from tradebot.app import sandbox, venues

    plausible = {*sandbox.default_symbols(MOST_SYMBOLS), *settings.sectors}
    unknown = sorted(set(universe) - plausible)
    lists_its_own = venues.driver_for(settings.venue).market is not None
    if settings.sandbox.source != "generated" or lists_its_own or not unknown:
        return ()
    names = f"{', '.join(map(clean, unknown[:MOST_NAMED]))}{', …' if len(unknown) > MOST_NAMED else ''}"
    return (f"tradebot doesn't know {names}: the market makes up prices for any name, so check the spelling",)


def market_notes(path: Path) -> tuple[str, ...]:
    """Return notes on what the market leaves out of its files, and on how to play flow captured after the close."""
    from tradebot.app import sandbox

    sentences, complete_at = sandbox.remarks_on(path / EXCHANGE)
    if complete_at is None:
        return sentences
    tick = f"tradebot exchange tick {complete_at} {option(path)}"
    return (*sentences, f"some of the flow was captured after the close; to reach all of it: {tick}")


SHIPPED_PROFILE = "flow"
"""The profile that is the shipped configuration itself, so that it needs no file."""


def profile_content(name: str) -> dict[str, Any]:
    """Return a profile's settings; empty for the shipped configuration itself, or an unknown name."""
    from tradebot.adapters.text.yaml_loader import load_yaml
    from tradebot.app.settings import shipped_path

    if name == SHIPPED_PROFILE or name not in profiles(""):
        return {}
    return load_yaml(shipped_path("profiles") / f"{name}.yaml", shipped=True)


def begins_with(profile: str, config: str | None) -> dict[str, Any]:
    """Return a new bot's initial settings: the contents of a named file, or the profile's settings.

    An unreadable file counts as empty here; the error is reported when the file is loaded.
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

    Raises OperatorError for an unknown name, if there is a configuration file already, if the profile is for another
    venue, or if an option and the profile both set the symbols (roots of futures excepted).
    """
    from tradebot.app.settings import shipped_path
    from tradebot.app.venues import EARLIER, driver_for

    if name not in profiles(""):
        names = profiles("")
        meant = did_you_mean(name, names) or f"choose one of {', '.join(names)}"
        raise OperatorError(f"there is no profile {clean(name)[:20]!r}", meant)
    if name == SHIPPED_PROFILE:
        return None
    if file is not None:
        message = f"{file} is already a configuration, and --profile would start another one"
        raise OperatorError(message, "leave out --profile, or move the file away")
    content = profile_content(name)
    its, wanted = str(content.get("venue", EARLIER)), str(flags.get("venue", content.get("venue", EARLIER)))
    if wanted != its:
        raise OperatorError(
            f"profile {name} is for {its}, but you asked for {clean(wanted)}",
            f"leave out --profile or --venue; without a profile, a bot starts with the defaults of {clean(wanted)}",
        )
    if driver_for(its).months is not None:
        # Its roots have the same rules, and files of contracts are of the roots that somebody has bought.
        return shipped_path("profiles") / f"{name}.yaml"
    if ("universe" in flags or "path" in flags.get("sandbox", {})) and "universe" in content:
        message = f"profile {name} has its own symbols"
        raise OperatorError(message, "leave out --symbols and --bars, or the profile")
    return shipped_path("profiles") / f"{name}.yaml"


def require_strategies(profile: str, settings: "Settings") -> None:
    """Raise OperatorError if the profile's strategy isn't installed, because the bot couldn't trade."""
    from tradebot.adapters.plugins.plugin import installed_strategies

    missing = [name for name in settings.strategies.installed_as().values() if name not in installed_strategies()]
    if profile not in ("", SHIPPED_PROFILE) and missing:
        raise OperatorError(
            f"profile {profile} trades with the strategy {missing[0]}, which isn't installed",
            "it is part of this program: install tradebot again, then run init again",
        )


WELL_KNOWN = 21
"""How many of the embedded exchange's default symbols are real tickers; the others are invented."""
MADE_UP_SECTORS = 10


def venue_named(venue: str | None, profile: str = SHIPPED_PROFILE, config: str | None = None) -> str | None:
    """Return `venue` or, without it, the venue that the file or the profile names; None if there is none."""
    named = venue or begins_with(profile, config).get("venue")
    return named if isinstance(named, str) else None


def symbol_flags(
    text: str | None, venue: str | None = None, profile: str = SHIPPED_PROFILE, config: str | None = None
) -> dict[str, Any]:
    """Return the settings of the universe for a number of symbols or a list of names; empty if `text` is None.

    At a non-default venue, a number selects the first symbols of its shipped list. If `venue` is None, the file or the
    profile may name the venue. Raise OperatorError for an invalid number.
    """
    from tradebot.app.settings import venue_flags

    if text is None:
        return {}
    content = begins_with(profile, config)
    sections = content.get("strategies")
    off = {name for name, section in sections.items() if section is None} if isinstance(sections, dict) else set()
    venue = venue or content.get("venue")
    if not (text.isascii() and text.isdigit()):
        from commands.shared.universe import symbols_at

        named = symbols_at(venue, text)
        return (venue_flags(venue, named, off) if venue else {}) or {"universe": named}
    if len(text) > len(str(MOST_SYMBOLS)) or not 1 <= int(text) <= MOST_SYMBOLS:
        raise OperatorError(f"--symbols takes 1 to {MOST_SYMBOLS:,} symbols, not {clean(text)[:20]}", "--symbols 20")
    if venue and (smaller := venue_flags(venue, int(text), off)):
        return smaller
    from tradebot.app import sandbox

    names = sandbox.default_symbols(int(text))
    # Made-up symbols get made-up sectors, because a symbol without a sector is not bought.
    sectors = {name: f"made_up_{n % MADE_UP_SECTORS}" for n, name in enumerate(names[WELL_KNOWN:])}
    return {"universe": list(names), "sectors": sectors}
