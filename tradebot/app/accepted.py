"""Use the accepted configuration when the current one can't be read, so that exits continue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from tradebot.adapters.state.state_folder import StateFolder
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.settings import PREFIX, Loaded, accepted, mode_said
from tradebot.errors import ConfigurationError, TradebotError
from tradebot.model.baseline import Baseline


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
