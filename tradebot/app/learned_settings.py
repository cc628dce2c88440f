"""The settings that learning puts over the user's own: the models of policies in shadow, and what became of them.

They are in one small file of the state folder, which is replaced as a whole. A walk writes a policy's models there
while the policy is in shadow, where none of its entries is sent. Promotion, demotion and retirement write whether it
trades.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from tradebot.adapters.state import state_locks
from tradebot.adapters.state.state_folder import LEARNED, cannot_write, write_durably
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.baseline import effective
from tradebot.app.settings import validate
from tradebot.model.trading import Baseline

if TYPE_CHECKING:
    from pathlib import Path

    from tradebot.app.settings import Settings
    from tradebot.app.wiring import App

LOCK = ".policies.lock"
HEAD = "# Written by tradebot, over the sections of these strategies; tradebot config show --origin names it.\n"


def read_learned(folder: Path) -> Mapping[str, Any]:
    """Return what learning puts over each strategy's section; empty without the file."""
    file = folder / LEARNED
    return load_yaml(file) if os.path.lexists(file) else {}


def learned_at(folder: Path) -> int | None:
    """Return when learning last wrote its settings, in ns; None if it never did."""
    try:
        return (folder / LEARNED).stat().st_mtime_ns
    except OSError:
        return None


def put_learned(app: App, name: str, values: Mapping[str, Any], *, who: str = "") -> Settings:
    """Put values over a strategy's section, those that are None as the user has them; return the settings in force.

    With `who`, the section counts as accepted by that person: only so may it trade. Raise ConfigurationError, and
    change nothing, if the values contradict the others.
    """
    with state_locks.hold(app.folder.path, "learning", name=LOCK):
        learned = dict(read_learned(app.folder.path))
        own = {**learned.get(name, {}), **values}
        learned[name] = {key: value for key, value in own.items() if value is not None}
        sections = effective(app.settings)["strategies"]
        section = {**sections[name], **learned[name]}
        values_in_force = {**effective(app.settings), "strategies": {**sections, name: section}}
        settings = validate(values_in_force, app.loaded.origins)
        if who and (accepted := app.ledger.baselines.last()):
            # Accepted first: until the file is replaced, the values in force are no looser than these.
            parts = {**accepted.values["strategies"], name: effective(settings)["strategies"][name]}
            app.ledger.baselines.approve(Baseline({**accepted.values, "strategies": parts}, who, app.stamp_time()))
        text = HEAD + yaml.safe_dump(learned, default_flow_style=None, width=120)
        try:
            write_durably(app.folder.path / LEARNED, text)
        except OSError as error:
            raise cannot_write(app.folder.path, error) from error
    return settings
