"""The configuration file in a bot's folder, as `init` writes it."""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from tradebot.adapters.state.state_folder import write_durably
from tradebot.adapters.text.redaction import hide
from tradebot.adapters.text.yaml_edit import in_lines
from tradebot.adapters.text.yaml_loader import load_yaml, read_text
from tradebot.app.keys import load_secrets
from tradebot.app.loading import DEMO_OPTIONS, USER_FILE
from tradebot.app.settings import merge
from tradebot.app.venues import EARLIER
from tradebot.errors import OperatorError

WRITTEN = "# Written by init ("
OF_DEMO = (
    "# What the options of the last demo set; the next one replaces it. Your own settings go into tradebot.yaml.\n"
)


def to_copy(file: Path | None, path: Path) -> Path | None:
    """Return the configuration file that a new bot's own one begins as a copy of; None if it is that file already.

    Raises OperatorError if it contains a key, which must not end up in another file.
    """
    if file is None or file.absolute() == (path / USER_FILE).absolute():
        return None
    # An unknown venue is reported when the file is loaded.
    with suppress(ValueError):
        load_secrets(os.environ, None, str(load_yaml(file).get("venue", EARLIER)))
    text = _text(file)
    if hide(text) != text:
        message = f"{file} contains one of your keys, and init would copy it into {path}"
        raise OperatorError(message, f"remove the key from {file}: keys belong in the environment or in .env")
    return file


def refuse_foreign_settings(path: Path, start: Path | None) -> None:
    """Refuse to write options, or a copy of another file, over a configuration that a person wrote."""
    own, what = path / USER_FILE, start or "the options"
    if own.exists() and not written_here(own):
        raise OperatorError(
            f"{own} is your own file, and {what} would have to be written over it",
            f"put the settings into that file and name no other, or move the file: mv {own} {own}.mine",
        )


def keep(path: Path, flags: dict[str, Any], start: Path | None) -> None:
    """Write the file that the bot begins with, and the options over it, into its folder, where later verbs find them.

    The file keeps its comments unless an option belongs into one of its sections.
    """
    options, text = {key: value for key, value in flags.items() if key != "mode"}, ""
    if start is not None:
        values, text = load_yaml(start), _text(start)
        if values.keys() & options:
            merge(values, options)
            options, text = values, ""
    text += in_lines(options) if options else ""
    write_durably(path / USER_FILE, _first_line(text) + text)


def keep_options_of_demo(path: Path, flags: dict[str, Any]) -> None:
    """Write the options of a demo next to the user's own file, where they don't belong."""
    if options := {key: value for key, value in flags.items() if key != "mode"}:
        write_durably(path / DEMO_OPTIONS, OF_DEMO + in_lines(options))


def copy_for_demo(path: Path, start: Path) -> None:
    """Begin a demo's configuration as a copy of another bot's, whatever mode that bot is in."""
    text = re.sub(r"^mode:.*\n?", "", _text(start), flags=re.MULTILINE)
    write_durably(path / USER_FILE, _first_line(text) + text)


def _text(file: Path) -> str:
    text = read_text(file)
    if text.startswith(WRITTEN):
        text = text.partition("\n")[2]
    return text if text.endswith("\n") else f"{text}\n"


def written_here(path: Path) -> bool:
    """Return True if a configuration is unchanged since `init` wrote it."""
    first, newline, rest = path.read_bytes().partition(b"\n")
    return first + newline == _first_line(rest.decode(errors="replace")).encode()


def _first_line(text: str) -> str:
    """Return the first line of a configuration written by `init`; its digest shows whether a person edited it."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{WRITTEN}{digest}); goes over the shipped configuration, see config/base.yaml for every value.\n"
