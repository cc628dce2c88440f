"""Find and load the settings of a state folder: the user's file, the environment, or what was accepted last."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.state.state_folder import StateFolder
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.mode_sources import refuse_other_mode
from tradebot.app.settings import PLANNING, PREFIX, Loaded, accepted, load, mode_said
from tradebot.errors import ConfigurationError, ExitCode, OperatorError, TradebotError, word
from tradebot.model.baseline import Baseline

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


def accepted_instead(
    folder: StateFolder, files: Sequence[Path], environ: Mapping[str, str], error: ConfigurationError
) -> Loaded:
    """Return a folder's accepted settings together with the configuration's error, or raise that error.

    It is raised if nothing was accepted, if the accepted mode isn't the folder's, or if anything that can still be read
    asks for shadow. A live account still needs `mode: live` in the file itself, so an unreadable file sends nothing.
    """
    baseline, readable = _baseline(folder), [_readable(file) for file in files]
    if baseline is None:
        raise error
    loaded = accepted(baseline.values, mode_said(readable[0].get("mode")), error)
    shadow = any(values.get("shadow") is True for values in readable) or f"{PREFIX}SHADOW" in environ
    if loaded.settings.mode != folder.mode or (shadow and not loaded.settings.shadow):
        raise error
    return loaded


def _baseline(folder: StateFolder) -> Baseline | None:
    """Return the accepted configuration, or None if the books can't say."""
    from tradebot.adapters.ledger.ledger import SqliteLedger

    with (
        suppress(TradebotError),
        closing(SqliteLedger.open(folder.path, folder.account_number, read_only=True)) as ledger,
    ):
        return ledger.baselines.last()
    return None


def _readable(file: Path) -> Mapping[str, object]:
    with suppress(ConfigurationError):
        return load_yaml(file)
    return {}
