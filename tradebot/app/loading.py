"""Find and load the settings of a state folder: the user's file, the environment, or the last accepted values."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.state import folder_identity
from tradebot.adapters.state.resources import free_bytes, network_kind, passing
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.adapters.state.user_files import describe_sources, read_env_file
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.baseline import differences
from tradebot.app.keys import load_gates
from tradebot.app.learned_settings import read_learned
from tradebot.app.settings import PLANNING, Loaded, accepted_settings, configured_modes, load, mode_text
from tradebot.app.venues import EARLIER_NAMES
from tradebot.errors import ConfigurationError, ExitCode, OperatorError, TradebotError, word
from tradebot.gates.permission import PermissionInputs
from tradebot.model.trading import Arming, Baseline, Mode
from tradebot.model.variables import CONFIG, PREFIX

ENV_FILE = Path(".env")
MB = 1_000_000


def refuse_other_mode(folder: StateFolder, environ: Mapping[str, str], file: Path | None) -> None:
    """Raise OperatorError if the environment, .env or the configuration file sets a mode other than the folder's."""
    for mode, where, remedy in (
        *configured_modes(environ, None),
        *_env_file_modes(folder, environ),
        *configured_modes({}, file),
    ):
        if mode and mode != folder.mode:
            other = (
                f", or create another state: tradebot init --mode {mode} --state-dir NEW" if mode in set(Mode) else ""
            )
            raise OperatorError(f"{where} says {mode}, but {folder.path} was created for {folder.mode}", remedy + other)


def _env_file_modes(folder: StateFolder, environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield the modes that .env names, unless the environment overrides them.

    An unreadable .env names none; the permission check then fails for it.
    """
    if folder.mode == Mode.SANDBOX:
        return
    try:
        variables = read_env_file(ENV_FILE)
    except OperatorError:
        return
    for mode, name, _ in configured_modes(
        {name: text for name, text in variables.items() if name not in environ}, None
    ):
        yield mode, f"{name} in {ENV_FILE}", f"remove {name} from {ENV_FILE}"


def permission_inputs_of(
    loaded: Loaded, folder: StateFolder, environ: Mapping[str, str], armed: Arming | None, accepted: Baseline | None
) -> PermissionInputs:
    """Gather what the permission checks read.

    If .env can't be read, a check fails but nothing is raised, so that `status` works.
    """
    mode, unread, gates = loaded.settings.mode, None, dict[str, str]()
    file = None if mode is Mode.SANDBOX else ENV_FILE
    try:
        gates = dict(load_gates(environ, file))
    except TradebotError as error:
        unread = error.message
    differ = differences(loaded.settings, accepted, loaded.origins, loaded.effective) if accepted else None
    network = None if mode is Mode.SANDBOX else network_kind(folder.path)
    read = describe_sources(file) if file else None
    unconfigured = loaded.unread.message if loaded.unread else None
    number = folder.account_number
    free, least = free_bytes(folder.path), loaded.settings.storage.min_free_mb
    free_mb = None if free is None else free // MB
    conditions = (mode, loaded.file_mode, number, gates, armed, unread, network, read, differ, unconfigured)
    lost = passing(folder.path, environ) if mode is Mode.LIVE else None
    original = None if (path := folder_identity.original(folder)) is None else str(path)
    return PermissionInputs(*conditions, free_mb, least, lost, copied_from=original)


USER_FILE = "tradebot.yaml"
DEMO_OPTIONS = "demo.yaml"
"""The options that a demo was started with, apart from the user's file."""


class Options(Struct, frozen=True):
    """The options common to all verbs: the state folder, and the configuration file."""

    state_dir: str | None = None
    config: str | None = None


def load_to_leave(folder: StateFolder, options: Options, environ: Mapping[str, str]) -> Loaded:
    """Return a folder's settings; if they can't be read, return the accepted settings, with which only exits are
    allowed.
    """
    try:
        return load_for(folder, options, environ)
    except ConfigurationError as error:
        refuse_other_mode(folder, environ, None)
        named = options.config or environ.get(CONFIG)
        files = ([Path(named)] if named else []) + [folder.path / USER_FILE]
        return accepted_instead(folder, files, environ, error)


def load_to_plan(folder: StateFolder, options: Options, environ: Mapping[str, str]) -> Loaded:
    """Return a folder's settings, even if flow can't be fetched in time with them."""
    return load_for(folder, options, environ, PLANNING)


def load_for(
    folder: StateFolder,
    options: Options,
    environ: Mapping[str, str],
    purpose: object = None,
    values: Mapping[str, object] | None = None,
) -> Loaded:
    """Return a folder's settings; raise OperatorError if their mode differs from the folder's.

    `values` replace values of the user's file.
    """
    file = user_file(options, folder.path, environ)
    refuse_other_mode(folder, environ, None if values is not None else file)
    named = with_earlier_names(environ, folder.venue)
    demo, learned = options_of_demo(folder), read_learned(folder.path)
    loaded = load(file, named, {"mode": folder.mode}, purpose, values=values, run=demo, learned=learned)
    _refuse_other_venue(folder, loaded)
    own = folder.path / USER_FILE
    file_values = values if values is not None and file == own else load_yaml(own) if own.exists() else {}
    if file_values.get("shadow") is True and not loaded.settings.shadow:
        raise OperatorError(
            f"{folder.path} is in shadow mode, and the configuration that you named would end that",
            f"set shadow: true there too, or shadow: false in {own}",
            code=ExitCode.REFUSED,
        )
    return loaded


def with_earlier_names(environ: Mapping[str, str], venue: str) -> Mapping[str, str]:
    """Return the environment, extended with the bot's variables as they were named in an earlier system.

    If both names are set, the bot's own name takes precedence. Only bots at that system's venue read the earlier names,
    because other programs may use them too.
    """
    set_here = {name: environ[name].strip() for name in EARLIER_NAMES.get(venue, {}) if environ.get(name, "").strip()}
    ours = {
        f"{PREFIX}{EARLIER_NAMES[venue][name]}": f"s3://{text}" if name == "S3_BUCKET" else text
        for name, text in set_here.items()
    }
    return {**ours, **environ}


def options_of_demo(folder: StateFolder) -> tuple[str, Mapping[str, object]] | None:
    """Return the options of the demo that created a folder, and where they are stored; None if there are none.

    They apply to verbs that inspect the demo's results, until the next demo.
    """
    file = folder.path / DEMO_OPTIONS
    return (str(file), load_yaml(file)) if folder.kind == "demo" and os.path.lexists(file) else None


def _refuse_other_venue(folder: StateFolder, loaded: Loaded) -> None:
    """Raise OperatorError if the configuration names another venue than the folder's."""
    named = loaded.settings.venue
    if named != folder.venue:
        raise OperatorError(
            f"venue ({loaded.origins['venue']}) is {named}, but {folder.path} was created for {folder.venue}",
            f"set venue: {folder.venue} there, or create another state: tradebot init --state-dir NEW",
        )


def user_file(options: Options, folder: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the user's configuration file: the flag's, TRADEBOT_CONFIG, or tradebot.yaml in the state folder."""
    named = options.config or environ.get(CONFIG)
    if named and not options.config and not os.path.lexists(named):
        raise ConfigurationError(f"{CONFIG} names {word(named)!r}, but there is no such file", f"unset {CONFIG}")
    if named:
        return Path(named)
    own = folder / USER_FILE
    # A dangling link means that the file is missing, not that there never was one; reading it reports that.
    return own if os.path.lexists(own) else None


def accepted_instead(
    folder: StateFolder, files: Sequence[Path], environ: Mapping[str, str], error: ConfigurationError
) -> Loaded:
    """Return a folder's accepted settings together with the configuration's error, or raise the error.

    The error is raised if nothing was accepted, if the accepted mode or venue isn't the folder's, or if any readable
    part of the configuration sets shadow. A live account still needs `mode: live` in the file itself, so no order is
    sent while the file can't be read.
    """
    baseline, readable = _baseline(folder), [_readable(file) for file in files]
    if baseline is None:
        raise error
    loaded = accepted_settings(baseline.values, mode_text(readable[0].get("mode")), error)
    shadow = any(values.get("shadow") is True for values in readable) or f"{PREFIX}SHADOW" in environ
    same = (loaded.settings.mode, loaded.settings.venue) == (folder.mode, folder.venue)
    if not same or (shadow and not loaded.settings.shadow):
        raise error
    return loaded


def _baseline(folder: StateFolder) -> Baseline | None:
    """Return the accepted configuration, or None if there is none or the books can't be read."""
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
