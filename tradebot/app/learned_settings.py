"""Store the learned settings, which override the user's own: the models of policies in shadow.

They are in one small file of the state folder, which is replaced as a whole. A walk writes a policy's models there
while the user's configuration has the policy in shadow, so that none of its entries is sent. With `shadow:
until_promoted`, the policy trades with these models once exactly these models are promoted. With `shadow: false`, the
new models block entries until a person has accepted them. With real money, both are required.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from tradebot.adapters.state import state_locks
from tradebot.adapters.state.state_folder import LEARNED, cannot_write, write_durably
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.baseline import LEARNED_KEYS, effective
from tradebot.app.settings import validate
from tradebot.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from tradebot.app.wiring import App

LOCK = ".policies.lock"
MODES = (None, "inference", "training")
"""The modes that the file may set. A rule would act without the conditions of learned policies."""
HEAD = "# Written by tradebot. Overrides these sections of your configuration; see tradebot config show --origin.\n"


def read_learned(folder: Path) -> Mapping[str, Any]:
    """Return the learned settings by strategy, which override those of the user's file; empty without the file.

    Raise ConfigurationError if the file has settings other than those that a walk writes: only the user may set the
    others.
    """
    file = folder / LEARNED
    learned = load_yaml(file) if os.path.lexists(file) else {}
    for name, section in learned.items():
        keys = section if isinstance(section, dict) else ("no section",)
        others = {str(key) for key in keys if (key,) not in LEARNED_KEYS}
        others |= {"mode"} if isinstance(section, dict) and section.get("mode") not in MODES else set()
        if others:
            raise ConfigurationError(
                f"{file}: strategies.{name} has {', '.join(sorted(others))}, which only your own configuration may set",
                "set it there and remove it here; the next walk with --shadow writes this file again",
            )
    return learned


def learned_at(folder: Path) -> int | None:
    """Return when learning last wrote its settings, in ns; None if it never did."""
    try:
        return (folder / LEARNED).stat().st_mtime_ns
    except OSError:
        return None


def put_learned(app: App, name: str, values: Mapping[str, Any]) -> None:
    """Override settings of a strategy's section with these values.

    Raise ConfigurationError, and change nothing, if the resulting configuration is invalid.
    """
    with state_locks.hold(app.folder.path, "learning", name=LOCK):
        learned = dict(read_learned(app.folder.path))
        learned[name] = {**learned.get(name, {}), **values}
        sections = effective(app.settings)["strategies"]
        section = {**sections[name], **learned[name]}
        validate({**effective(app.settings), "strategies": {**sections, name: section}}, app.loaded.origins)
        _write(app.folder.path, learned)


def remove_learned(app: App, name: str) -> None:
    """Remove a strategy's learned settings, so that its section in the user's configuration applies unchanged."""
    with state_locks.hold(app.folder.path, "learning", name=LOCK):
        learned = dict(read_learned(app.folder.path))
        if learned.pop(name, None) is not None:
            _write(app.folder.path, learned)


def _write(folder: Path, learned: Mapping[str, Any]) -> None:
    try:
        write_durably(folder / LEARNED, HEAD + yaml.safe_dump(learned, default_flow_style=None, width=120))
    except OSError as error:
        raise cannot_write(folder, error) from error
