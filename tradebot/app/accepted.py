"""The accepted configuration in the place of one that can't be read, so that exits go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from tradebot.adapters.state.state_folder import StateFolder
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.settings import PREFIX, Loaded, accepted, mode_said
from tradebot.errors import ConfigurationError, TradebotError
from tradebot.model.baseline import Baseline


def in_its_place(
    folder: StateFolder, files: Sequence[Path], environ: Mapping[str, str], error: ConfigurationError
) -> Loaded:
    """Return the accepted settings of a folder, with what is wrong with the others; raise that where it must stand.

    It stands where nothing was accepted, for another mode, or where something that can still be read asks for shadow.
    For real money the file itself has to say so: one that can't be read opens nothing.
    """
    baseline, said = _baseline(folder), [_readable(file) for file in files]
    if baseline is None:
        raise error
    loaded = accepted(baseline.values, mode_said(said[0].get("mode")), error)
    shadow = any(one.get("shadow") is True for one in said) or f"{PREFIX}SHADOW" in environ
    if loaded.settings.mode != folder.mode or (shadow and not loaded.settings.shadow):
        raise error
    return loaded


def _baseline(folder: StateFolder) -> Baseline | None:
    """Return what was accepted; None where the books can't say."""
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
