"""The configuration file in a bot's folder, as `init` writes it."""

from pathlib import Path
from typing import Any

from tradebot.errors import OperatorError


def refuse_foreign_settings(path: Path) -> None:
    """Refuse to write options over a configuration that a person wrote."""
    from tradebot.app.loading import USER_FILE

    own = path / USER_FILE
    if own.exists() and not written_here(own):
        raise OperatorError(
            f"{own} is your own file, and the options would have to be written over it",
            f"put the settings into that file and leave the options out, or move the file: mv {own} {own}.mine",
        )


def keep_flags(path: Path, flags: dict[str, Any], start: str) -> None:
    """Write the options into the folder's own configuration file after its start, where later verbs find them."""
    import yaml

    from tradebot.adapters.state.state_folder import write_durably
    from tradebot.app.loading import USER_FILE

    kept = {key: value for key, value in flags.items() if key != "mode"}
    text = start + (yaml.safe_dump(kept, sort_keys=False, default_flow_style=None) if kept else "")
    write_durably(path / USER_FILE, _first_line(text) + text)


def written_here(path: Path) -> bool:
    """Return True if a configuration is unchanged since `init` wrote it."""
    first, newline, rest = path.read_bytes().partition(b"\n")
    return first + newline == _first_line(rest.decode(errors="replace")).encode()


def _first_line(text: str) -> str:
    """Return the first line of a configuration written by `init`; its digest shows whether a person edited it."""
    import hashlib

    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"# Written by init ({digest}); goes over the shipped configuration, see config/base.yaml for every value.\n"
