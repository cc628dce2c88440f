"""Choose how a folder keeps its bars: as Parquet files if the optional library is there, otherwise in SQLite alone."""

from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from tradebot.adapters.bars.parquet import ParquetBars
from tradebot.adapters.bars.store import SqliteBars
from tradebot.adapters.state.state_folder import BARS, BARS_FOLDER
from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError
from tradebot.ports.stores import Events

LIBRARY = "duckdb"


def open_bars(folder: Path, events: Events, at: datetime) -> SqliteBars:
    """Open the store of bars, creating it if it is missing; OperatorError if it needs a library that isn't installed.

    What a folder was created with stays.
    """
    kept_as_files = (folder / BARS_FOLDER).is_dir()
    installed = find_spec(LIBRARY) is not None
    if kept_as_files and not installed:
        raise OperatorError(
            f"The bars in {folder / BARS_FOLDER} are Parquet files, but {LIBRARY} isn't installed.",
            f"Install it: {install('data')}. Or fetch the bars again: "
            f"mv {folder / BARS_FOLDER} {folder / BARS_FOLDER}.aside",
        )
    if kept_as_files or (installed and not (folder / BARS).exists()):
        return ParquetBars(folder, events, at)
    return SqliteBars(folder, events, at)
