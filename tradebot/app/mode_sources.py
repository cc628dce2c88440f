"""Collect what the configuration, the environment, .env and the disk say about mode and permission."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tradebot.adapters.state.env_file import describe_sources, read_env_file
from tradebot.adapters.state.file_systems import network_kind
from tradebot.adapters.state.resources import free_bytes
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.app.baseline import differences
from tradebot.app.keys import load_gates
from tradebot.app.settings import Loaded, modes_said
from tradebot.errors import OperatorError, TradebotError
from tradebot.gates.permission import PermissionInputs
from tradebot.model.baseline import Baseline
from tradebot.model.trading import Arming, Mode

ENV_FILE = Path(".env")
MB = 1_000_000


def refuse_other_mode(folder: StateFolder, environ: Mapping[str, str], file: Path | None) -> None:
    """Raise OperatorError if the environment, .env or the file names a mode other than the folder's."""
    for mode, where, remedy in (*modes_said(environ, None), *_env_file_modes(folder, environ), *modes_said({}, file)):
        if mode and mode != folder.mode:
            other = f", or make another state: tradebot init --mode {mode} --state-dir NEW" if mode in set(Mode) else ""
            raise OperatorError(f"{where} says {mode}, but {folder.path} was made for {folder.mode}", remedy + other)


def _env_file_modes(folder: StateFolder, environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield the modes that .env names, unless the environment overrides them.

    If .env can't be read, there are none here; permission closes a door for that.
    """
    if folder.mode == Mode.SANDBOX:
        return
    try:
        variables = read_env_file(ENV_FILE)
    except OperatorError:
        return
    for mode, name, _ in modes_said({name: text for name, text in variables.items() if name not in environ}, None):
        yield mode, f"{name} in {ENV_FILE}", f"remove {name} from {ENV_FILE}"


def permission_inputs_of(
    loaded: Loaded, folder: StateFolder, environ: Mapping[str, str], armed: Arming | None, accepted: Baseline | None
) -> PermissionInputs:
    """Return the inputs of permission. An unreadable .env closes its door instead of raising, so status still works."""
    mode, unread, gates = loaded.settings.mode, None, dict[str, str]()
    file = None if mode is Mode.SANDBOX else ENV_FILE
    try:
        gates = dict(load_gates(environ, file))
    except TradebotError as error:
        unread = error.message
    differ = differences(loaded.settings, accepted, loaded.origins) if accepted else None
    network = None if mode is Mode.SANDBOX else network_kind(folder.path)
    read = describe_sources(file) if file else None
    unconfigured = loaded.unread.message if loaded.unread else None
    number = folder.account_number
    free, least = free_bytes(folder.path), loaded.settings.storage.min_free_mb
    free_mb = None if free is None else free // MB
    said = (mode, loaded.file_mode, number, gates, armed, unread, network, read, differ, unconfigured)
    return PermissionInputs(*said, free_mb, least)
