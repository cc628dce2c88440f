"""Find and load the settings of a state folder: the user's file, the environment, or what was accepted last."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.state.state_folder import StateFolder
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.accepted import accepted_instead
from tradebot.app.mode_sources import refuse_other_mode
from tradebot.app.settings import PLANNING, Loaded, load
from tradebot.errors import ConfigurationError, ExitCode, OperatorError, word

CONFIG = "TRADEBOT_CONFIG"
USER_FILE = "tradebot.yaml"


class Options(Struct, frozen=True):
    """The options of every verb: where the state is, and which file overrides the configuration."""

    state_dir: str | None = None
    config: str | None = None


def load_to_leave(folder: StateFolder, options: Options, environ: Mapping[str, str]) -> Loaded:
    """Return the settings of a state folder or, if they can't be read, the accepted ones, for exits only."""
    try:
        return load_for(folder, options, environ)
    except ConfigurationError as error:
        refuse_other_mode(folder, environ, None)
        named = options.config or environ.get(CONFIG)
        files = ([Path(named)] if named else []) + [folder.path / USER_FILE]
        return accepted_instead(folder, files, environ, error)


def load_to_plan(folder: StateFolder, options: Options, environ: Mapping[str, str]) -> Loaded:
    """Return the settings of a state folder, also if flow can't be fetched in time with them."""
    return load_for(folder, options, environ, PLANNING)


def load_for(folder: StateFolder, options: Options, environ: Mapping[str, str], purpose: object = None) -> Loaded:
    """Return the settings of a state folder. Its mode was fixed when it was made; a different one is refused."""
    file = user_file(options, folder.path, environ)
    refuse_other_mode(folder, environ, file)
    loaded = load(file, environ, {"mode": folder.mode}, purpose)
    own = folder.path / USER_FILE
    if own.exists() and load_yaml(own).get("shadow") is True and not loaded.settings.shadow:
        raise OperatorError(
            f"{folder.path} is in shadow mode, and the configuration you named would end that",
            f"set shadow: true there too, or shadow: false in {own}",
            code=ExitCode.REFUSED,
        )
    return loaded


def user_file(options: Options, folder: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the user's configuration file: the flag, else TRADEBOT_CONFIG, else tradebot.yaml in the state folder."""
    named = options.config or environ.get(CONFIG)
    if named and not options.config and not os.path.lexists(named):
        raise ConfigurationError(f"{CONFIG} names {word(named)!r}, and there is no such file", f"unset {CONFIG}")
    if named:
        return Path(named)
    own = folder / USER_FILE
    # A broken link means that the file is missing, not that there never was one; reading it reports that.
    return own if os.path.lexists(own) else None
